CREATE TABLE "mcpServers" (
  id          TEXT PRIMARY KEY,
  name        TEXT NOT NULL,
  slug        TEXT NOT NULL UNIQUE,
  status      TEXT NOT NULL DEFAULT 'active',
  source      TEXT,
  -- The whole template as JSON: transport, packages or remotes, arguments, schemas.
  definition  TEXT NOT NULL,
  created_at  TEXT NOT NULL,
  updated_at  TEXT NOT NULL
) STRICT;

CREATE TABLE "mcpServerInstallations" (
  id                     TEXT PRIMARY KEY,
  team_id                TEXT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
  server_id              TEXT NOT NULL REFERENCES "mcpServers" (id) ON DELETE CASCADE,
  satellite_id           TEXT REFERENCES satellites (id) ON DELETE SET NULL,
  created_by             TEXT,
  installation_name      TEXT NOT NULL,
  installation_type      TEXT NOT NULL DEFAULT 'team',
  team_args              TEXT,
  team_env               TEXT,
  team_headers           TEXT,
  team_url_query_params  TEXT,
  settings               TEXT,
  -- Grows with every change an administrator makes.
  generation             INTEGER NOT NULL DEFAULT 1,
  created_at             TEXT NOT NULL,
  updated_at             TEXT NOT NULL,
  last_used_at           TEXT,
  UNIQUE (team_id, installation_name)
) STRICT;
CREATE INDEX installations_by_server ON "mcpServerInstallations" (server_id);
CREATE INDEX installations_by_satellite ON "mcpServerInstallations" (satellite_id);

CREATE TABLE "mcpServerInstances" (
  id                        TEXT PRIMARY KEY,
  installation_id           TEXT NOT NULL REFERENCES "mcpServerInstallations" (id) ON DELETE CASCADE,
  user_id                   TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  instance_path             TEXT UNIQUE,
  -- SHA-256 of the instance token in hexadecimal.
  instance_token            TEXT,
  status                    TEXT NOT NULL DEFAULT 'provisioning',
  status_message            TEXT,
  status_updated_at         TEXT,
  last_health_check_at      TEXT,
  last_credential_check_at  TEXT,
  created_at                TEXT NOT NULL,
  updated_at                TEXT NOT NULL,
  UNIQUE (installation_id, user_id)
) STRICT;
CREATE INDEX instances_by_user ON "mcpServerInstances" (user_id);

CREATE TABLE "mcpUserConfigurations" (
  installation_id        TEXT NOT NULL REFERENCES "mcpServerInstallations" (id) ON DELETE CASCADE,
  user_id                TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  user_args              TEXT,
  user_env               TEXT,
  user_headers           TEXT,
  user_url_query_params  TEXT,
  created_at             TEXT NOT NULL,
  updated_at             TEXT NOT NULL,
  PRIMARY KEY (installation_id, user_id)
) STRICT;

CREATE TABLE "mcpToolMetadata" (
  installation_id  TEXT NOT NULL REFERENCES "mcpServerInstallations" (id) ON DELETE CASCADE,
  team_id          TEXT NOT NULL,
  -- Empty when the satellite does not say for whom it discovered them.
  user_id          TEXT NOT NULL DEFAULT '',
  tool_name        TEXT NOT NULL,
  description      TEXT NOT NULL,
  input_schema     TEXT NOT NULL,
  token_count      INTEGER NOT NULL DEFAULT 0,
  is_disabled      INTEGER NOT NULL DEFAULT 0,
  discovered_at    TEXT NOT NULL,
  updated_at       TEXT NOT NULL,
  PRIMARY KEY (installation_id, user_id, tool_name)
) STRICT;

CREATE TABLE "mcpServerLogs" (
  id               TEXT PRIMARY KEY,
  installation_id  TEXT NOT NULL REFERENCES "mcpServerInstallations" (id) ON DELETE CASCADE,
  team_id          TEXT NOT NULL,
  user_id          TEXT,
  log_type         TEXT NOT NULL,
  log_level        TEXT NOT NULL,
  message          TEXT NOT NULL,
  metadata         TEXT,
  created_at       TEXT NOT NULL
) STRICT;
CREATE INDEX server_logs_by_installation ON "mcpServerLogs" (installation_id, created_at);

CREATE TABLE "mcpRequestLogs" (
  id                TEXT PRIMARY KEY,
  installation_id   TEXT NOT NULL REFERENCES "mcpServerInstallations" (id) ON DELETE CASCADE,
  team_id           TEXT NOT NULL,
  user_id           TEXT,
  tool_name         TEXT NOT NULL,
  tool_params       TEXT,
  tool_response     TEXT,
  response_time_ms  INTEGER NOT NULL,
  success           INTEGER NOT NULL,
  error_message     TEXT,
  created_at        TEXT NOT NULL
) STRICT;
CREATE INDEX request_logs_by_installation ON "mcpRequestLogs" (installation_id, created_at);

CREATE TABLE "mcpClientActivity" (
  satellite_id        TEXT NOT NULL REFERENCES satellites (id) ON DELETE CASCADE,
  team_id             TEXT NOT NULL,
  user_id             TEXT NOT NULL,
  auth_type           TEXT NOT NULL,
  auth_identifier     TEXT NOT NULL,
  oauth_client_id     TEXT,
  client_name         TEXT,
  user_agent          TEXT,
  ip_address          TEXT,
  current_session_id  TEXT,
  first_seen_at       TEXT NOT NULL,
  last_activity_at    TEXT NOT NULL,
  total_requests      INTEGER NOT NULL,
  total_tool_calls    INTEGER NOT NULL,
  PRIMARY KEY (satellite_id, team_id, user_id, auth_identifier)
) STRICT;
