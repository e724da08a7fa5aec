//! Registration tokens, pairing and keys.

use rusqlite::{Row, Transaction, params};
use satellite_core::backend::registration::{Decision, decide};
use satellite_core::id::SatelliteId;

use super::super::StoreError;
use super::super::records::{
    JsonText, KeyHolder, KeyState, Registered, Registration, RegistrationToken, namesakes_of,
    owner_of,
};
use super::row::{change, id, id_option, iso, list, moment, moment_option, one, text, texts};
use super::satellites::{SATELLITE, read_satellite};

pub(in super::super) fn create_registration_token(
    tx: &Transaction<'_>,
    token: RegistrationToken,
) -> Result<(), StoreError> {
    change(
        tx,
        r#"INSERT INTO "satelliteRegistrationTokens" (id, token_type, team_id, token_hash,
             token_prefix, created_by, permissions, used, used_at, used_by_satellite_id, expires_at,
             created_at)
           VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"#,
        params![
            token.id,
            token.token_type,
            token.team_id.as_ref().map(|team| team.as_str()),
            token.token_hash,
            token.token_prefix,
            token.created_by,
            JsonText::of(&token.permissions).as_str(),
            token.used,
            iso(token.used_at),
            token.used_by_satellite_id.as_ref().map(|satellite| satellite.as_str()),
            token.expires_at.0.to_iso(),
            token.created_at.0.to_iso(),
        ],
    )?;
    Ok(())
}

pub(in super::super) fn registration_tokens(
    tx: &Transaction<'_>,
) -> Result<Vec<RegistrationToken>, StoreError> {
    list(
        tx,
        r#"SELECT * FROM "satelliteRegistrationTokens" ORDER BY created_at DESC, id"#,
        [],
        read_token,
    )
}

pub(in super::super) fn delete_registration_token(
    tx: &Transaction<'_>,
    id: String,
) -> Result<bool, StoreError> {
    let sql = r#"DELETE FROM "satelliteRegistrationTokens" WHERE id = ?1 AND used = 0"#;
    Ok(change(tx, sql, [id])? > 0)
}

pub(in super::super) fn register_satellite(
    tx: &Transaction<'_>,
    registration: Registration,
) -> Result<Registered, StoreError> {
    let token = one(
        tx,
        r#"SELECT * FROM "satelliteRegistrationTokens" WHERE token_hash = ?1"#,
        [&registration.token_hash],
        read_token,
    )?;
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
    let sql = format!("{SATELLITE} WHERE name = ?1");
    let namesakes = list(tx, &sql, [&registration.name], read_satellite)?;
    let (satellite_id, again) = match decide(&registration.owner, &namesakes_of(&namesakes)) {
        Decision::Conflict => return Ok(Registered::NameTaken),
        Decision::Create => (registration.satellite_id.clone(), false),
        Decision::Replace(id) => (id, true),
    };
    let now = registration.now.to_iso();
    change(
        tx,
        r#"UPDATE "satelliteRegistrationTokens"
           SET used = 1, used_at = ?2, used_by_satellite_id = ?3 WHERE id = ?1"#,
        params![token.id, now, satellite_id.as_str()],
    )?;
    if again {
        renew(tx, &satellite_id, &registration, &now)?;
    } else {
        insert(tx, &token, &registration, &now)?;
    }
    let sql = format!("{SATELLITE} WHERE id = ?1");
    let satellite = one(tx, &sql, [satellite_id.as_str()], read_satellite)?
        .ok_or(StoreError::Missing("satellite"))?;
    Ok(Registered::Paired { satellite: Box::new(satellite), again })
}

fn renew(
    tx: &Transaction<'_>,
    known: &SatelliteId,
    registration: &Registration,
    now: &str,
) -> Result<(), StoreError> {
    retire_keys(tx, "id", known.as_str(), "api_key_revoked", now)?;
    change(
        tx,
        r#"UPDATE satellites
           SET satellite_url = ?2, status = 'inactive', capabilities = ?3, api_key_lookup = ?4,
               api_key_hash = ?5, system_info = ?6, region = coalesce(?7, region), updated_at = ?8
           WHERE id = ?1"#,
        params![
            known.as_str(),
            registration.satellite_url,
            JsonText::of(&registration.capabilities).as_str(),
            registration.api_key_lookup,
            registration.api_key_hash,
            text(registration.system_info.as_ref()),
            registration.region,
            now,
        ],
    )?;
    Ok(())
}

fn insert(
    tx: &Transaction<'_>,
    token: &RegistrationToken,
    registration: &Registration,
    now: &str,
) -> Result<(), StoreError> {
    change(
        tx,
        r#"INSERT INTO satellites (id, name, satellite_type, team_id, status, capabilities,
             api_key_lookup, api_key_hash, system_info, satellite_url, region, config, created_by,
             created_at, updated_at)
           VALUES (?1, ?2, ?3, ?4, 'inactive', ?5, ?6, ?7, ?8, ?9, ?10, '{}', ?11, ?12, ?12)"#,
        params![
            registration.satellite_id.as_str(),
            registration.name,
            registration.owner.satellite_type().as_str(),
            registration.owner.team().map(|team| team.as_str()),
            JsonText::of(&registration.capabilities).as_str(),
            registration.api_key_lookup,
            registration.api_key_hash,
            text(registration.system_info.as_ref()),
            registration.satellite_url,
            registration.region,
            token.created_by,
            now,
        ],
    )?;
    Ok(())
}

/// Remembers the keys of the satellites whose `column` is `value`, for the reason given.
pub(super) fn retire_keys(
    tx: &Transaction<'_>,
    column: &str,
    value: &str,
    reason: &str,
    now: &str,
) -> Result<(), StoreError> {
    let sql = format!(
        r#"INSERT OR IGNORE INTO "satelliteRetiredKeys"
             (api_key_lookup, api_key_hash, satellite_id, reason, retired_at)
           SELECT api_key_lookup, api_key_hash, id, ?2, ?3 FROM satellites WHERE {column} = ?1"#
    );
    change(tx, &sql, params![value, reason, now])?;
    Ok(())
}

pub(in super::super) fn key_holder(
    tx: &Transaction<'_>,
    lookup: String,
) -> Result<Option<KeyHolder>, StoreError> {
    let sql = format!("{SATELLITE} WHERE api_key_lookup = ?1");
    let valid = one(tx, &sql, [&lookup], |row| {
        Ok(KeyHolder {
            api_key_hash: row.get("api_key_hash")?,
            state: KeyState::Valid(Box::new(read_satellite(row)?)),
        })
    })?;
    if valid.is_some() {
        return Ok(valid);
    }
    let sql = r#"SELECT api_key_hash, reason, satellite_id FROM "satelliteRetiredKeys"
                 WHERE api_key_lookup = ?1"#;
    one(tx, sql, [&lookup], |row| {
        let deleted = row.get::<_, String>("reason")? == "satellite_deleted";
        Ok(KeyHolder {
            api_key_hash: row.get("api_key_hash")?,
            state: if deleted { KeyState::Deleted } else { KeyState::Revoked },
        })
    })
}

pub(in super::super) fn secret(
    tx: &Transaction<'_>,
    name: String,
    candidate: String,
) -> Result<(String, bool), StoreError> {
    let sql = r#"INSERT OR IGNORE INTO "backendSecrets" (name, value) VALUES (?1, ?2)"#;
    let added = change(tx, sql, [&name, &candidate])? > 0;
    let sql = r#"SELECT value FROM "backendSecrets" WHERE name = ?1"#;
    let value = one(tx, sql, [&name], |row| row.get(0))?.unwrap_or(candidate);
    Ok((value, added))
}

pub(super) fn read_token(row: &Row<'_>) -> rusqlite::Result<RegistrationToken> {
    let team_id = id_option(row, "team_id")?;
    Ok(RegistrationToken {
        id: row.get("id")?,
        token_type: owner_of(team_id.clone()).satellite_type().as_str(),
        team_id,
        token_hash: row.get("token_hash")?,
        token_prefix: row.get("token_prefix")?,
        created_by: id(row, "created_by")?,
        permissions: texts(row, "permissions")?,
        used: row.get("used")?,
        used_at: moment_option(row, "used_at")?,
        used_by_satellite_id: id_option(row, "used_by_satellite_id")?,
        expires_at: moment(row, "expires_at")?,
        created_at: moment(row, "created_at")?,
    })
}
