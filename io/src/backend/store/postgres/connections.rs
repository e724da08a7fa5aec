//! Users' connections to remotes.

use satellite_core::id::SatelliteId;
use satellite_core::time::Timestamp;
use satellite_core::view::InstanceStatus;
use tokio_postgres::Row;

use super::super::StoreError;
use super::super::records::{
    Credential, Notice, OauthClient, OauthFlow, OauthToken, Sealed, SealedGrant, StartedFlow,
    Unrenewed,
};
use super::commands::file_notice;
use super::installations::installation;
use super::row::{change, get, id, list, moment, moment_option, one, values};
use super::{Outcome, Tx};

pub(in super::super) async fn create_oauth_flow(
    tx: &Tx<'_>,
    flow: &OauthFlow,
    now: &Timestamp,
) -> Outcome<()> {
    check(tx, &flow.credential).await?;
    let Credential { installation_id, user_id, team_id } = &flow.credential;
    let sql = r#"DELETE FROM "mcpOauthFlows"
                 WHERE expires_at <= $3 OR (installation_id = $1 AND user_id = $2)"#;
    change(tx, sql, values![installation_id, user_id, *now]).await?;
    let sql = r#"INSERT INTO "mcpOauthFlows"
                   (id, installation_id, user_id, team_id, link_hash, expires_at)
                 VALUES ($1, $2, $3, $4, $5, $6)"#;
    let link = &flow.link_hash;
    let values = values![&flow.id, installation_id, user_id, team_id, link, flow.expires_at];
    change(tx, sql, values).await?;
    Ok(())
}

pub(in super::super) async fn oauth_flow(
    tx: &Tx<'_>,
    link_hash: &str,
    now: &Timestamp,
) -> Outcome<Option<OauthFlow>> {
    let sql = r#"SELECT * FROM "mcpOauthFlows"
                 WHERE link_hash = $1 AND state_hash IS NULL AND expires_at > $2"#;
    one(tx, sql, values![link_hash, *now], read_flow).await
}

pub(in super::super) async fn start_oauth_flow(
    tx: &Tx<'_>,
    link_hash: &str,
    started: &StartedFlow,
    now: &Timestamp,
) -> Outcome<bool> {
    let sql = r#"UPDATE "mcpOauthFlows" SET state_hash = $2, started = $3
                 WHERE link_hash = $1 AND state_hash IS NULL AND expires_at > $4"#;
    let values = values![link_hash, &started.state_hash, &started.sealed.0, *now];
    Ok(change(tx, sql, values).await? == 1)
}

pub(in super::super) async fn take_oauth_flow(
    tx: &Tx<'_>,
    state_hash: &str,
    now: &Timestamp,
) -> Outcome<Option<OauthFlow>> {
    let sql = r#"DELETE FROM "mcpOauthFlows" WHERE state_hash = $1 RETURNING *"#;
    let flow = one(tx, sql, values![state_hash], read_flow).await?;
    Ok(flow.filter(|flow| *now < flow.expires_at.0))
}

pub(in super::super) async fn oauth_client(
    tx: &Tx<'_>,
    issuer: &str,
    redirect_uri: &str,
) -> Outcome<Option<OauthClient>> {
    let sql = r#"SELECT * FROM "mcpOauthClients" WHERE issuer = $1 AND redirect_uri = $2"#;
    one(tx, sql, values![issuer, redirect_uri], |row| {
        Ok(OauthClient {
            issuer: get(row, "issuer")?,
            redirect_uri: get(row, "redirect_uri")?,
            client: Sealed(get(row, "client")?),
            created_at: moment(row, "created_at")?,
        })
    })
    .await
}

pub(in super::super) async fn put_oauth_client(tx: &Tx<'_>, client: &OauthClient) -> Outcome<()> {
    let sql = r#"INSERT INTO "mcpOauthClients" (issuer, redirect_uri, client, created_at)
                 VALUES ($1, $2, $3, $4)
                 ON CONFLICT (issuer, redirect_uri) DO UPDATE SET
                   client = excluded.client, created_at = excluded.created_at"#;
    let values = values![&client.issuer, &client.redirect_uri, &client.client.0, client.created_at];
    change(tx, sql, values).await?;
    Ok(())
}

pub(in super::super) async fn forget_oauth_client(
    tx: &Tx<'_>,
    issuer: &str,
    redirect_uri: &str,
) -> Outcome<()> {
    let sql = r#"DELETE FROM "mcpOauthClients" WHERE issuer = $1 AND redirect_uri = $2"#;
    change(tx, sql, values![issuer, redirect_uri]).await?;
    Ok(())
}

pub(in super::super) async fn connect(
    tx: &Tx<'_>,
    token: &OauthToken,
    notice: &Notice,
) -> Outcome<()> {
    let pin = check(tx, &token.credential).await?;
    let Credential { installation_id, user_id, team_id } = &token.credential;
    let granted = &token.granted;
    change(
        tx,
        r#"INSERT INTO "mcpOauthTokens" (installation_id, user_id, team_id, access_token,
             refresh_token, token_type, expires_at, scope, issuer, token_endpoint, resource, client,
             issued_at, created_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13)
           ON CONFLICT (installation_id, user_id) DO UPDATE SET
             team_id = excluded.team_id, access_token = excluded.access_token,
             refresh_token = excluded.refresh_token, token_type = excluded.token_type,
             expires_at = excluded.expires_at, scope = excluded.scope, issuer = excluded.issuer,
             token_endpoint = excluded.token_endpoint, resource = excluded.resource,
             client = excluded.client, issued_at = excluded.issued_at,
             created_at = excluded.created_at, lease_holder = NULL, leased_until = NULL"#,
        values![
            installation_id,
            user_id,
            team_id,
            &granted.access_token.0,
            granted.refresh_token.as_ref().map(|sealed| &sealed.0),
            &granted.token_type,
            granted.expires_at,
            granted.scope.as_ref(),
            &token.issuer,
            &token.token_endpoint,
            &token.resource,
            &token.client.0,
            granted.issued_at,
        ],
    )
    .await?;
    let sql = r#"UPDATE "mcpServerInstances"
                 SET status = $4, status_message = NULL, status_updated_at = $5, updated_at = $5
                 WHERE installation_id = $1 AND user_id = $2 AND status = $3"#;
    let (from, to) = (InstanceStatus::RequiresReauth, InstanceStatus::Connecting);
    let values = values![installation_id, user_id, from.as_str(), to.as_str(), notice.now];
    change(tx, sql, values).await?;
    file_notice(tx, team_id, &[pin], notice).await
}

pub(in super::super) async fn oauth_token(
    tx: &Tx<'_>,
    credential: &Credential,
) -> Outcome<Option<OauthToken>> {
    let Credential { installation_id, user_id, team_id } = credential;
    let sql = r#"SELECT * FROM "mcpOauthTokens"
                 WHERE installation_id = $1 AND user_id = $2 AND team_id = $3"#;
    one(tx, sql, values![installation_id, user_id, team_id], read_token).await
}

pub(in super::super) async fn lease_renewal(
    tx: &Tx<'_>,
    credential: &Credential,
    holder: &str,
    now: &Timestamp,
    until: &Timestamp,
) -> Outcome<Option<OauthToken>> {
    let Credential { installation_id, user_id, team_id } = credential;
    let sql = r#"UPDATE "mcpOauthTokens" SET lease_holder = $4, leased_until = $5
                 WHERE installation_id = $1 AND user_id = $2 AND team_id = $3
                   AND refresh_token IS NOT NULL AND (leased_until IS NULL OR leased_until <= $6)
                 RETURNING *"#;
    let values = values![installation_id, user_id, team_id, holder, *until, *now];
    one(tx, sql, values, read_token).await
}

pub(in super::super) async fn renewed(
    tx: &Tx<'_>,
    credential: &Credential,
    holder: &str,
    granted: &SealedGrant,
) -> Outcome<bool> {
    let changed = change(
        tx,
        r#"UPDATE "mcpOauthTokens"
           SET access_token = $4, refresh_token = coalesce($5, refresh_token), token_type = $6,
               issued_at = $7, expires_at = $8, scope = coalesce($9, scope),
               lease_holder = NULL, leased_until = NULL
           WHERE installation_id = $1 AND user_id = $2 AND lease_holder = $3"#,
        values![
            &credential.installation_id,
            &credential.user_id,
            holder,
            &granted.access_token.0,
            granted.refresh_token.as_ref().map(|sealed| &sealed.0),
            &granted.token_type,
            granted.issued_at,
            granted.expires_at,
            granted.scope.as_ref(),
        ],
    )
    .await?;
    Ok(changed == 1)
}

pub(in super::super) async fn unrenewed(tx: &Tx<'_>, failure: &Unrenewed) -> Outcome<bool> {
    let Credential { installation_id, user_id, .. } = &failure.credential;
    let sql = r#"UPDATE "mcpOauthTokens"
                 SET lease_holder = NULL, leased_until = $4::timestamptz,
                     refresh_token =
                       CASE WHEN $4::timestamptz IS NULL THEN NULL ELSE refresh_token END
                 WHERE installation_id = $1 AND user_id = $2 AND lease_holder = $3"#;
    let next = failure.next.as_ref().ok().copied();
    let changed = change(tx, sql, values![installation_id, user_id, &failure.holder, next]).await?;
    if let (1, Err(message)) = (changed, &failure.next) {
        let sql = format!("{REQUIRE_REAUTH} AND installation_id = $3 AND user_id = $4");
        change(tx, &sql, values![message, failure.now, installation_id, user_id]).await?;
    }
    Ok(changed == 1)
}

pub(in super::super) async fn renewals_due(
    tx: &Tx<'_>,
    before: &Timestamp,
    now: &Timestamp,
    limit: &u32,
) -> Outcome<Vec<Credential>> {
    let sql = r#"SELECT installation_id, user_id, team_id FROM "mcpOauthTokens"
                 WHERE refresh_token IS NOT NULL AND expires_at < $1
                   AND (leased_until IS NULL OR leased_until <= $2)
                 ORDER BY expires_at, installation_id, user_id LIMIT $3"#;
    list(tx, sql, values![*before, *now, *limit], read_credential).await
}

pub(in super::super) async fn lapse_tokens(
    tx: &Tx<'_>,
    message: &str,
    now: &Timestamp,
) -> Outcome<u64> {
    let sql = format!(
        r#"{REQUIRE_REAUTH} AND (installation_id, user_id) IN
             (SELECT installation_id, user_id FROM "mcpOauthTokens"
              WHERE refresh_token IS NULL AND expires_at <= $2)"#
    );
    change(tx, &sql, values![message, *now]).await
}

/// Has instances wait for their users, unless they do, or something else is missing first.
const REQUIRE_REAUTH: &str = r#"UPDATE "mcpServerInstances"
    SET status = 'requires_reauth', status_message = $1, status_updated_at = $2, updated_at = $2
    WHERE status NOT IN ('requires_reauth', 'awaiting_user_config', 'permanently_failed')"#;

/// Whether the credential's team is that of the installation; gives the installation's pin. The
/// instance is held: it has one way and one token at a time.
async fn check(tx: &Tx<'_>, credential: &Credential) -> Outcome<Option<SatelliteId>> {
    let found = installation(tx, &credential.installation_id).await?;
    let found = found.filter(|found| found.team_id == credential.team_id);
    let found = found.ok_or(StoreError::Missing("installation"))?;
    let sql = r#"SELECT id FROM "mcpServerInstances"
                 WHERE installation_id = $1 AND user_id = $2 FOR NO KEY UPDATE"#;
    let place = values![&credential.installation_id, &credential.user_id];
    one(tx, sql, place, |_| Ok(())).await?.ok_or(StoreError::Missing("instance"))?;
    Ok(found.satellite_id)
}

fn read_credential(row: &Row) -> Outcome<Credential> {
    Ok(Credential {
        installation_id: id(row, "installation_id")?,
        user_id: id(row, "user_id")?,
        team_id: id(row, "team_id")?,
    })
}

fn read_flow(row: &Row) -> Outcome<OauthFlow> {
    let state_hash: Option<String> = get(row, "state_hash")?;
    let started = state_hash.zip(get(row, "started")?);
    Ok(OauthFlow {
        id: get(row, "id")?,
        credential: read_credential(row)?,
        link_hash: get(row, "link_hash")?,
        started: started.map(|(state_hash, text)| StartedFlow { state_hash, sealed: Sealed(text) }),
        expires_at: moment(row, "expires_at")?,
    })
}

fn read_token(row: &Row) -> Outcome<OauthToken> {
    Ok(OauthToken {
        credential: read_credential(row)?,
        granted: SealedGrant {
            access_token: Sealed(get(row, "access_token")?),
            refresh_token: get::<Option<String>>(row, "refresh_token")?.map(Sealed),
            token_type: get(row, "token_type")?,
            issued_at: moment(row, "issued_at")?,
            expires_at: moment_option(row, "expires_at")?,
            scope: get(row, "scope")?,
        },
        issuer: get(row, "issuer")?,
        token_endpoint: get(row, "token_endpoint")?,
        resource: get(row, "resource")?,
        client: Sealed(get(row, "client")?),
        leased_until: moment_option(row, "leased_until")?,
        lease_holder: get(row, "lease_holder")?,
    })
}
