-- Names and columns of the satellite tables are those of the field. Documents that arrive from elsewhere
-- stay the text they are: nothing in them is reordered or rounded. All text sorts by its bytes,
-- whatever the language of the database, as it does in the other stores.

CREATE TABLE teams (
  id          text COLLATE "C" PRIMARY KEY,
  name        text COLLATE "C" NOT NULL,
  slug        text COLLATE "C" NOT NULL UNIQUE,
  created_at  timestamptz NOT NULL
);

CREATE TABLE users (
  id          text COLLATE "C" PRIMARY KEY,
  username    text COLLATE "C" NOT NULL UNIQUE,
  email       text COLLATE "C",
  created_at  timestamptz NOT NULL
);

CREATE TABLE "teamMembers" (
  team_id     text COLLATE "C" NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
  user_id     text COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  role        text COLLATE "C" NOT NULL,
  created_at  timestamptz NOT NULL,
  PRIMARY KEY (team_id, user_id)
);
CREATE INDEX team_members_by_user ON "teamMembers" (user_id);

-- Access tokens of users, by SHA-256. The text itself is shown once and never stored.
CREATE TABLE "accessTokens" (
  id          text COLLATE "C" PRIMARY KEY,
  token_hash  text COLLATE "C" NOT NULL UNIQUE,
  user_id     text COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  team_id     text COLLATE "C" NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
  client_id   text COLLATE "C" NOT NULL,
  scope       text COLLATE "C" NOT NULL,
  audience    json NOT NULL,
  expires_at  timestamptz NOT NULL,
  created_at  timestamptz NOT NULL
);
CREATE INDEX access_tokens_by_user ON "accessTokens" (user_id);
CREATE INDEX access_tokens_by_team ON "accessTokens" (team_id);
CREATE INDEX access_tokens_by_end ON "accessTokens" (expires_at);

CREATE TABLE satellites (
  id                 text COLLATE "C" PRIMARY KEY,
  name               text COLLATE "C" NOT NULL,
  satellite_type     text COLLATE "C" NOT NULL CHECK (satellite_type IN ('global', 'team')),
  team_id            text COLLATE "C" REFERENCES teams (id) ON DELETE CASCADE,
  status             text COLLATE "C" NOT NULL DEFAULT 'active'
                     CHECK (status IN ('active', 'inactive', 'maintenance', 'error')),
  -- What an administrator decided; heartbeats never touch it.
  admin_state        text COLLATE "C" NOT NULL DEFAULT 'enabled'
                     CHECK (admin_state IN ('enabled', 'maintenance', 'disabled')),
  maintenance_from   timestamptz,
  maintenance_until  timestamptz,
  capabilities       text COLLATE "C" NOT NULL DEFAULT '[]',
  api_key_lookup     text COLLATE "C" NOT NULL UNIQUE,
  api_key_hash       text COLLATE "C" NOT NULL,
  last_heartbeat     timestamptz,
  last_poll          timestamptz,
  system_info        text COLLATE "C",
  satellite_url      text COLLATE "C" NOT NULL DEFAULT '',
  region             text COLLATE "C",
  mcp_status         text COLLATE "C",
  config             text COLLATE "C" NOT NULL DEFAULT '{}',
  -- Grows with every change that concerns the satellite's configuration.
  config_version     bigint NOT NULL DEFAULT 1,
  created_by         text COLLATE "C",
  created_at         timestamptz NOT NULL,
  updated_at         timestamptz NOT NULL,
  CHECK ((satellite_type = 'team') = (team_id IS NOT NULL))
);
-- One name, one satellite: a token of another owner cannot take it over.
CREATE UNIQUE INDEX satellites_by_name ON satellites (name);
CREATE INDEX satellites_by_type ON satellites (satellite_type);
CREATE INDEX satellites_by_team ON satellites (team_id);
CREATE INDEX satellites_by_status ON satellites (status, last_heartbeat);

-- Keys that were valid once, so that their holder learns why they are not.
CREATE TABLE "satelliteRetiredKeys" (
  api_key_lookup  text COLLATE "C" PRIMARY KEY,
  api_key_hash    text COLLATE "C" NOT NULL,
  satellite_id    text COLLATE "C" NOT NULL,
  reason          text COLLATE "C" NOT NULL CHECK (reason IN ('api_key_revoked', 'satellite_deleted')),
  retired_at      timestamptz NOT NULL
);
CREATE INDEX retired_keys_by_time ON "satelliteRetiredKeys" (retired_at);
CREATE INDEX retired_keys_by_satellite ON "satelliteRetiredKeys" (satellite_id);

CREATE TABLE "satelliteRegistrationTokens" (
  id                    text COLLATE "C" PRIMARY KEY,
  token_type            text COLLATE "C" NOT NULL CHECK (token_type IN ('global', 'team')),
  team_id               text COLLATE "C" REFERENCES teams (id) ON DELETE CASCADE,
  token_hash            text COLLATE "C" NOT NULL UNIQUE,
  token_prefix          text COLLATE "C" NOT NULL,
  created_by            text COLLATE "C" NOT NULL,
  permissions           jsonb NOT NULL,
  used                  boolean NOT NULL DEFAULT false,
  used_at               timestamptz,
  used_by_satellite_id  text COLLATE "C",
  expires_at            timestamptz NOT NULL,
  created_at            timestamptz NOT NULL
);
CREATE INDEX registration_tokens_by_team ON "satelliteRegistrationTokens" (team_id);
CREATE INDEX registration_tokens_by_end ON "satelliteRegistrationTokens" (expires_at);

CREATE TABLE "satelliteCommands" (
  id              text COLLATE "C" PRIMARY KEY,
  satellite_id    text COLLATE "C" NOT NULL REFERENCES satellites (id) ON DELETE CASCADE,
  command_type    text COLLATE "C" NOT NULL,
  priority        text COLLATE "C" NOT NULL DEFAULT 'normal',
  payload         text COLLATE "C" NOT NULL,
  status          text COLLATE "C" NOT NULL DEFAULT 'pending'
                  CHECK (status IN ('pending', 'acknowledged', 'executing', 'completed', 'failed')),
  target_team_id  text COLLATE "C",
  correlation_id  text COLLATE "C",
  retry_count     bigint NOT NULL DEFAULT 0,
  max_retries     bigint NOT NULL DEFAULT 3,
  error_message   text COLLATE "C",
  result          text COLLATE "C",
  leased_until    timestamptz,
  -- When the satellite began it, by its own clock, and how long that took.
  started_at      timestamptz,
  duration_ms     bigint,
  expires_at      timestamptz NOT NULL,
  created_by      text COLLATE "C",
  created_at      timestamptz NOT NULL,
  updated_at      timestamptz NOT NULL
);
CREATE INDEX commands_by_satellite ON "satelliteCommands" (satellite_id, status);
CREATE INDEX commands_by_priority ON "satelliteCommands" (priority, status);
CREATE INDEX commands_by_correlation ON "satelliteCommands" (correlation_id);
CREATE INDEX commands_by_team ON "satelliteCommands" (target_team_id);
CREATE INDEX commands_by_age ON "satelliteCommands" (satellite_id, created_at DESC, id);
-- What has not ended, by when it may lapse.
CREATE INDEX open_commands_by_end ON "satelliteCommands" (expires_at)
  WHERE status IN ('pending', 'acknowledged', 'executing');
CREATE INDEX open_commands_by_lease ON "satelliteCommands" (leased_until)
  WHERE status IN ('pending', 'acknowledged', 'executing');
CREATE INDEX ended_commands_by_time ON "satelliteCommands" (updated_at)
  WHERE status IN ('completed', 'failed');

-- Secrets this Backend made for itself at its first start.
CREATE TABLE "backendSecrets" (
  name   text COLLATE "C" PRIMARY KEY,
  value  text COLLATE "C" NOT NULL
);
