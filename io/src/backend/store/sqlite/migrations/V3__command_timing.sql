-- When a satellite began a command, by its own clock, and how long that took.
ALTER TABLE "satelliteCommands" ADD COLUMN started_at TEXT;
ALTER TABLE "satelliteCommands" ADD COLUMN duration_ms INTEGER;
