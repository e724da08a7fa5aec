//! Installations, users' settings, instance tokens, tools.

use axum::extract::Path;
use satellite_core::backend::instance_token;
use satellite_core::id::{InstallationId, TeamId, UserId};
use satellite_core::time::IsoTime;
use satellite_core::wire::Acknowledgement;
use satellite_core::wire::admin::{
    CreateInstallation, Installation, InstallationData, InstallationsData, Instance, InstanceToken,
    InstanceTokenData, UpdateInstallation, UserSettings,
};
use satellite_core::wire::decode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::pages::{OfInstallations, Part};
use super::{created, shown};
use crate::backend::answer::{Answer, Body, Failure, ok};
use crate::backend::authority::Authorised;
use crate::backend::open::Backend;
use crate::backend::store::records::{self, InstallationPatch, JsonText, ListOf};
use crate::backend::store::{Store, StoreError};

pub(crate) async fn list(
    backend: Authorised,
    Path(team): Path<TeamId>,
    part: Part<OfInstallations>,
) -> Answer {
    let page = part.of(ListOf::INSTALLATIONS)?;
    let mut rows = backend.store.installations_page(team, page).await?;
    let next_cursor = part.cut(ListOf::INSTALLATIONS, &mut rows);
    let mut installations = Vec::new();
    for installation in rows {
        installations.push(whole(&backend, installation).await?);
    }
    shown(InstallationsData { installations, next_cursor })
}

pub(crate) async fn get(
    backend: Authorised,
    Path((team, id)): Path<(TeamId, InstallationId)>,
) -> Answer {
    let installation = find(&backend, &team, id).await?;
    shown(InstallationData { installation: whole(&backend, installation).await? })
}

pub(crate) async fn create(backend: Authorised, Path(team): Path<TeamId>, body: Body) -> Answer {
    let asked: CreateInstallation = body.read("installation")?;
    backend.store.team(team.clone()).await?.ok_or_else(|| Failure::not_found("team"))?;
    let server = backend.store.server(asked.server_id.clone()).await?;
    server.ok_or_else(|| Failure::not_found("server"))?;
    if let Some(pin) = &asked.satellite_id {
        let satellite = backend.store.satellite(pin.clone()).await?;
        if !satellite.is_some_and(|satellite| satellite.owner().serves(&team)) {
            return Err(Failure::not_found("satellite that serves this team"));
        }
    }
    let now = IsoTime(backend.clock.now());
    let installation = records::Installation {
        id: InstallationId::from(backend.id("mcpi_")),
        team_id: team.clone(),
        server_id: asked.server_id,
        satellite_id: asked.satellite_id,
        created_by: None,
        installation_name: asked.installation_name,
        team_args: Some(JsonText::of(&asked.team_args)),
        team_env: Some(JsonText::of(&asked.team_env)),
        team_headers: Some(JsonText::of(&asked.team_headers)),
        team_url_query_params: Some(JsonText::of(&asked.team_url_query_params)),
        settings: Some(JsonText::of(&asked.settings)),
        generation: 1,
        created_at: now,
        updated_at: now,
    };
    let notice = backend.configure("mcp_installation_created", &installation.id, &team);
    let instances = format!("{}_", backend.id("inst_"));
    backend.store.create_installation(installation.clone(), instances, notice).await?;
    backend.waiting.wake_all();
    Ok(created(InstallationData { installation: whole(&backend, installation).await? }))
}

pub(crate) async fn update(
    backend: Authorised,
    Path((team, id)): Path<(TeamId, InstallationId)>,
    body: Body,
) -> Answer {
    let asked: UpdateInstallation = body.read("installation")?;
    let id = find(&backend, &team, id).await?.id;
    let patch = InstallationPatch {
        installation_name: asked.installation_name,
        satellite_id: None,
        team_args: asked.team_args.as_ref().map(JsonText::of),
        team_env: asked.team_env.as_ref().map(JsonText::of),
        team_headers: asked.team_headers.as_ref().map(JsonText::of),
        team_url_query_params: asked.team_url_query_params.as_ref().map(JsonText::of),
        settings: asked.settings.as_ref().map(JsonText::of),
        redeploy: false,
    };
    let notice = backend.configure("mcp_installation_updated", &id, &team);
    let installation = backend.store.update_installation(id, patch, notice).await?;
    backend.waiting.wake_all();
    shown(InstallationData { installation: whole(&backend, installation).await? })
}

/// Has every instance of the installation ended and started anew.
pub(crate) async fn redeploy(
    backend: Authorised,
    Path((team, id)): Path<(TeamId, InstallationId)>,
) -> Answer {
    let id = find(&backend, &team, id).await?.id;
    let patch = InstallationPatch { redeploy: true, ..InstallationPatch::default() };
    let notice = backend.configure("mcp_redeploy", &id, &team);
    let installation = backend.store.update_installation(id, patch, notice).await?;
    backend.waiting.wake_all();
    shown(InstallationData { installation: whole(&backend, installation).await? })
}

pub(crate) async fn delete(
    backend: Authorised,
    Path((team, id)): Path<(TeamId, InstallationId)>,
) -> Answer {
    let id = find(&backend, &team, id).await?.id;
    let notice = backend.configure("mcp_installation_deleted", &id, &team);
    backend.store.delete_installation(id, notice).await?;
    backend.waiting.wake_all();
    ok(&Acknowledgement::new("The installation is deleted."))
}

pub(crate) async fn set_user(
    backend: Authorised,
    Path((team, id, user)): Path<(TeamId, InstallationId, UserId)>,
    body: Body,
) -> Answer {
    let asked: UserSettings = body.read("user settings")?;
    let installation = find(&backend, &team, id).await?;
    instance_of(&backend, &installation.id, &user).await?;
    let configuration = records::UserConfiguration {
        installation_id: installation.id.clone(),
        user_id: user,
        user_args: Some(JsonText::of(&asked.user_args)),
        user_env: Some(JsonText::of(&asked.user_env)),
        user_headers: Some(JsonText::of(&asked.user_headers)),
        user_url_query_params: Some(JsonText::of(&asked.user_url_query_params)),
        updated_at: IsoTime(backend.clock.now()),
    };
    let notice = backend.configure("mcp_installation_updated", &installation.id, &team);
    backend.store.put_user_configuration(configuration, notice).await?;
    backend.waiting.wake_all();
    ok(&Acknowledgement::new("The user's settings are stored."))
}

pub(crate) async fn issue_token(
    backend: Authorised,
    Path((team, id, user)): Path<(TeamId, InstallationId, UserId)>,
) -> Answer {
    let installation = find(&backend, &team, id).await?;
    let instance = instance_of(&backend, &installation.id, &user).await?;
    let (token, token_hash) = instance_token::issue(&backend.random());
    let mut attempts = 0;
    let instance = loop {
        let path = instance_token::path(&backend.random());
        let notice = backend.configure("mcp_installation_updated", &installation.id, &team);
        let hash = token_hash.clone();
        match backend.store.set_instance_token(instance.id.clone(), path, hash, notice).await {
            // The path is another instance's: there are many more.
            Err(StoreError::Conflict(_)) if attempts < 8 => attempts += 1,
            other => break other?,
        }
    };
    backend.waiting.wake_all();
    let instance_token = InstanceToken {
        instance_id: instance.id,
        instance_path: instance.instance_path.unwrap_or_default(),
        token,
    };
    Ok(created(InstanceTokenData { instance_token }))
}

/// The body that switches a tool.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct SetTool {
    /// Whether it is switched off.
    is_disabled: bool,
}

/// `data` with a tool that was switched.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ToolSet {
    /// The tool: its name.
    tool_id: String,
    /// Its name.
    tool_name: String,
    /// Whether it is switched off.
    is_disabled: bool,
    /// Ties the commands to satellites together.
    correlation_id: String,
    /// For people.
    message: String,
}

pub(crate) async fn set_tool(
    backend: Authorised,
    Path((team, id, tool)): Path<(TeamId, InstallationId, String)>,
    body: Body,
) -> Answer {
    let SetTool { is_disabled } = body.read("tool")?;
    let installation = find(&backend, &team, id).await?;
    let server = backend.store.server(installation.server_id.clone()).await?;
    let payload = json!({
        "action": "update_tool_status",
        "installation_id": installation.id,
        "team_id": team,
        "server_slug": server.map(|server| server.slug),
        "tool_name": tool,
        "is_disabled": is_disabled,
    });
    let notice = backend.notice("configure", &payload);
    let correlation_id = notice.correlation_id.clone();
    backend.store.set_tool_disabled(installation.id, tool.clone(), is_disabled, notice).await?;
    backend.waiting.wake_all();
    let now = if is_disabled { "off" } else { "on" };
    shown(ToolSet {
        tool_id: tool.clone(),
        tool_name: tool,
        is_disabled,
        correlation_id,
        message: format!("The tool is switched {now}."),
    })
}

pub(super) async fn find(
    backend: &Backend,
    team: &TeamId,
    id: InstallationId,
) -> Result<records::Installation, Failure> {
    let installation = backend.store.installation(id).await?;
    installation
        .filter(|installation| installation.team_id == *team)
        .ok_or_else(|| Failure::not_found("installation"))
}

pub(super) async fn instance_of(
    backend: &Backend,
    installation: &InstallationId,
    user: &UserId,
) -> Result<records::Instance, Failure> {
    let instances = backend.store.instances(installation.clone()).await?;
    instances
        .into_iter()
        .find(|instance| instance.user_id == *user)
        .ok_or_else(|| Failure::not_found("user in this team"))
}

async fn whole(backend: &Backend, row: records::Installation) -> Result<Installation, StoreError> {
    let instances = backend.store.instances(row.id.clone()).await?.into_iter().map(instance);
    let settings = row.settings.as_ref().map(|settings| {
        decode("settings", settings.as_str().as_bytes()).map_err(StoreError::Failed)
    });
    Ok(Installation {
        instances: instances.collect::<Result<_, _>>()?,
        settings: settings.transpose()?.unwrap_or_default(),
        id: row.id,
        team_id: row.team_id,
        server_id: row.server_id,
        installation_name: row.installation_name,
        satellite_id: row.satellite_id,
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}

fn instance(row: records::Instance) -> Result<Instance, StoreError> {
    Ok(Instance {
        id: row.id,
        user_id: row.user_id,
        instance_path: row.instance_path,
        status: serde_json::from_value(Value::String(row.status))
            .map_err(|error| StoreError::Failed(format!("an instance's status: {error}")))?,
        status_message: row.status_message,
        status_updated_at: row.status_updated_at,
    })
}
