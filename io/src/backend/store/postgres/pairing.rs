//! Registration tokens, pairing and keys.

use satellite_core::backend::registration::{Decision, decide};
use satellite_core::id::SatelliteId;
use satellite_core::time::Timestamp;
use tokio_postgres::Row;

use super::super::StoreError;
use super::super::records::{
    JsonText, KeyHolder, KeyState, Registered, Registration, RegistrationToken, namesakes_of,
    owner_of,
};
use super::row::{change, get, id_option, list, moment, moment_option, one, texts, values};
use super::satellites::{SATELLITE, find, read_satellite};
use super::{Outcome, Tx};

pub(in super::super) async fn create_registration_token(
    tx: &Tx<'_>,
    token: &RegistrationToken,
) -> Outcome<()> {
    change(
        tx,
        r#"INSERT INTO "satelliteRegistrationTokens" (id, token_type, team_id, token_hash,
             token_prefix, created_by, permissions, used, used_at, used_by_satellite_id, expires_at,
             created_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"#,
        values![
            &token.id,
            token.token_type,
            token.team_id.as_ref(),
            &token.token_hash,
            &token.token_prefix,
            &token.created_by,
            &JsonText::of(&token.permissions),
            token.used,
            token.used_at,
            token.used_by_satellite_id.as_ref(),
            token.expires_at,
            token.created_at,
        ],
    )
    .await?;
    Ok(())
}

pub(in super::super) async fn registration_tokens(tx: &Tx<'_>) -> Outcome<Vec<RegistrationToken>> {
    let sql = r#"SELECT * FROM "satelliteRegistrationTokens" ORDER BY created_at DESC, id"#;
    list(tx, sql, &[], read_token).await
}

pub(in super::super) async fn delete_registration_token(tx: &Tx<'_>, id: &str) -> Outcome<bool> {
    let sql = r#"DELETE FROM "satelliteRegistrationTokens" WHERE id = $1 AND NOT used"#;
    Ok(change(tx, sql, values![id]).await? > 0)
}

pub(in super::super) async fn register_satellite(
    tx: &Tx<'_>,
    registration: &Registration,
) -> Outcome<Registered> {
    // Held, so that of many who come with one token the first spends it and the others see that.
    let sql = r#"SELECT * FROM "satelliteRegistrationTokens" WHERE token_hash = $1 FOR UPDATE"#;
    let token = one(tx, sql, values![&registration.token_hash], read_token).await?;
    let Some(token) = token else { return Ok(Registered::TokenUnknown) };
    if owner_of(token.team_id.clone()) != registration.owner {
        return Ok(Registered::TokenUnknown);
    }
    if token.used {
        return Ok(Registered::TokenUsed);
    }
    if token.expires_at.0 <= registration.now {
        return Ok(Registered::TokenExpired);
    }
    // The name is held as well, which may not have a row yet.
    let sql = "SELECT 1 FROM (SELECT pg_advisory_xact_lock(hashtextextended($1, 0))) AS held";
    change(tx, sql, values![&registration.name]).await?;
    let sql = format!("{SATELLITE} WHERE name = $1 FOR NO KEY UPDATE");
    let namesakes = list(tx, &sql, values![&registration.name], read_satellite).await?;
    let (satellite_id, again) = match decide(&registration.owner, &namesakes_of(&namesakes)) {
        Decision::Conflict => return Ok(Registered::NameTaken),
        Decision::Create => (registration.satellite_id.clone(), false),
        Decision::Replace(id) => (id, true),
    };
    let sql = r#"UPDATE "satelliteRegistrationTokens"
                 SET used = true, used_at = $2, used_by_satellite_id = $3 WHERE id = $1"#;
    change(tx, sql, values![&token.id, registration.now, &satellite_id]).await?;
    if again {
        renew(tx, &satellite_id, registration).await?;
    } else {
        insert(tx, &token, registration).await?;
    }
    let satellite = find(tx, &satellite_id).await?.ok_or(StoreError::Missing("satellite"))?;
    Ok(Registered::Paired { satellite: Box::new(satellite), again })
}

async fn renew(tx: &Tx<'_>, known: &SatelliteId, registration: &Registration) -> Outcome<()> {
    retire_keys(tx, "id", known.as_str(), "api_key_revoked", registration.now).await?;
    change(
        tx,
        r#"UPDATE satellites
           SET satellite_url = $2, status = 'inactive', capabilities = $3, api_key_lookup = $4,
               api_key_hash = $5, system_info = $6, region = coalesce($7, region), updated_at = $8
           WHERE id = $1"#,
        values![
            known,
            &registration.satellite_url,
            &JsonText::of(&registration.capabilities),
            &registration.api_key_lookup,
            &registration.api_key_hash,
            registration.system_info.as_ref(),
            registration.region.as_ref(),
            registration.now,
        ],
    )
    .await?;
    Ok(())
}

async fn insert(
    tx: &Tx<'_>,
    token: &RegistrationToken,
    registration: &Registration,
) -> Outcome<()> {
    change(
        tx,
        r#"INSERT INTO satellites (id, name, satellite_type, team_id, status, capabilities,
             api_key_lookup, api_key_hash, system_info, satellite_url, region, config, created_by,
             created_at, updated_at)
           VALUES ($1, $2, $3, $4, 'inactive', $5, $6, $7, $8, $9, $10, '{}', $11, $12, $12)"#,
        values![
            &registration.satellite_id,
            &registration.name,
            registration.owner.satellite_type().as_str(),
            registration.owner.team(),
            &JsonText::of(&registration.capabilities),
            &registration.api_key_lookup,
            &registration.api_key_hash,
            registration.system_info.as_ref(),
            &registration.satellite_url,
            registration.region.as_ref(),
            &token.created_by,
            registration.now,
        ],
    )
    .await?;
    Ok(())
}

/// Remembers the keys of the satellites whose `column` is `value`, for the reason given. They are
/// held, so that none gets another key meanwhile.
pub(super) async fn retire_keys(
    tx: &Tx<'_>,
    column: &'static str,
    value: &str,
    reason: &'static str,
    now: Timestamp,
) -> Outcome<()> {
    let sql = format!(
        r#"INSERT INTO "satelliteRetiredKeys"
             (api_key_lookup, api_key_hash, satellite_id, reason, retired_at)
           SELECT api_key_lookup, api_key_hash, id, $2::text, $3::timestamptz
           FROM satellites WHERE {column} = $1 FOR UPDATE
           ON CONFLICT DO NOTHING"#
    );
    change(tx, &sql, values![value, reason, now]).await?;
    Ok(())
}

pub(in super::super) async fn key_holder(tx: &Tx<'_>, lookup: &str) -> Outcome<Option<KeyHolder>> {
    let sql = format!("{SATELLITE} WHERE api_key_lookup = $1");
    let valid = one(tx, &sql, values![lookup], |row| {
        Ok(KeyHolder {
            api_key_hash: get(row, "api_key_hash")?,
            state: KeyState::Valid(Box::new(read_satellite(row)?)),
        })
    })
    .await?;
    if valid.is_some() {
        return Ok(valid);
    }
    let sql =
        r#"SELECT api_key_hash, reason FROM "satelliteRetiredKeys" WHERE api_key_lookup = $1"#;
    one(tx, sql, values![lookup], |row| {
        let deleted = get::<String>(row, "reason")? == "satellite_deleted";
        Ok(KeyHolder {
            api_key_hash: get(row, "api_key_hash")?,
            state: if deleted { KeyState::Deleted } else { KeyState::Revoked },
        })
    })
    .await
}

pub(in super::super) async fn secret(
    tx: &Tx<'_>,
    name: &str,
    candidate: &str,
) -> Outcome<(String, bool)> {
    let sql =
        r#"INSERT INTO "backendSecrets" (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING"#;
    let added = change(tx, sql, values![name, candidate]).await? > 0;
    let sql = r#"SELECT value FROM "backendSecrets" WHERE name = $1"#;
    let value = one(tx, sql, values![name], |row| get::<String>(row, "value")).await?;
    Ok((value.unwrap_or_else(|| candidate.to_owned()), added))
}

pub(super) fn read_token(row: &Row) -> Outcome<RegistrationToken> {
    let team_id = id_option(row, "team_id")?;
    Ok(RegistrationToken {
        id: get(row, "id")?,
        token_type: owner_of(team_id.clone()).satellite_type().as_str(),
        team_id,
        token_hash: get(row, "token_hash")?,
        token_prefix: get(row, "token_prefix")?,
        created_by: get(row, "created_by")?,
        permissions: texts(row, "permissions")?,
        used: get(row, "used")?,
        used_at: moment_option(row, "used_at")?,
        used_by_satellite_id: id_option(row, "used_by_satellite_id")?,
        expires_at: moment(row, "expires_at")?,
        created_at: moment(row, "created_at")?,
    })
}
