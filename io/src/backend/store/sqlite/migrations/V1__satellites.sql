-- Moments are ISO 8601 text in UTC with milliseconds: they sort as they should and people can read them.
-- Names and columns of the satellite tables are those of the field; STRICT keeps their types honest.

CREATE TABLE teams (
  id          TEXT PRIMARY KEY,
  name        TEXT NOT NULL,
  slug        TEXT NOT NULL UNIQUE,
  created_at  TEXT NOT NULL
) STRICT;

CREATE TABLE users (
  id          TEXT PRIMARY KEY,
  username    TEXT NOT NULL UNIQUE,
  email       TEXT,
  created_at  TEXT NOT NULL
) STRICT;

CREATE TABLE "teamMembers" (
  team_id     TEXT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
  user_id     TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  role        TEXT NOT NULL,
  created_at  TEXT NOT NULL,
  PRIMARY KEY (team_id, user_id)
) STRICT;
CREATE INDEX team_members_by_user ON "teamMembers" (user_id);

-- Access tokens of users, by SHA-256. The text itself is shown once and never stored.
CREATE TABLE "accessTokens" (
  id          TEXT PRIMARY KEY,
  token_hash  TEXT NOT NULL UNIQUE,
  user_id     TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  team_id     TEXT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
  client_id   TEXT NOT NULL,
  scope       TEXT NOT NULL,
  audience    TEXT NOT NULL,
  expires_at  TEXT NOT NULL,
  created_at  TEXT NOT NULL
) STRICT;
CREATE INDEX access_tokens_by_user ON "accessTokens" (user_id);

CREATE TABLE satellites (
  id                 TEXT PRIMARY KEY,
  name               TEXT NOT NULL,
  satellite_type     TEXT NOT NULL CHECK (satellite_type IN ('global', 'team')),
  team_id            TEXT REFERENCES teams (id) ON DELETE CASCADE,
  status             TEXT NOT NULL DEFAULT 'active'
                     CHECK (status IN ('active', 'inactive', 'maintenance', 'error')),
  -- What an administrator decided; heartbeats never touch it.
  admin_state        TEXT NOT NULL DEFAULT 'enabled'
                     CHECK (admin_state IN ('enabled', 'maintenance', 'disabled')),
  maintenance_from   TEXT,
  maintenance_until  TEXT,
  capabilities       TEXT NOT NULL DEFAULT '[]',
  api_key_lookup     TEXT NOT NULL UNIQUE,
  api_key_hash       TEXT NOT NULL,
  last_heartbeat     TEXT,
  last_poll          TEXT,
  system_info        TEXT,
  satellite_url      TEXT NOT NULL DEFAULT '',
  region             TEXT,
  mcp_status         TEXT,
  config             TEXT NOT NULL DEFAULT '{}',
  created_by         TEXT,
  created_at         TEXT NOT NULL,
  updated_at         TEXT NOT NULL,
  CHECK ((satellite_type = 'team') = (team_id IS NOT NULL))
) STRICT;
-- One name, one satellite: a token of another owner cannot take it over.
CREATE UNIQUE INDEX satellites_by_name ON satellites (name);
CREATE INDEX satellites_by_type ON satellites (satellite_type);
CREATE INDEX satellites_by_team ON satellites (team_id);
CREATE INDEX satellites_by_status ON satellites (status, last_heartbeat);

-- Keys that were valid once, so that their holder learns why they are not.
CREATE TABLE "satelliteRetiredKeys" (
  api_key_lookup  TEXT PRIMARY KEY,
  api_key_hash    TEXT NOT NULL,
  satellite_id    TEXT NOT NULL,
  reason          TEXT NOT NULL CHECK (reason IN ('api_key_revoked', 'satellite_deleted')),
  retired_at      TEXT NOT NULL
) STRICT;
CREATE INDEX retired_keys_by_time ON "satelliteRetiredKeys" (retired_at);

CREATE TABLE "satelliteRegistrationTokens" (
  id                    TEXT PRIMARY KEY,
  token_type            TEXT NOT NULL CHECK (token_type IN ('global', 'team')),
  team_id               TEXT REFERENCES teams (id) ON DELETE CASCADE,
  token_hash            TEXT NOT NULL UNIQUE,
  token_prefix          TEXT NOT NULL,
  created_by            TEXT NOT NULL,
  permissions           TEXT NOT NULL,
  used                  INTEGER NOT NULL DEFAULT 0,
  used_at               TEXT,
  used_by_satellite_id  TEXT,
  expires_at            TEXT NOT NULL,
  created_at            TEXT NOT NULL
) STRICT;

CREATE TABLE "satelliteCommands" (
  id              TEXT PRIMARY KEY,
  satellite_id    TEXT NOT NULL REFERENCES satellites (id) ON DELETE CASCADE,
  command_type    TEXT NOT NULL,
  priority        TEXT NOT NULL DEFAULT 'normal',
  payload         TEXT NOT NULL,
  status          TEXT NOT NULL DEFAULT 'pending'
                  CHECK (status IN ('pending', 'acknowledged', 'executing', 'completed', 'failed')),
  target_team_id  TEXT,
  correlation_id  TEXT,
  retry_count     INTEGER NOT NULL DEFAULT 0,
  max_retries     INTEGER NOT NULL DEFAULT 3,
  error_message   TEXT,
  result          TEXT,
  leased_until    TEXT,
  expires_at      TEXT NOT NULL,
  created_by      TEXT,
  created_at      TEXT NOT NULL,
  updated_at      TEXT NOT NULL
) STRICT;
CREATE INDEX commands_by_satellite ON "satelliteCommands" (satellite_id, status);
CREATE INDEX commands_by_priority ON "satelliteCommands" (priority, status);
CREATE INDEX commands_by_correlation ON "satelliteCommands" (correlation_id);
CREATE INDEX commands_by_team ON "satelliteCommands" (target_team_id);

CREATE TABLE "satelliteProcesses" (
  id                   TEXT NOT NULL,
  satellite_id         TEXT NOT NULL REFERENCES satellites (id) ON DELETE CASCADE,
  installation_id      TEXT REFERENCES "mcpServerInstallations" (id) ON DELETE SET NULL,
  server_name          TEXT NOT NULL,
  process_pid          INTEGER,
  local_port           INTEGER,
  status               TEXT NOT NULL DEFAULT 'pending'
                       CHECK (status IN ('pending', 'starting', 'running', 'stopping', 'stopped', 'failed')),
  health_status        TEXT NOT NULL DEFAULT 'unknown',
  performance_metrics  TEXT,
  -- Unknown for what a global satellite reports without a team.
  team_id              TEXT REFERENCES teams (id) ON DELETE CASCADE,
  error_message        TEXT,
  started_at           TEXT,
  stopped_at           TEXT,
  created_at           TEXT NOT NULL,
  updated_at           TEXT NOT NULL,
  PRIMARY KEY (satellite_id, id)
) STRICT;
CREATE INDEX processes_by_installation ON "satelliteProcesses" (installation_id);
CREATE INDEX processes_by_team ON "satelliteProcesses" (team_id);

CREATE TABLE "satelliteUsageLogs" (
  id                   TEXT PRIMARY KEY,
  satellite_id         TEXT NOT NULL REFERENCES satellites (id) ON DELETE CASCADE,
  user_id              TEXT,
  team_id              TEXT,
  process_id           TEXT,
  request_method       TEXT NOT NULL,
  request_path         TEXT NOT NULL,
  tool_name            TEXT,
  duration_ms          INTEGER NOT NULL,
  status_code          INTEGER NOT NULL,
  error_message        TEXT,
  request_size_bytes   INTEGER,
  response_size_bytes  INTEGER,
  user_agent           TEXT,
  ip_address           TEXT,
  timestamp            TEXT NOT NULL,
  date_partition       TEXT NOT NULL
) STRICT;
CREATE INDEX usage_logs_by_satellite ON "satelliteUsageLogs" (satellite_id, timestamp);
CREATE INDEX usage_logs_by_date ON "satelliteUsageLogs" (date_partition);

CREATE TABLE "satelliteHeartbeats" (
  id                     TEXT PRIMARY KEY,
  satellite_id           TEXT NOT NULL REFERENCES satellites (id) ON DELETE CASCADE,
  status                 TEXT NOT NULL CHECK (status IN ('active', 'degraded', 'error')),
  system_metrics         TEXT NOT NULL,
  process_count          INTEGER NOT NULL DEFAULT 0,
  healthy_process_count  INTEGER NOT NULL DEFAULT 0,
  error_count            INTEGER NOT NULL DEFAULT 0,
  response_time_ms       INTEGER,
  uptime_seconds         INTEGER,
  version                TEXT,
  timestamp              TEXT NOT NULL
) STRICT;
CREATE INDEX heartbeats_by_satellite ON "satelliteHeartbeats" (satellite_id, timestamp);
CREATE INDEX heartbeats_by_status ON "satelliteHeartbeats" (status);
CREATE INDEX heartbeats_by_time ON "satelliteHeartbeats" (timestamp);

-- Every event as it arrived. `number` orders them for readers; `(satellite_id, event_id)` makes a
-- repeated delivery harmless.
CREATE TABLE "satelliteEvents" (
  number        INTEGER PRIMARY KEY AUTOINCREMENT,
  id            TEXT NOT NULL UNIQUE,
  satellite_id  TEXT NOT NULL REFERENCES satellites (id) ON DELETE CASCADE,
  event_id      TEXT,
  seq           INTEGER,
  type          TEXT NOT NULL,
  data          TEXT NOT NULL,
  timestamp     TEXT NOT NULL,
  received_at   TEXT NOT NULL,
  UNIQUE (satellite_id, event_id)
) STRICT;
CREATE INDEX events_by_satellite ON "satelliteEvents" (satellite_id, number);
CREATE INDEX events_by_type ON "satelliteEvents" (type, number);

-- Secrets this Backend made for itself at its first start.
CREATE TABLE "backendSecrets" (
  name   TEXT PRIMARY KEY,
  value  TEXT NOT NULL
) STRICT;
