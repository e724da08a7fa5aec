//! Teams, users, members, access tokens.

use axum::extract::Path;
use satellite_core::backend::{access_token, merge, roles};
use satellite_core::id::{TeamId, UserId};
use satellite_core::time::{IsoTime, SECOND};
use satellite_core::wire::Acknowledgement;
use satellite_core::wire::admin::{
    AccessToken, AccessTokenData, AccessTokenSummary, AccessTokensData, CreateAccessToken,
    CreateTeam, CreateUser, Member, SetMember, Team, TeamData, TeamsData, User, UserData,
    UsersData,
};
use serde_json::json;

use super::pages::{OfAccessTokens, Part, Whole};
use super::{created, shown};
use crate::backend::answer::{Answer, Body, Failure, ok};
use crate::backend::authority::Authorised;
use crate::backend::open::Backend;
use crate::backend::store::records::{self, ListOf};
use crate::backend::store::{Store, StoreError};

/// The command that has satellites forget what they know of a user's tokens.
const FORGET_USER: &str = "invalidate_user_token_cache";

pub(crate) async fn teams(backend: Authorised, part: Part<Whole>) -> Answer {
    let mut rows = backend.store.teams_page(part.of(ListOf::TEAMS)?).await?;
    let next_cursor = part.cut(ListOf::TEAMS, &mut rows);
    let mut teams = Vec::new();
    for team in rows {
        teams.push(whole_team(&backend, team).await?);
    }
    shown(TeamsData { teams, next_cursor })
}

pub(crate) async fn team(backend: Authorised, Path(id): Path<TeamId>) -> Answer {
    let team = backend.store.team(id).await?.ok_or_else(|| Failure::not_found("team"))?;
    shown(TeamData { team: whole_team(&backend, team).await? })
}

async fn whole_team(backend: &Backend, team: records::Team) -> Result<Team, StoreError> {
    let members = backend.store.members(team.id.clone()).await?.into_iter();
    let members = members.map(|member| Member { user_id: member.user_id, role: member.role });
    Ok(Team {
        id: team.id,
        name: team.name,
        slug: team.slug,
        members: members.collect(),
        created_at: team.created_at,
    })
}

pub(crate) async fn create_team(backend: Authorised, body: Body) -> Answer {
    let asked: CreateTeam = body.read("team")?;
    let slug = merge::slug(asked.slug.as_deref().unwrap_or(&asked.name));
    if slug.is_empty() {
        return Err(Failure::invalid("team: `name`: must hold a letter or a digit"));
    }
    let team = records::Team {
        id: TeamId::from(backend.id("team_")),
        name: asked.name,
        slug,
        created_at: IsoTime(backend.clock.now()),
    };
    backend.store.create_team(team.clone()).await?;
    Ok(created(TeamData { team: whole_team(&backend, team).await? }))
}

pub(crate) async fn delete_team(backend: Authorised, Path(id): Path<TeamId>) -> Answer {
    let payload = json!({"event": "team_deleted", "team_id": id});
    let notice = backend.notice("configure", &payload);
    if !backend.store.delete_team(id.clone(), notice).await? {
        return Err(Failure::not_found("team"));
    }
    backend.waiting.wake_all();
    ok(&Acknowledgement::new(format!("Team {id} and all that was its are deleted.")))
}

pub(crate) async fn set_member(
    backend: Authorised,
    Path((team, user)): Path<(TeamId, UserId)>,
    body: Body,
) -> Answer {
    let asked: SetMember = body.read_or_default("member")?;
    let role = asked.role.unwrap_or_else(|| roles::MEMBER.to_owned());
    if role != roles::MEMBER && role != roles::TEAM_ADMINISTRATOR {
        return Err(Failure::invalid("member: `role`: must be team_user or team_admin"));
    }
    add_member(&backend, &team, &user, role).await?;
    let team = backend.store.team(team).await?.ok_or_else(|| Failure::not_found("team"))?;
    shown(TeamData { team: whole_team(&backend, team).await? })
}

async fn add_member(
    backend: &Backend,
    team: &TeamId,
    user: &UserId,
    role: String,
) -> Result<(), StoreError> {
    let member = records::Member {
        team_id: team.clone(),
        user_id: user.clone(),
        role,
        created_at: IsoTime(backend.clock.now()),
    };
    let payload = json!({"event": "team_member_added", "team_id": team, "user_id": user});
    let notice = backend.notice("configure", &payload);
    let instances = format!("{}_", backend.id("inst_"));
    backend.store.put_member(member, instances, notice).await?;
    backend.waiting.wake_all();
    Ok(())
}

pub(crate) async fn remove_member(
    backend: Authorised,
    Path((team, user)): Path<(TeamId, UserId)>,
) -> Answer {
    let payload = json!({"event": "team_member_removed", "team_id": team, "user_id": user});
    let notice = backend.notice("configure", &payload);
    if !backend.store.remove_member(team, user, notice).await? {
        return Err(Failure::not_found("member"));
    }
    backend.waiting.wake_all();
    ok(&Acknowledgement::new("The user has left the team."))
}

pub(crate) async fn users(backend: Authorised, part: Part<Whole>) -> Answer {
    let mut rows = backend.store.users_page(part.of(ListOf::USERS)?).await?;
    let next_cursor = part.cut(ListOf::USERS, &mut rows);
    let mut users = Vec::new();
    for user in rows {
        users.push(whole_user(&backend, user).await?);
    }
    shown(UsersData { users, next_cursor })
}

pub(crate) async fn user(backend: Authorised, Path(id): Path<UserId>) -> Answer {
    let user = backend.store.user(id).await?.ok_or_else(|| Failure::not_found("user"))?;
    shown(UserData { user: whole_user(&backend, user).await? })
}

async fn whole_user(backend: &Backend, user: records::User) -> Result<User, StoreError> {
    let mut team_ids = Vec::new();
    for team in backend.store.teams().await? {
        let members = backend.store.members(team.id.clone()).await?;
        if members.iter().any(|member| member.user_id == user.id) {
            team_ids.push(team.id);
        }
    }
    Ok(User {
        id: user.id,
        username: user.username,
        email: user.email,
        team_ids,
        created_at: user.created_at,
    })
}

pub(crate) async fn create_user(backend: Authorised, body: Body) -> Answer {
    let asked: CreateUser = body.read("user")?;
    if asked.username.trim().is_empty() {
        return Err(Failure::invalid("user: `username`: must not be empty"));
    }
    if let Some(team) = &asked.team_id {
        let team = backend.store.team(team.clone()).await?;
        team.ok_or_else(|| Failure::not_found("team"))?;
    }
    let user = records::User {
        id: UserId::from(backend.id("user_")),
        username: asked.username,
        email: asked.email,
        created_at: IsoTime(backend.clock.now()),
    };
    backend.store.create_user(user.clone()).await?;
    if let Some(team) = &asked.team_id {
        add_member(&backend, team, &user.id, roles::MEMBER.to_owned()).await?;
    }
    Ok(created(UserData { user: whole_user(&backend, user).await? }))
}

pub(crate) async fn delete_user(backend: Authorised, Path(id): Path<UserId>) -> Answer {
    let user = backend.store.user(id).await?.ok_or_else(|| Failure::not_found("user"))?;
    let email = user.email.as_deref().unwrap_or_default();
    let payload = json!({"event": "user_deleted", "user_id": user.id, "user_email": email});
    let notices = vec![
        backend.notice(FORGET_USER, &payload),
        backend.notice("configure", &json!({"event": "user_deleted", "user_id": user.id})),
    ];
    backend.store.delete_user(user.id, notices).await?;
    backend.waiting.wake_all();
    ok(&Acknowledgement::new("The user and all that was theirs are deleted."))
}

pub(crate) async fn create_token(
    backend: Authorised,
    Path(user): Path<UserId>,
    body: Body,
) -> Answer {
    let asked: CreateAccessToken = body.read("access token")?;
    let members = backend.store.members(asked.team_id.clone()).await?;
    if !members.iter().any(|member| member.user_id == user) {
        return Err(Failure::not_found("user in this team"));
    }
    let life = asked
        .expires_in
        .map_or(access_token::STANDARD_LIFE_MS, |seconds| seconds.saturating_mul(SECOND));
    if life == 0 || life > access_token::LONGEST_LIFE_MS {
        let most = access_token::LONGEST_LIFE_MS / SECOND;
        let why = format!("access token: `expires_in`: must be 1 to {most} seconds");
        return Err(Failure::invalid(why));
    }
    let now = backend.clock.now();
    let (token, token_hash) = access_token::issue(&backend.random());
    let row = records::AccessToken {
        id: backend.id("atok_"),
        token_hash,
        user_id: user,
        team_id: asked.team_id,
        client_id: "satellite-admin".to_owned(),
        scope: asked.scope.unwrap_or_else(|| access_token::STANDARD_SCOPE.to_owned()),
        audience: asked.resource,
        expires_at: IsoTime(now.after(life)),
        created_at: IsoTime(now),
    };
    backend.store.create_access_token(row.clone()).await?;
    let access_token = AccessToken {
        id: row.id,
        token,
        user_id: row.user_id,
        team_id: row.team_id,
        scope: row.scope,
        expires_at: row.expires_at,
    };
    Ok(created(AccessTokenData { access_token }))
}

pub(crate) async fn tokens(
    backend: Authorised,
    Path(user): Path<UserId>,
    part: Part<OfAccessTokens>,
) -> Answer {
    backend.store.user(user.clone()).await?.ok_or_else(|| Failure::not_found("user"))?;
    let page = part.of(ListOf::ACCESS_TOKENS)?;
    let mut tokens = backend.store.access_tokens_page(user, page).await?;
    let next_cursor = part.cut(ListOf::ACCESS_TOKENS, &mut tokens);
    let access_tokens = tokens.into_iter().map(|token| AccessTokenSummary {
        id: token.id,
        team_id: token.team_id,
        client_id: token.client_id,
        scope: token.scope,
        created_at: token.created_at,
        expires_at: token.expires_at,
    });
    shown(AccessTokensData { access_tokens: access_tokens.collect(), next_cursor })
}

/// The token opens nothing here any more; its team's satellites are told to forget it at once.
pub(crate) async fn revoke_token(
    backend: Authorised,
    Path((user, token)): Path<(UserId, String)>,
) -> Answer {
    let payload = json!({"event": "access_token_revoked", "user_id": user});
    let notice = backend.notice(FORGET_USER, &payload);
    if !backend.store.delete_access_token(user, token, notice).await? {
        return Err(Failure::not_found("access token"));
    }
    backend.waiting.wake_all();
    ok(&Acknowledgement::new("The access token is revoked."))
}
