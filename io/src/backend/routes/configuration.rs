//! The configuration of a satellite.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use satellite_core::backend::merge::{self, Instance, TeamTier};
use satellite_core::backend::sha256_hex;
use satellite_core::id::SatelliteId;
use satellite_core::view::InstanceStatus;
use satellite_core::wire::admin::{CreateServer, UserSettings};
use satellite_core::wire::configuration::{
    ConfigurationReply, SatelliteConfig, ServerEntry, VERSION_IN_FORCE,
};
use satellite_core::wire::encode;
use serde_json::Value;

use crate::backend::answer::{Answer, ok};
use crate::backend::open::Backend;
use crate::backend::store::records::{ConfigurationInput, JsonText, Member, Satellite};
use crate::backend::store::{Store, StoreError};

pub(super) async fn fetch(
    State(backend): State<Arc<Backend>>,
    Path(satellite): Path<SatelliteId>,
    headers: HeaderMap,
) -> Answer {
    let satellite = backend.satellite(&headers, &satellite).await?;
    let in_force =
        headers.get(VERSION_IN_FORCE).and_then(|value| value.to_str().ok()?.parse().ok());
    let source = backend.store.configuration_source(satellite.id.clone(), in_force).await?;
    let mut reply = ConfigurationReply {
        mcp_servers: servers(&source.inputs)?,
        satellite_config: satellite_config(&satellite),
        version: None,
    };
    let tag = tag(&reply);
    reply.version = Some(source.version);
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let unchanged = known.is_some_and(|known| {
        known.split(',').map(|one| one.trim().trim_start_matches("W/")).any(|one| one == tag)
    });
    let mut response =
        if unchanged { StatusCode::NOT_MODIFIED.into_response() } else { ok(&reply)? };
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    let uncached = HeaderValue::from_static("private, no-cache");
    response.headers_mut().insert(header::CACHE_CONTROL, uncached);
    Ok(response)
}

/// An `ETag` that changes with the content. Statuses are not part of it: that one's own report of a
/// status comes back must not look like a change.
fn tag(reply: &ConfigurationReply) -> String {
    let mut content = reply.clone();
    for entry in content.mcp_servers.values_mut() {
        entry.instance_status = None;
    }
    format!("\"{}\"", sha256_hex(&encode(&content)))
}

fn servers(inputs: &[ConfigurationInput]) -> Result<BTreeMap<String, ServerEntry>, StoreError> {
    let mut servers = BTreeMap::new();
    for input in inputs {
        let template: CreateServer = stored("template", &input.server.definition)?;
        let installation = &input.installation;
        let team = TeamTier {
            args: optional("team_args", installation.team_args.as_ref())?,
            env: optional("team_env", installation.team_env.as_ref())?,
            headers: optional("team_headers", installation.team_headers.as_ref())?,
            query: optional("team_url_query_params", installation.team_url_query_params.as_ref())?,
        };
        for member in &input.members {
            let user = user_settings(input, member)?;
            if !merge::missing_from_user(&template, &user).is_empty() {
                continue;
            }
            let instance = instance(input, member)?;
            // A template that cannot be merged costs only its own entries.
            match merge::merge(&template, &team, &user, &instance) {
                Ok(entry) => {
                    servers.insert(merge::process_key(&template, &instance), entry);
                }
                Err(error) => tracing::warn!(
                    serverId = input.server.id,
                    operation = "configuration_merge",
                    error,
                    "A server is left out of the configuration"
                ),
            }
        }
    }
    Ok(servers)
}

fn user_settings(input: &ConfigurationInput, member: &Member) -> Result<UserSettings, StoreError> {
    let Some(row) = input.users.iter().find(|row| row.user_id == member.user_id) else {
        return Ok(UserSettings::default());
    };
    Ok(UserSettings {
        user_args: optional("user_args", row.user_args.as_ref())?,
        user_env: optional("user_env", row.user_env.as_ref())?,
        user_headers: optional("user_headers", row.user_headers.as_ref())?,
        user_url_query_params: optional(
            "user_url_query_params",
            row.user_url_query_params.as_ref(),
        )?,
    })
}

fn instance(input: &ConfigurationInput, member: &Member) -> Result<Instance, StoreError> {
    let row = input.instances.iter().find(|row| row.user_id == member.user_id);
    let status = row.map(|row| Value::String(row.status.clone()));
    Ok(Instance {
        installation: input.installation.id.clone(),
        installation_name: input.installation.installation_name.clone(),
        settings: optional("settings", input.installation.settings.as_ref())?,
        team: input.team.id.clone(),
        team_slug: input.team.slug.clone(),
        user: member.user_id.clone(),
        id: row.map(|row| row.id.clone()),
        path: row.and_then(|row| row.instance_path.clone()),
        token_hash: row.and_then(|row| row.token_hash.clone()),
        status: status.and_then(|status| serde_json::from_value::<InstanceStatus>(status).ok()),
        disabled_tools: input.disabled_tools.iter().cloned().collect(),
        generation: input.installation.generation,
    })
}

/// The built-in values, and over them, key by key, those of the satellite's own row.
fn satellite_config(satellite: &Satellite) -> SatelliteConfig {
    let standard = SatelliteConfig::standard(satellite.owner().satellite_type());
    let Ok(Value::Object(mut merged)) = serde_json::to_value(&standard) else { return standard };
    if let Value::Object(own) = satellite.config.value() {
        merged.extend(own);
    }
    serde_json::from_value(Value::Object(merged)).unwrap_or(standard)
}

fn optional<T: serde::de::DeserializeOwned + Default>(
    what: &str,
    text: Option<&JsonText>,
) -> Result<T, StoreError> {
    text.map_or_else(|| Ok(T::default()), |text| stored(what, text))
}

/// Reads a document of the database; one that cannot be read is a fault of the database.
fn stored<T: serde::de::DeserializeOwned>(what: &str, text: &JsonText) -> Result<T, StoreError> {
    // The text may hold secrets: the error says where it is wrong, not what stands there.
    serde_json::from_str(text.as_str()).map_err(|error| {
        StoreError::Failed(format!("{what} is damaged at column {}", error.column()))
    })
}
