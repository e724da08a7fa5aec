-- Background jobs: whoever shares this database runs each of them once.
CREATE TABLE "backendJobs" (
  name          text COLLATE "C" PRIMARY KEY,
  next_at       timestamptz NOT NULL,
  -- Which run is under way; nobody begins another before `leased_until`.
  lease_holder  text COLLATE "C",
  leased_until  timestamptz,
  -- The last run that ended.
  started_at    timestamptz,
  ended_at      timestamptz,
  failed        boolean,
  message       text COLLATE "C"
);
