CREATE TABLE "satelliteProcesses" (
  id                   text COLLATE "C" NOT NULL,
  satellite_id         text COLLATE "C" NOT NULL REFERENCES satellites (id) ON DELETE CASCADE,
  installation_id      text COLLATE "C" REFERENCES "mcpServerInstallations" (id) ON DELETE SET NULL,
  server_name          text COLLATE "C" NOT NULL,
  process_pid          bigint,
  local_port           bigint,
  status               text COLLATE "C" NOT NULL DEFAULT 'pending'
                       CHECK (status IN ('pending', 'starting', 'running', 'stopping', 'stopped', 'failed')),
  health_status        text COLLATE "C" NOT NULL DEFAULT 'unknown',
  performance_metrics  text COLLATE "C",
  -- Unknown for what a global satellite reports without a team.
  team_id              text COLLATE "C" REFERENCES teams (id) ON DELETE CASCADE,
  error_message        text COLLATE "C",
  started_at           timestamptz,
  stopped_at           timestamptz,
  created_at           timestamptz NOT NULL,
  updated_at           timestamptz NOT NULL,
  PRIMARY KEY (satellite_id, id)
);
CREATE INDEX processes_by_installation ON "satelliteProcesses" (installation_id);
CREATE INDEX processes_by_team ON "satelliteProcesses" (team_id);
CREATE INDEX ended_processes_by_time ON "satelliteProcesses" (updated_at)
  WHERE status IN ('stopped', 'failed');

CREATE TABLE "satelliteUsageLogs" (
  id                   text COLLATE "C" PRIMARY KEY,
  satellite_id         text COLLATE "C" NOT NULL REFERENCES satellites (id) ON DELETE CASCADE,
  user_id              text COLLATE "C",
  team_id              text COLLATE "C",
  process_id           text COLLATE "C",
  request_method       text COLLATE "C" NOT NULL,
  request_path         text COLLATE "C" NOT NULL,
  tool_name            text COLLATE "C",
  duration_ms          bigint NOT NULL,
  status_code          bigint NOT NULL,
  error_message        text COLLATE "C",
  request_size_bytes   bigint,
  response_size_bytes  bigint,
  user_agent           text COLLATE "C",
  ip_address           text COLLATE "C",
  timestamp            timestamptz NOT NULL,
  date_partition       text COLLATE "C" NOT NULL
);
CREATE INDEX usage_logs_by_satellite ON "satelliteUsageLogs" (satellite_id, timestamp);
CREATE INDEX usage_logs_by_date ON "satelliteUsageLogs" (date_partition);
CREATE INDEX usage_logs_by_time ON "satelliteUsageLogs" (timestamp);

CREATE TABLE "satelliteHeartbeats" (
  id                     text COLLATE "C" PRIMARY KEY,
  satellite_id           text COLLATE "C" NOT NULL REFERENCES satellites (id) ON DELETE CASCADE,
  status                 text COLLATE "C" NOT NULL CHECK (status IN ('active', 'degraded', 'error')),
  system_metrics         text COLLATE "C" NOT NULL,
  process_count          bigint NOT NULL DEFAULT 0,
  healthy_process_count  bigint NOT NULL DEFAULT 0,
  error_count            bigint NOT NULL DEFAULT 0,
  response_time_ms       bigint,
  uptime_seconds         bigint,
  version                text COLLATE "C",
  timestamp              timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX heartbeats_by_satellite ON "satelliteHeartbeats" (satellite_id, timestamp DESC, id DESC);
CREATE INDEX heartbeats_by_status ON "satelliteHeartbeats" (status);
CREATE INDEX heartbeats_by_time ON "satelliteHeartbeats" (timestamp);

-- Every event as it arrived. `number` orders them for readers; `(satellite_id, event_id)` makes a
-- repeated delivery harmless.
CREATE TABLE "satelliteEvents" (
  number        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id            text COLLATE "C" NOT NULL UNIQUE,
  satellite_id  text COLLATE "C" NOT NULL REFERENCES satellites (id) ON DELETE CASCADE,
  event_id      text COLLATE "C",
  seq           bigint,
  type          text COLLATE "C" NOT NULL,
  data          text COLLATE "C" NOT NULL,
  timestamp     timestamptz NOT NULL,
  received_at   timestamptz NOT NULL,
  UNIQUE (satellite_id, event_id)
);
CREATE INDEX events_by_satellite ON "satelliteEvents" (satellite_id, number);
CREATE INDEX events_by_type ON "satelliteEvents" (type, number);
CREATE INDEX events_by_time ON "satelliteEvents" (received_at);

CREATE TABLE "mcpServerLogs" (
  id               text COLLATE "C" PRIMARY KEY,
  installation_id  text COLLATE "C" NOT NULL REFERENCES "mcpServerInstallations" (id) ON DELETE CASCADE,
  team_id          text COLLATE "C" NOT NULL,
  user_id          text COLLATE "C",
  log_type         text COLLATE "C" NOT NULL,
  log_level        text COLLATE "C" NOT NULL,
  message          text COLLATE "C" NOT NULL,
  metadata         text COLLATE "C",
  created_at       timestamptz NOT NULL
);
CREATE INDEX server_logs_by_installation ON "mcpServerLogs" (installation_id, user_id, created_at);

CREATE TABLE "mcpRequestLogs" (
  id                text COLLATE "C" PRIMARY KEY,
  installation_id   text COLLATE "C" NOT NULL REFERENCES "mcpServerInstallations" (id) ON DELETE CASCADE,
  team_id           text COLLATE "C" NOT NULL,
  user_id           text COLLATE "C",
  tool_name         text COLLATE "C" NOT NULL,
  tool_params       text COLLATE "C",
  tool_response     text COLLATE "C",
  response_time_ms  bigint NOT NULL,
  success           boolean NOT NULL,
  error_message     text COLLATE "C",
  created_at        timestamptz NOT NULL
);
CREATE INDEX request_logs_by_installation ON "mcpRequestLogs" (installation_id, user_id, created_at);

CREATE TABLE "mcpClientActivity" (
  satellite_id        text COLLATE "C" NOT NULL REFERENCES satellites (id) ON DELETE CASCADE,
  team_id             text COLLATE "C" NOT NULL,
  user_id             text COLLATE "C" NOT NULL,
  auth_type           text COLLATE "C" NOT NULL,
  auth_identifier     text COLLATE "C" NOT NULL,
  oauth_client_id     text COLLATE "C",
  client_name         text COLLATE "C",
  user_agent          text COLLATE "C",
  ip_address          text COLLATE "C",
  current_session_id  text COLLATE "C",
  first_seen_at       timestamptz NOT NULL,
  last_activity_at    timestamptz NOT NULL,
  total_requests      bigint NOT NULL,
  total_tool_calls    bigint NOT NULL,
  PRIMARY KEY (satellite_id, team_id, user_id, auth_identifier)
);
