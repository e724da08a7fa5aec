-- The team that an event is about, so that a team's can be read apart from all others. Of events that
-- arrived before, none is known.
ALTER TABLE "satelliteEvents" ADD COLUMN team_id TEXT;
CREATE INDEX events_by_team ON "satelliteEvents" (team_id, number);
