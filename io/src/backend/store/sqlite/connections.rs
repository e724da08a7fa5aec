//! Users' connections to remotes.

use rusqlite::{Row, Transaction, params};
use satellite_core::time::Timestamp;
use satellite_core::view::InstanceStatus;

use super::super::StoreError;
use super::super::records::{
    Credential, Notice, OauthClient, OauthFlow, OauthToken, Sealed, SealedGrant, StartedFlow,
    Unrenewed,
};
use super::commands::file_notice;
use super::installations::installation;
use super::row::{change, id, iso, list, moment, moment_option, one};

pub(in super::super) fn create_oauth_flow(
    tx: &Transaction<'_>,
    flow: OauthFlow,
    now: Timestamp,
) -> Result<(), StoreError> {
    check(tx, &flow.credential)?;
    let (installation, user) = pair(&flow.credential);
    change(
        tx,
        r#"DELETE FROM "mcpOauthFlows"
           WHERE expires_at <= ?3 OR (installation_id = ?1 AND user_id = ?2)"#,
        [installation, user, &now.to_iso()],
    )?;
    change(
        tx,
        r#"INSERT INTO "mcpOauthFlows" (id, installation_id, user_id, team_id, link_hash, expires_at)
           VALUES (?1, ?2, ?3, ?4, ?5, ?6)"#,
        params![
            flow.id,
            installation,
            user,
            flow.credential.team_id.as_str(),
            flow.link_hash,
            flow.expires_at.0.to_iso(),
        ],
    )?;
    Ok(())
}

pub(in super::super) fn oauth_flow(
    tx: &Transaction<'_>,
    link_hash: String,
    now: Timestamp,
) -> Result<Option<OauthFlow>, StoreError> {
    let sql = r#"SELECT * FROM "mcpOauthFlows"
                 WHERE link_hash = ?1 AND state_hash IS NULL AND expires_at > ?2"#;
    one(tx, sql, [link_hash, now.to_iso()], read_flow)
}

pub(in super::super) fn start_oauth_flow(
    tx: &Transaction<'_>,
    link_hash: String,
    started: StartedFlow,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let sql = r#"UPDATE "mcpOauthFlows" SET state_hash = ?2, started = ?3
                 WHERE link_hash = ?1 AND state_hash IS NULL AND expires_at > ?4"#;
    let values = params![link_hash, started.state_hash, started.sealed.0, now.to_iso()];
    Ok(change(tx, sql, values)? == 1)
}

pub(in super::super) fn take_oauth_flow(
    tx: &Transaction<'_>,
    state_hash: String,
    now: Timestamp,
) -> Result<Option<OauthFlow>, StoreError> {
    let sql = r#"SELECT * FROM "mcpOauthFlows" WHERE state_hash = ?1"#;
    let flow = one(tx, sql, [&state_hash], read_flow)?;
    change(tx, r#"DELETE FROM "mcpOauthFlows" WHERE state_hash = ?1"#, [&state_hash])?;
    Ok(flow.filter(|flow| now < flow.expires_at.0))
}

pub(in super::super) fn oauth_client(
    tx: &Transaction<'_>,
    issuer: String,
    redirect_uri: String,
) -> Result<Option<OauthClient>, StoreError> {
    let sql = r#"SELECT * FROM "mcpOauthClients" WHERE issuer = ?1 AND redirect_uri = ?2"#;
    one(tx, sql, [issuer, redirect_uri], |row| {
        Ok(OauthClient {
            issuer: row.get("issuer")?,
            redirect_uri: row.get("redirect_uri")?,
            client: Sealed(row.get("client")?),
            created_at: moment(row, "created_at")?,
        })
    })
}

pub(in super::super) fn put_oauth_client(
    tx: &Transaction<'_>,
    client: OauthClient,
) -> Result<(), StoreError> {
    let sql = r#"INSERT OR REPLACE INTO "mcpOauthClients" (issuer, redirect_uri, client, created_at)
                 VALUES (?1, ?2, ?3, ?4)"#;
    let created = client.created_at.0.to_iso();
    change(tx, sql, [client.issuer, client.redirect_uri, client.client.0, created])?;
    Ok(())
}

pub(in super::super) fn forget_oauth_client(
    tx: &Transaction<'_>,
    issuer: String,
    redirect_uri: String,
) -> Result<(), StoreError> {
    let sql = r#"DELETE FROM "mcpOauthClients" WHERE issuer = ?1 AND redirect_uri = ?2"#;
    change(tx, sql, [issuer, redirect_uri])?;
    Ok(())
}

pub(in super::super) fn connect(
    tx: &Transaction<'_>,
    token: OauthToken,
    notice: Notice,
) -> Result<(), StoreError> {
    let pin = check(tx, &token.credential)?;
    let (installation, user) = pair(&token.credential);
    let granted = &token.granted;
    change(
        tx,
        r#"INSERT OR REPLACE INTO "mcpOauthTokens" (installation_id, user_id, team_id, access_token,
             refresh_token, token_type, expires_at, scope, issuer, token_endpoint, resource, client,
             issued_at, created_at)
           VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?13)"#,
        params![
            installation,
            user,
            token.credential.team_id.as_str(),
            granted.access_token.0,
            granted.refresh_token.as_ref().map(|sealed| &sealed.0),
            granted.token_type,
            iso(granted.expires_at),
            granted.scope,
            token.issuer,
            token.token_endpoint,
            token.resource,
            token.client.0,
            granted.issued_at.0.to_iso(),
        ],
    )?;
    let sql = r#"UPDATE "mcpServerInstances"
                 SET status = ?4, status_message = NULL, status_updated_at = ?5, updated_at = ?5
                 WHERE installation_id = ?1 AND user_id = ?2 AND status = ?3"#;
    let (from, to) = (InstanceStatus::RequiresReauth, InstanceStatus::Connecting);
    let now = notice.now.to_iso();
    change(tx, sql, [installation, user, from.as_str(), to.as_str(), &now])?;
    file_notice(tx, &token.credential.team_id, &[pin], &notice)
}

pub(in super::super) fn oauth_token(
    tx: &Transaction<'_>,
    credential: Credential,
) -> Result<Option<OauthToken>, StoreError> {
    let (installation, user) = pair(&credential);
    let sql = r#"SELECT * FROM "mcpOauthTokens"
                 WHERE installation_id = ?1 AND user_id = ?2 AND team_id = ?3"#;
    one(tx, sql, [installation, user, credential.team_id.as_str()], read_token)
}

pub(in super::super) fn lease_renewal(
    tx: &Transaction<'_>,
    credential: Credential,
    holder: String,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<OauthToken>, StoreError> {
    let (installation, user) = pair(&credential);
    let sql = r#"UPDATE "mcpOauthTokens" SET lease_holder = ?4, leased_until = ?5
                 WHERE installation_id = ?1 AND user_id = ?2 AND team_id = ?3
                   AND refresh_token IS NOT NULL AND (leased_until IS NULL OR leased_until <= ?6)"#;
    let team = credential.team_id.as_str();
    let values = [installation, user, team, &holder, &until.to_iso(), &now.to_iso()];
    match change(tx, sql, values)? {
        0 => Ok(None),
        _ => oauth_token(tx, credential),
    }
}

pub(in super::super) fn renewed(
    tx: &Transaction<'_>,
    credential: Credential,
    holder: String,
    granted: SealedGrant,
) -> Result<bool, StoreError> {
    let (installation, user) = pair(&credential);
    let changed = change(
        tx,
        r#"UPDATE "mcpOauthTokens"
           SET access_token = ?4, refresh_token = coalesce(?5, refresh_token), token_type = ?6,
               issued_at = ?7, expires_at = ?8, scope = coalesce(?9, scope),
               lease_holder = NULL, leased_until = NULL
           WHERE installation_id = ?1 AND user_id = ?2 AND lease_holder = ?3"#,
        params![
            installation,
            user,
            holder,
            granted.access_token.0,
            granted.refresh_token.as_ref().map(|sealed| &sealed.0),
            granted.token_type,
            granted.issued_at.0.to_iso(),
            iso(granted.expires_at),
            granted.scope,
        ],
    )?;
    Ok(changed == 1)
}

pub(in super::super) fn unrenewed(
    tx: &Transaction<'_>,
    failure: Unrenewed,
) -> Result<bool, StoreError> {
    let (installation, user) = pair(&failure.credential);
    let changed = change(
        tx,
        r#"UPDATE "mcpOauthTokens"
           SET lease_holder = NULL, leased_until = ?4,
               refresh_token = CASE WHEN ?4 IS NULL THEN NULL ELSE refresh_token END
           WHERE installation_id = ?1 AND user_id = ?2 AND lease_holder = ?3"#,
        params![
            installation,
            user,
            failure.holder,
            failure.next.as_ref().ok().map(|at| at.to_iso()),
        ],
    )?;
    if let (1, Err(message)) = (changed, &failure.next) {
        let sql = format!("{REQUIRE_REAUTH} AND installation_id = ?3 AND user_id = ?4");
        change(tx, &sql, [message, &failure.now.to_iso(), installation, user])?;
    }
    Ok(changed == 1)
}

pub(in super::super) fn renewals_due(
    tx: &Transaction<'_>,
    before: Timestamp,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Credential>, StoreError> {
    let sql = r#"SELECT * FROM "mcpOauthTokens"
                 WHERE refresh_token IS NOT NULL AND expires_at < ?1
                   AND (leased_until IS NULL OR leased_until <= ?2)
                 ORDER BY expires_at, installation_id, user_id LIMIT ?3"#;
    list(tx, sql, params![before.to_iso(), now.to_iso(), limit], read_credential)
}

pub(in super::super) fn lapse_tokens(
    tx: &Transaction<'_>,
    message: String,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let sql = format!(
        r#"{REQUIRE_REAUTH} AND (installation_id, user_id) IN
             (SELECT installation_id, user_id FROM "mcpOauthTokens"
              WHERE refresh_token IS NULL AND expires_at <= ?2)"#
    );
    change(tx, &sql, [message, now.to_iso()])
}

/// Has instances wait for their users, unless they do, or something else is missing first.
const REQUIRE_REAUTH: &str = r#"UPDATE "mcpServerInstances"
    SET status = 'requires_reauth', status_message = ?1, status_updated_at = ?2, updated_at = ?2
    WHERE status NOT IN ('requires_reauth', 'awaiting_user_config', 'permanently_failed')"#;

fn pair(credential: &Credential) -> (&str, &str) {
    (credential.installation_id.as_str(), credential.user_id.as_str())
}

/// Whether the credential's team is that of the installation; gives the installation's pin.
fn check(
    tx: &Transaction<'_>,
    credential: &Credential,
) -> Result<Option<satellite_core::id::SatelliteId>, StoreError> {
    let found = installation(tx, credential.installation_id.clone())?;
    let found = found.filter(|found| found.team_id == credential.team_id);
    let found = found.ok_or(StoreError::Missing("installation"))?;
    let (installation, user) = pair(credential);
    let sql = r#"SELECT 1 FROM "mcpServerInstances" WHERE installation_id = ?1 AND user_id = ?2"#;
    one(tx, sql, [installation, user], |_| Ok(()))?.ok_or(StoreError::Missing("instance"))?;
    Ok(found.satellite_id)
}

fn read_credential(row: &Row<'_>) -> rusqlite::Result<Credential> {
    Ok(Credential {
        installation_id: id(row, "installation_id")?,
        user_id: id(row, "user_id")?,
        team_id: id(row, "team_id")?,
    })
}

fn read_flow(row: &Row<'_>) -> rusqlite::Result<OauthFlow> {
    let state_hash: Option<String> = row.get("state_hash")?;
    let started = state_hash.zip(row.get("started")?);
    Ok(OauthFlow {
        id: row.get("id")?,
        credential: read_credential(row)?,
        link_hash: row.get("link_hash")?,
        started: started.map(|(state_hash, text)| StartedFlow { state_hash, sealed: Sealed(text) }),
        expires_at: moment(row, "expires_at")?,
    })
}

fn read_token(row: &Row<'_>) -> rusqlite::Result<OauthToken> {
    Ok(OauthToken {
        credential: read_credential(row)?,
        granted: SealedGrant {
            access_token: Sealed(row.get("access_token")?),
            refresh_token: row.get::<_, Option<String>>("refresh_token")?.map(Sealed),
            token_type: row.get("token_type")?,
            issued_at: moment(row, "issued_at")?,
            expires_at: moment_option(row, "expires_at")?,
            scope: row.get("scope")?,
        },
        issuer: row.get("issuer")?,
        token_endpoint: row.get("token_endpoint")?,
        resource: row.get("resource")?,
        client: Sealed(row.get("client")?),
        leased_until: moment_option(row, "leased_until")?,
        lease_holder: row.get("lease_holder")?,
    })
}
