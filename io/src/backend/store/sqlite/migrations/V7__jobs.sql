-- Background jobs: whoever shares this database runs each of them once.
CREATE TABLE "backendJobs" (
  name          TEXT PRIMARY KEY,
  next_at       TEXT NOT NULL,
  -- Which run is under way; nobody begins another before `leased_until`.
  lease_holder  TEXT,
  leased_until  TEXT,
  -- The last run that ended.
  started_at    TEXT,
  ended_at      TEXT,
  failed        INTEGER,
  message       TEXT
) STRICT;
