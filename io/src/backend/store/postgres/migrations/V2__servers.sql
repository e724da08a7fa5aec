CREATE TABLE "mcpServers" (
  id          text COLLATE "C" PRIMARY KEY,
  name        text COLLATE "C" NOT NULL,
  slug        text COLLATE "C" NOT NULL UNIQUE,
  status      text COLLATE "C" NOT NULL DEFAULT 'active',
  source      text COLLATE "C",
  -- The whole template as JSON: transport, packages or remotes, arguments, schemas.
  definition  text COLLATE "C" NOT NULL,
  created_at  timestamptz NOT NULL,
  updated_at  timestamptz NOT NULL
);

CREATE TABLE "mcpServerInstallations" (
  id                     text COLLATE "C" PRIMARY KEY,
  team_id                text COLLATE "C" NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
  server_id              text COLLATE "C" NOT NULL REFERENCES "mcpServers" (id) ON DELETE CASCADE,
  satellite_id           text COLLATE "C" REFERENCES satellites (id) ON DELETE SET NULL,
  created_by             text COLLATE "C",
  installation_name      text COLLATE "C" NOT NULL,
  installation_type      text COLLATE "C" NOT NULL DEFAULT 'team',
  team_args              text COLLATE "C",
  team_env               text COLLATE "C",
  team_headers           text COLLATE "C",
  team_url_query_params  text COLLATE "C",
  settings               json,
  -- Grows with every change an administrator makes.
  generation             bigint NOT NULL DEFAULT 1,
  created_at             timestamptz NOT NULL,
  updated_at             timestamptz NOT NULL,
  last_used_at           timestamptz,
  UNIQUE (team_id, installation_name)
);
CREATE INDEX installations_by_server ON "mcpServerInstallations" (server_id);
CREATE INDEX installations_by_satellite ON "mcpServerInstallations" (satellite_id);

CREATE TABLE "mcpServerInstances" (
  id                        text COLLATE "C" PRIMARY KEY,
  installation_id           text COLLATE "C" NOT NULL REFERENCES "mcpServerInstallations" (id) ON DELETE CASCADE,
  user_id                   text COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  instance_path             text COLLATE "C" UNIQUE,
  -- SHA-256 of the instance token in hexadecimal.
  instance_token            text COLLATE "C",
  status                    text COLLATE "C" NOT NULL DEFAULT 'provisioning',
  status_message            text COLLATE "C",
  status_updated_at         timestamptz,
  last_health_check_at      timestamptz,
  last_credential_check_at  timestamptz,
  created_at                timestamptz NOT NULL,
  updated_at                timestamptz NOT NULL,
  UNIQUE (installation_id, user_id)
);
CREATE INDEX instances_by_user ON "mcpServerInstances" (user_id);

CREATE TABLE "mcpUserConfigurations" (
  installation_id        text COLLATE "C" NOT NULL REFERENCES "mcpServerInstallations" (id) ON DELETE CASCADE,
  user_id                text COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  user_args              text COLLATE "C",
  user_env               text COLLATE "C",
  user_headers           text COLLATE "C",
  user_url_query_params  text COLLATE "C",
  created_at             timestamptz NOT NULL,
  updated_at             timestamptz NOT NULL,
  PRIMARY KEY (installation_id, user_id)
);
CREATE INDEX user_configurations_by_user ON "mcpUserConfigurations" (user_id);

CREATE TABLE "mcpToolMetadata" (
  installation_id  text COLLATE "C" NOT NULL REFERENCES "mcpServerInstallations" (id) ON DELETE CASCADE,
  team_id          text COLLATE "C" NOT NULL,
  -- Empty when the satellite does not say for whom it discovered them.
  user_id          text COLLATE "C" NOT NULL DEFAULT '',
  tool_name        text COLLATE "C" NOT NULL,
  description      text COLLATE "C" NOT NULL,
  input_schema     text COLLATE "C" NOT NULL,
  token_count      bigint NOT NULL DEFAULT 0,
  is_disabled      boolean NOT NULL DEFAULT false,
  discovered_at    timestamptz NOT NULL,
  updated_at       timestamptz NOT NULL,
  PRIMARY KEY (installation_id, user_id, tool_name)
);

-- Users' tokens for remotes. What is secret is sealed before it comes here (AES-256-GCM).
CREATE TABLE "mcpOauthTokens" (
  installation_id  text COLLATE "C" NOT NULL,
  user_id          text COLLATE "C" NOT NULL,
  team_id          text COLLATE "C" NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
  access_token     text COLLATE "C" NOT NULL,
  refresh_token    text COLLATE "C",
  token_type       text COLLATE "C" NOT NULL,
  expires_at       timestamptz,
  scope            text COLLATE "C",
  -- With whom, and as which client, the token is renewed.
  issuer           text COLLATE "C" NOT NULL,
  token_endpoint   text COLLATE "C" NOT NULL,
  resource         text COLLATE "C" NOT NULL,
  client           text COLLATE "C" NOT NULL,
  issued_at        timestamptz NOT NULL,
  -- Who renews it; nobody begins another renewal before `leased_until`.
  lease_holder     text COLLATE "C",
  leased_until     timestamptz,
  created_at       timestamptz NOT NULL,
  PRIMARY KEY (installation_id, user_id),
  FOREIGN KEY (installation_id, user_id)
    REFERENCES "mcpServerInstances" (installation_id, user_id) ON DELETE CASCADE
);
CREATE INDEX oauth_tokens_by_end ON "mcpOauthTokens" (expires_at);
CREATE INDEX oauth_tokens_by_team ON "mcpOauthTokens" (team_id);

-- Ways through an authorisation server that a link began. Links and states are kept as hashes.
CREATE TABLE "mcpOauthFlows" (
  id               text COLLATE "C" PRIMARY KEY,
  installation_id  text COLLATE "C" NOT NULL,
  user_id          text COLLATE "C" NOT NULL,
  team_id          text COLLATE "C" NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
  link_hash        text COLLATE "C" NOT NULL UNIQUE,
  state_hash       text COLLATE "C" UNIQUE,
  started          text COLLATE "C",
  expires_at       timestamptz NOT NULL,
  UNIQUE (installation_id, user_id),
  FOREIGN KEY (installation_id, user_id)
    REFERENCES "mcpServerInstances" (installation_id, user_id) ON DELETE CASCADE
);
CREATE INDEX oauth_flows_by_end ON "mcpOauthFlows" (expires_at);
CREATE INDEX oauth_flows_by_team ON "mcpOauthFlows" (team_id);

-- As whom this Backend is known to an issuer, for answers at `redirect_uri`.
CREATE TABLE "mcpOauthClients" (
  issuer        text COLLATE "C" NOT NULL,
  redirect_uri  text COLLATE "C" NOT NULL,
  client        text COLLATE "C" NOT NULL,
  created_at    timestamptz NOT NULL,
  PRIMARY KEY (issuer, redirect_uri)
);
