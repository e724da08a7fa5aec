//! Which request each command makes, and how its reply is shown.

use std::collections::BTreeMap;

use http::Method;
use satellite_core::secret::Secret;
use satellite_core::view::Transport;
use satellite_core::wire::admin::{
    AdminState, Argument, CreateServer, CreateTeam, CreateUser, Package, PackageTransport, Remote,
};
use satellite_core::wire::path::escape;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Administration, JobsCommand, NamedCommand, NewCommand, NewServer, QueueCommand,
    SatelliteCommand, ServerCommand, TokenCommand,
};
use crate::exit::{Exit, usage};

/// A request to the administration API.
#[derive(Debug)]
pub(super) struct ApiRequest {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Option<Value>,
    pub(super) shown: Shown,
}

/// How a reply is shown to people.
#[derive(Debug)]
pub(super) enum Shown {
    /// The list at this place of the reply, with these columns.
    List(&'static str, &'static [&'static str]),
    /// The thing at this place of the reply.
    One(&'static str),
    /// That it is done.
    Done(String),
}

const SATELLITES: &str = "/api/satellites/manage";

/// The request of a command. `Err` names an argument that cannot be used.
pub(super) fn request(command: &Administration) -> Result<ApiRequest, Exit> {
    Ok(match command {
        Administration::Token(command) => token(command),
        Administration::Satellite(command) => match command {
            SatelliteCommand::List(_) => list(
                SATELLITES,
                "/data/satellites",
                &[
                    "id",
                    "name",
                    "satellite_type",
                    "team_id",
                    "status",
                    "admin_state",
                    "last_heartbeat",
                ],
            ),
            SatelliteCommand::Get(it) => one(SATELLITES, &it.id, "/data/satellite"),
            SatelliteCommand::Maintenance { from, until, it } => {
                decide(&it.id, AdminState::Maintenance { from: *from, until: *until })
            }
            SatelliteCommand::Enable(it) => decide(&it.id, AdminState::Enabled),
            SatelliteCommand::Disable(it) => decide(&it.id, AdminState::Disabled),
            SatelliteCommand::Delete(it) => delete(SATELLITES, &it.id),
        },
        Administration::Team(command) => match command {
            NamedCommand::List(_) => list("/api/teams", "/data/teams", &["id", "name", "slug"]),
            NamedCommand::Get(it) => one("/api/teams", &it.id, "/data/team"),
            NamedCommand::Create { name, .. } => {
                create("/api/teams", &CreateTeam { name: name.clone(), slug: None }, "/data/team")?
            }
            NamedCommand::Delete(it) => delete("/api/teams", &it.id),
        },
        Administration::User(command) => match command {
            NamedCommand::List(_) => {
                list("/api/users", "/data/users", &["id", "username", "email"])
            }
            NamedCommand::Get(it) => one("/api/users", &it.id, "/data/user"),
            NamedCommand::Create { name, .. } => {
                let user = CreateUser { username: name.clone(), email: None, team_id: None };
                create("/api/users", &user, "/data/user")?
            }
            NamedCommand::Delete(it) => delete("/api/users", &it.id),
        },
        Administration::Member(command) => command.request(),
        Administration::Access(command) => command.request()?,
        Administration::Server(command) => match command {
            ServerCommand::List(_) => list(
                "/api/servers",
                "/data/servers",
                &["id", "name", "slug", "transport_type", "status"],
            ),
            ServerCommand::Get(it) => one("/api/servers", &it.id, "/data/server"),
            ServerCommand::Create(new) => create("/api/servers", &server(new)?, "/data/server")?,
            ServerCommand::Delete(it) => delete("/api/servers", &it.id),
            ServerCommand::Connect { installation, team, user, .. } => {
                let path = format!(
                    "/api/teams/{}/mcp/installations/{}/users/{}/connect",
                    escape(team),
                    escape(installation),
                    escape(user)
                );
                create(&path, &json!({}), "/data/connect")?
            }
        },
        Administration::Command(command) => match command {
            QueueCommand::List { satellite, .. } => list(
                &commands_of(satellite),
                "/data/commands",
                &["id", "command_type", "priority", "status", "created_at", "error_message"],
            ),
            QueueCommand::Get { id, satellite, .. } => {
                one(&commands_of(satellite), id, "/data/command")
            }
            QueueCommand::Send(new) => create(
                &commands_of(&new.satellite),
                &json!({
                    "command_type": new.command_type,
                    "priority": new.priority,
                    "payload": payload(new)?,
                }),
                "/data/command",
            )?,
        },
        Administration::Jobs(JobsCommand::List(_)) => list(
            "/api/jobs",
            "/data/jobs",
            &[
                "name",
                "every_seconds",
                "next_at",
                "under_way",
                "last_started_at",
                "last_duration_ms",
                "last_outcome",
                "last_message",
            ],
        ),
        Administration::Jobs(JobsCommand::Run(it)) => {
            create(&format!("/api/jobs/{}/run", escape(&it.id)), &json!({}), "/data/job")?
        }
        Administration::Events { satellite, team, after, .. } => {
            let after = after.map(|it| format!("?after={it}")).unwrap_or_default();
            let whose = match team {
                Some(team) => format!("/api/teams/{}", escape(team)),
                None => {
                    format!("{SATELLITES}/{}", escape(satellite.as_deref().unwrap_or_default()))
                }
            };
            list(
                &format!("{whose}/events{after}"),
                "/data/events",
                &["position", "timestamp", "type", "data"],
            )
        }
    })
}

/// Where the commands of a satellite are.
pub(super) fn commands_of(satellite: &str) -> String {
    format!("{SATELLITES}/{}/commands", escape(satellite))
}

fn token(command: &TokenCommand) -> ApiRequest {
    match command {
        TokenCommand::List(_) => list(
            "/api/satellites/registration-tokens",
            "/tokens",
            &["id", "token_type", "team_id", "expires_at", "used"],
        ),
        TokenCommand::Create { team, expires_in_hours, .. } => ApiRequest {
            method: Method::POST,
            path: match team {
                Some(team) => format!("/api/teams/{}/satellites/registration-tokens", escape(team)),
                None => String::from("/api/satellites/global/registration-tokens"),
            },
            body: Some(match expires_in_hours {
                Some(hours) => json!({"expires_in_hours": hours}),
                None => json!({}),
            }),
            shown: Shown::One("/data/token"),
        },
        TokenCommand::Delete(it) => delete("/api/satellites/registration-tokens", &it.id),
    }
}

fn server(new: &NewServer) -> Result<CreateServer, Exit> {
    let stdio = new.command.as_ref().map(|command| -> Result<_, Exit> {
        let env = pairs(&new.env, '=', "--env", "NAME=VALUE")?;
        Ok(Package { transport: PackageTransport { command: Some(command.clone()), env } })
    });
    let mut urls = new.url.iter().map(|url| Secret::new(url.clone()));
    let remote = urls.next().map(|url| -> Result<_, Exit> {
        let headers = pairs(&new.header, ':', "--header", "NAME: VALUE")?;
        Ok(Remote { url, urls: urls.collect(), headers })
    });
    let args = new.args.iter().map(|it| Argument { value: it.clone(), order: None });
    Ok(CreateServer {
        name: new.name.clone(),
        slug: None,
        description: None,
        transport_type: if remote.is_some() { Transport::Http } else { Transport::Stdio },
        source: Some(String::from("manual")),
        language: None,
        runtime: None,
        packages: stdio.transpose()?.into_iter().collect(),
        remotes: remote.transpose()?.into_iter().collect(),
        template_args: args.collect(),
        team_schema: Default::default(),
        user_schema: Default::default(),
        requires_oauth: new.oauth,
        repository_url: None,
        git_branch: None,
        git_commit_sha: None,
    })
}

fn pairs(
    texts: &[String],
    separator: char,
    flag: &str,
    form: &str,
) -> Result<BTreeMap<String, Secret>, Exit> {
    let mut pairs = BTreeMap::new();
    for text in texts {
        let Some((name, value)) = text.split_once(separator) else {
            // The text may be a secret, so it is not repeated.
            return Err(usage(
                format!("a value of {flag} has no {separator:?}"),
                format!("write {flag} '{form}'"),
            ));
        };
        pairs.insert(String::from(name.trim()), Secret::new(value.trim_start()));
    }
    Ok(pairs)
}

fn payload(new: &NewCommand) -> Result<Value, Exit> {
    let hint = "write --payload '{\"installation_id\": \"inst_9\"}'";
    match serde_json::from_str(&new.payload) {
        Ok(Value::Object(payload)) => Ok(Value::Object(payload)),
        Ok(_) => Err(usage("--payload is no JSON object", hint)),
        Err(error) => Err(usage(format!("--payload is no JSON: {error}"), hint)),
    }
}

pub(super) fn list(
    path: &str,
    place: &'static str,
    columns: &'static [&'static str],
) -> ApiRequest {
    let shown = Shown::List(place, columns);
    ApiRequest { method: Method::GET, path: String::from(path), body: None, shown }
}

fn one(path: &str, id: &str, place: &'static str) -> ApiRequest {
    let shown = Shown::One(place);
    ApiRequest { method: Method::GET, path: format!("{path}/{}", escape(id)), body: None, shown }
}

pub(super) fn create(
    path: &str,
    body: &impl Serialize,
    place: &'static str,
) -> Result<ApiRequest, Exit> {
    let body = serde_json::to_value(body)
        .map_err(|error| usage(format!("cannot write the request: {error}"), ""))?;
    let shown = Shown::One(place);
    Ok(ApiRequest { method: Method::POST, path: String::from(path), body: Some(body), shown })
}

/// What an administrator decides about a satellite.
fn decide(id: &str, admin_state: AdminState) -> ApiRequest {
    ApiRequest {
        method: Method::PATCH,
        path: format!("{SATELLITES}/{}", escape(id)),
        body: Some(json!({"admin_state": admin_state})),
        shown: Shown::One("/data/satellite"),
    }
}

pub(super) fn delete(path: &str, id: &str) -> ApiRequest {
    ApiRequest {
        method: Method::DELETE,
        path: format!("{path}/{}", escape(id)),
        body: None,
        shown: Shown::Done(format!("deleted {id}")),
    }
}
