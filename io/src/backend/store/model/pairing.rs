//! Registration tokens, pairing and keys.

use satellite_core::backend::registration::{Decision, decide};
use satellite_core::time::IsoTime;

use super::super::StoreError;
use super::super::records::{
    AdminState, JsonText, KeyHolder, KeyState, Registered, Registration, RegistrationToken,
    Satellite, namesakes_of, owner_of,
};
use super::tables::{RetiredKey, Tables};

pub(in super::super) fn create_registration_token(
    tables: &mut Tables,
    token: RegistrationToken,
) -> Result<(), StoreError> {
    let tokens = &mut tables.registration_tokens;
    if tokens.values().any(|known| known.token_hash == token.token_hash) {
        return Err(StoreError::Conflict("the token exists already".to_owned()));
    }
    if token.team_id.as_ref().is_some_and(|team| !tables.teams.contains_key(team)) {
        return Err(StoreError::Missing("team"));
    }
    tokens.insert(token.id.clone(), token);
    Ok(())
}

pub(in super::super) fn registration_tokens(
    tables: &mut Tables,
) -> Result<Vec<RegistrationToken>, StoreError> {
    let mut tokens: Vec<_> = tables.registration_tokens.values().cloned().collect();
    tokens.sort_by_key(|token| std::cmp::Reverse(token.created_at));
    Ok(tokens)
}

pub(in super::super) fn delete_registration_token(
    tables: &mut Tables,
    id: String,
) -> Result<bool, StoreError> {
    let unspent = tables.registration_tokens.get(&id).is_some_and(|token| !token.used);
    Ok(unspent && tables.registration_tokens.remove(&id).is_some())
}

pub(in super::super) fn register_satellite(
    tables: &mut Tables,
    registration: Registration,
) -> Result<Registered, StoreError> {
    let now = IsoTime(registration.now);
    let token = tables
        .registration_tokens
        .values_mut()
        .find(|token| token.token_hash == registration.token_hash);
    let Some(token) = token else { return Ok(Registered::TokenUnknown) };
    if owner_of(token.team_id.clone()) != registration.owner {
        return Ok(Registered::TokenUnknown);
    }
    if token.used {
        return Ok(Registered::TokenUsed);
    }
    if token.expires_at <= now {
        return Ok(Registered::TokenExpired);
    }
    let same_name = |known: &&Satellite| known.name == registration.name;
    let namesakes = namesakes_of(tables.satellites.values().filter(same_name));
    let known = match decide(&registration.owner, &namesakes) {
        Decision::Conflict => return Ok(Registered::NameTaken),
        Decision::Create => None,
        Decision::Replace(id) => tables.satellites.get_mut(&id),
    };
    let again = known.is_some();
    let satellite = match known {
        Some(known) => {
            known.satellite_url = registration.satellite_url;
            known.status = "inactive".to_owned();
            known.capabilities = registration.capabilities;
            known.system_info = registration.system_info;
            known.region = registration.region.or(known.region.take());
            known.updated_at = now;
            known.clone()
        }
        None => Satellite {
            id: registration.satellite_id,
            name: registration.name,
            satellite_type: registration.owner.satellite_type().as_str(),
            team_id: registration.owner.team().cloned(),
            status: "inactive".to_owned(),
            admin_state: AdminState::Enabled,
            maintenance_from: None,
            maintenance_until: None,
            capabilities: registration.capabilities,
            last_heartbeat: None,
            last_poll: None,
            system_info: registration.system_info,
            satellite_url: registration.satellite_url,
            region: registration.region,
            mcp_status: None,
            config: JsonText::of(&serde_json::Map::new()),
            config_version: 1,
            created_by: Some(token.created_by.clone()),
            created_at: now,
            updated_at: now,
        },
    };
    token.used = true;
    token.used_at = Some(now);
    token.used_by_satellite_id = Some(satellite.id.clone());
    tables.retire_key(&satellite.id, false, registration.now);
    tables
        .keys
        .insert(satellite.id.clone(), (registration.api_key_lookup, registration.api_key_hash));
    tables.satellites.insert(satellite.id.clone(), satellite.clone());
    Ok(Registered::Paired { satellite: Box::new(satellite), again })
}

pub(in super::super) fn key_holder(
    tables: &mut Tables,
    lookup: String,
) -> Result<Option<KeyHolder>, StoreError> {
    for (id, (known, hash)) in &tables.keys {
        if *known == lookup {
            let satellite = Box::new(tables.satellite(id)?.clone());
            let state = KeyState::Valid(satellite);
            return Ok(Some(KeyHolder { api_key_hash: hash.clone(), state }));
        }
    }
    Ok(tables.retired_keys.get(&lookup).map(|key| KeyHolder {
        api_key_hash: key.hash.clone(),
        state: if key.deleted { KeyState::Deleted } else { KeyState::Revoked },
    }))
}

pub(in super::super) fn secret(
    tables: &mut Tables,
    name: String,
    candidate: String,
) -> Result<(String, bool), StoreError> {
    let added = !tables.secrets.contains_key(&name);
    let value = tables.secrets.entry(name).or_insert(candidate).clone();
    Ok((value, added))
}

impl Tables {
    /// Remembers a satellite's key as no longer valid.
    pub(super) fn retire_key(
        &mut self,
        satellite: &satellite_core::id::SatelliteId,
        deleted: bool,
        at: satellite_core::time::Timestamp,
    ) {
        if let Some((lookup, hash)) = self.keys.get(satellite).cloned() {
            let satellite = satellite.clone();
            self.retired_keys.insert(lookup, RetiredKey { hash, satellite, deleted, at });
        }
        for key in self.retired_keys.values_mut() {
            key.deleted |= deleted && key.satellite == *satellite;
        }
    }
}
