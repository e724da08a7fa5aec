-- Users' tokens for remotes. What is secret is sealed before it comes here (AES-256-GCM).
CREATE TABLE "mcpOauthTokens" (
  installation_id  TEXT NOT NULL,
  user_id          TEXT NOT NULL,
  team_id          TEXT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
  access_token     TEXT NOT NULL,
  refresh_token    TEXT,
  token_type       TEXT NOT NULL,
  expires_at       TEXT,
  scope            TEXT,
  -- With whom, and as which client, the token is renewed.
  issuer           TEXT NOT NULL,
  token_endpoint   TEXT NOT NULL,
  resource         TEXT NOT NULL,
  client           TEXT NOT NULL,
  issued_at        TEXT NOT NULL,
  -- Who renews it; nobody begins another renewal before `leased_until`.
  lease_holder     TEXT,
  leased_until     TEXT,
  created_at       TEXT NOT NULL,
  PRIMARY KEY (installation_id, user_id),
  FOREIGN KEY (installation_id, user_id)
    REFERENCES "mcpServerInstances" (installation_id, user_id) ON DELETE CASCADE
) STRICT;
CREATE INDEX oauth_tokens_by_end ON "mcpOauthTokens" (expires_at);

-- Ways through an authorisation server that a link began. Links and states are kept as hashes.
CREATE TABLE "mcpOauthFlows" (
  id               TEXT PRIMARY KEY,
  installation_id  TEXT NOT NULL,
  user_id          TEXT NOT NULL,
  team_id          TEXT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
  link_hash        TEXT NOT NULL UNIQUE,
  state_hash       TEXT UNIQUE,
  started          TEXT,
  expires_at       TEXT NOT NULL,
  UNIQUE (installation_id, user_id),
  FOREIGN KEY (installation_id, user_id)
    REFERENCES "mcpServerInstances" (installation_id, user_id) ON DELETE CASCADE
) STRICT;
CREATE INDEX oauth_flows_by_end ON "mcpOauthFlows" (expires_at);

-- As whom this Backend is known to an issuer, for answers at `redirect_uri`.
CREATE TABLE "mcpOauthClients" (
  issuer        TEXT NOT NULL,
  redirect_uri  TEXT NOT NULL,
  client        TEXT NOT NULL,
  created_at    TEXT NOT NULL,
  PRIMARY KEY (issuer, redirect_uri)
) STRICT;
