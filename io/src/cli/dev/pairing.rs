//! What `dev` needs at its Backend: a team, a user, servers, tokens. Everything is made through the
//! administration API, once, and found again by the next start.

use std::path::Path;

use http::Method;
use satellite_core::id::{InstallationId, TeamId, UserId};
use satellite_core::secret::Secret;
use satellite_core::time::{DAY, HOUR, Timestamp};
use satellite_core::wire::admin::{
    AccessTokenData, ConnectLinkData, CreateAccessToken, CreateInstallation, CreateTeam,
    CreateUser, InstallationData, InstallationsData, InstanceTokenData, Reply, Server, ServerData,
    ServersData, SetMember, TeamData, TeamsData, UserData, UsersData,
};
use satellite_core::wire::path::escape;
use serde_json::{Value, json};

use super::super::api::Api;
use super::memory::{Access, Memory, Remembered};
use super::servers::Wanted;
use crate::exit::{Exit, fault};

const TEAM: &str = "dev";
const USER: &str = "dev";
/// Life of the token for `/mcp`.
const ACCESS_SECONDS: u64 = 365 * DAY / 1_000;

/// Brings the Backend to what `wanted` says and notes every step in `memory`.
pub(super) struct Pairing<'a> {
    pub(super) api: &'a Api,
    pub(super) directory: &'a Path,
    pub(super) memory: &'a mut Memory,
    pub(super) now: Timestamp,
}

/// Whom everything belongs to.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    pub(super) team: TeamId,
    pub(super) user: UserId,
    pub(super) token: Secret,
}

/// Where the owner signs in to an installation's server: good once.
pub(super) async fn link(
    api: &Api,
    owner: &Owner,
    installation: &InstallationId,
) -> Result<Secret, Exit> {
    let path = format!(
        "/api/teams/{}/mcp/installations/{}/users/{}/connect",
        escape(owner.team.as_str()),
        escape(installation.as_str()),
        escape(owner.user.as_str())
    );
    let reply: Reply<ConnectLinkData> = api.post(&path, &json!({})).await?;
    Ok(reply.data.connect.url)
}

impl Pairing<'_> {
    /// The team, the user, and the user's token.
    pub(super) async fn owner(&mut self) -> Result<Owner, Exit> {
        let team = self.team().await?;
        let user = self.user(&team).await?;
        let token = self.access_token(&team, &user).await?;
        Ok(Owner { team, user, token })
    }

    /// A token with which one satellite of the team can pair.
    pub(super) async fn registration_token(&self, team: &TeamId) -> Result<Secret, Exit> {
        let path = format!("/api/teams/{}/satellites/registration-tokens", escape(team.as_str()));
        let reply: Value = self.api.post(&path, &json!({"expires_in_hours": 1})).await?;
        match reply.pointer("/data/token/token").and_then(Value::as_str) {
            Some(token) => Ok(Secret::new(token)),
            None => Err(fault("the Backend issued no registration token", "see its log")),
        }
    }

    /// One installation for each wanted server, none for others.
    pub(super) async fn servers(&mut self, owner: &Owner, wanted: &[Wanted]) -> Result<(), Exit> {
        let gone: Vec<String> = self
            .memory
            .servers
            .keys()
            .filter(|name| !wanted.iter().any(|it| it.name == **name))
            .cloned()
            .collect();
        for name in gone {
            self.remove(&owner.team, &name).await?;
        }
        for server in wanted {
            self.server(owner, server).await?;
        }
        Ok(())
    }

    async fn team(&mut self) -> Result<TeamId, Exit> {
        let teams: Reply<TeamsData> = self.api.get("/api/teams?limit=1000").await?;
        let found = teams.data.teams.into_iter().find(|team| match &self.memory.team_id {
            Some(id) => team.id == *id,
            None => team.slug == TEAM,
        });
        let id = match found {
            Some(team) => team.id,
            None => {
                let team = CreateTeam { name: String::from(TEAM), slug: Some(String::from(TEAM)) };
                self.api.post::<Reply<TeamData>>("/api/teams", &team).await?.data.team.id
            }
        };
        self.memory.team_id = Some(id.clone());
        self.memory.write(self.directory)?;
        Ok(id)
    }

    async fn user(&mut self, team: &TeamId) -> Result<UserId, Exit> {
        let users: Reply<UsersData> = self.api.get("/api/users?limit=1000").await?;
        let found = users.data.users.into_iter().find(|user| match &self.memory.user_id {
            Some(id) => user.id == *id,
            None => user.username == USER,
        });
        let id = match found {
            Some(user) => user.id,
            None => {
                let user = CreateUser { username: String::from(USER), email: None, team_id: None };
                self.api.post::<Reply<UserData>>("/api/users", &user).await?.data.user.id
            }
        };
        let member =
            format!("/api/teams/{}/members/{}", escape(team.as_str()), escape(id.as_str()));
        let role = SetMember { role: Some(String::from("team_admin")) };
        self.api.call::<Value>(Method::PUT, &member, Some(&role)).await?;
        self.memory.user_id = Some(id.clone());
        self.memory.write(self.directory)?;
        Ok(id)
    }

    async fn access_token(&mut self, team: &TeamId, user: &UserId) -> Result<Secret, Exit> {
        if let Some(access) = &self.memory.access
            && access.expires_at.0 > self.now.after(24 * HOUR)
        {
            return Ok(access.token.clone());
        }
        let path = format!("/api/users/{}/tokens", escape(user.as_str()));
        let body = CreateAccessToken {
            team_id: team.clone(),
            scope: None,
            resource: Vec::new(),
            expires_in: Some(ACCESS_SECONDS),
        };
        let reply: Reply<AccessTokenData> = self.api.post(&path, &body).await?;
        let issued = reply.data.access_token;
        let token = issued.token.clone();
        self.memory.access = Some(Access { token: issued.token, expires_at: issued.expires_at });
        self.memory.write(self.directory)?;
        Ok(token)
    }

    async fn server(&mut self, owner: &Owner, wanted: &Wanted) -> Result<(), Exit> {
        let installations = installations(&owner.team);
        let known = self.memory.servers.get(&wanted.name).cloned();
        if let Some(known) = known {
            let path = format!("{installations}/{}", escape(known.installation_id.as_str()));
            let exists = self.api.get::<Value>(&path).await.is_ok();
            if exists && known.template_digest == wanted.template_digest() {
                if known.tier_digest != wanted.tier_digest() {
                    self.api.call::<Value>(Method::PATCH, &path, Some(&wanted.tier)).await?;
                    let tier_digest = wanted.tier_digest();
                    self.remember(wanted, Remembered { tier_digest, ..known })?;
                }
                return Ok(());
            }
            self.remove(&owner.team, &wanted.name).await?;
        }
        self.clear(owner, wanted).await?;
        let server: Reply<ServerData> = self.api.post("/api/servers", &wanted.template).await?;
        let server_id = server.data.server.id;
        let tier = &wanted.tier;
        let body = CreateInstallation {
            server_id: server_id.clone(),
            installation_name: wanted.name.clone(),
            satellite_id: None,
            team_args: tier.team_args.clone().unwrap_or_default(),
            team_env: tier.team_env.clone().unwrap_or_default(),
            team_headers: tier.team_headers.clone().unwrap_or_default(),
            team_url_query_params: Default::default(),
            settings: Default::default(),
        };
        let installed: Reply<InstallationData> = self.api.post(&installations, &body).await?;
        let installation_id = installed.data.installation.id;
        let path = format!(
            "{installations}/{}/users/{}/token",
            escape(installation_id.as_str()),
            escape(owner.user.as_str())
        );
        let reply: Reply<InstanceTokenData> = self.api.post(&path, &json!({})).await?;
        let token = reply.data.instance_token;
        self.remember(
            wanted,
            Remembered {
                server_id,
                installation_id,
                instance_path: token.instance_path,
                instance_token: token.token,
                template_digest: wanted.template_digest(),
                tier_digest: wanted.tier_digest(),
            },
        )
    }

    /// Removes what a start that broke off made of a server and could not remember.
    async fn clear(&self, owner: &Owner, wanted: &Wanted) -> Result<(), Exit> {
        let servers: Reply<ServersData> = self.api.get("/api/servers?limit=1000").await?;
        let same = |it: &Server| it.definition.slug == wanted.template.slug;
        let Some(server) = servers.data.servers.into_iter().find(same) else { return Ok(()) };
        let path = installations(&owner.team);
        let installed: Reply<InstallationsData> =
            self.api.get(&format!("{path}?limit=1000")).await?;
        for it in installed.data.installations.iter().filter(|it| it.server_id == server.id) {
            let path = format!("{path}/{}", escape(it.id.as_str()));
            self.api.call::<Value>(Method::DELETE, &path, None::<&()>).await?;
        }
        // Refused while another team has it installed: then it is not a leftover of ours.
        let path = format!("/api/servers/{}", escape(&server.id));
        self.api.call::<Value>(Method::DELETE, &path, None::<&()>).await.map(|_| ())
    }

    fn remember(&mut self, wanted: &Wanted, server: Remembered) -> Result<(), Exit> {
        self.memory.servers.insert(wanted.name.clone(), server);
        self.memory.write(self.directory)
    }

    /// Removes a server and its installation. What is gone already is no error.
    async fn remove(&mut self, team: &TeamId, name: &str) -> Result<(), Exit> {
        if let Some(known) = self.memory.servers.remove(name) {
            let installation =
                format!("{}/{}", installations(team), escape(known.installation_id.as_str()));
            let server = format!("/api/servers/{}", escape(&known.server_id));
            for path in [installation, server] {
                if self.api.get::<Value>(&path).await.is_ok() {
                    self.api.call::<Value>(Method::DELETE, &path, None::<&()>).await?;
                }
            }
        }
        self.memory.write(self.directory)
    }
}

fn installations(team: &TeamId) -> String {
    format!("/api/teams/{}/mcp/installations", escape(team.as_str()))
}
