//! Teams, users, members, access tokens.

use satellite_core::id::{InstanceId, TeamId, UserId};

use super::super::StoreError;
use super::super::records::{AccessToken, Member, Notice, Team, TokenOwner, User};
use super::instances::add_instance;
use super::tables::Tables;

pub(in super::super) fn create_team(tables: &mut Tables, team: Team) -> Result<(), StoreError> {
    let taken = |known: &Team| known.id == team.id || known.slug == team.slug;
    if tables.teams.values().any(taken) {
        return Err(StoreError::Conflict("teams.slug exists already".to_owned()));
    }
    tables.teams.insert(team.id.clone(), team);
    Ok(())
}

pub(in super::super) fn teams(tables: &mut Tables) -> Result<Vec<Team>, StoreError> {
    let mut teams: Vec<_> = tables.teams.values().cloned().collect();
    teams.sort_by(|left, right| left.slug.cmp(&right.slug));
    Ok(teams)
}

pub(in super::super) fn team(tables: &mut Tables, id: TeamId) -> Result<Option<Team>, StoreError> {
    Ok(tables.teams.get(&id).cloned())
}

pub(in super::super) fn delete_team(
    tables: &mut Tables,
    id: TeamId,
    notice: Notice,
) -> Result<bool, StoreError> {
    // Those of the team's own satellites go with them.
    tables.file_notice(&id, &[None], &notice)?;
    let now = notice.now;
    let satellites = tables.satellites.values().filter(|one| one.team_id.as_ref() == Some(&id));
    for satellite in satellites.map(|one| one.id.clone()).collect::<Vec<_>>() {
        tables.retire_key(&satellite, true, now);
        tables.drop_satellite(&satellite);
    }
    let installations = tables.installations.values().filter(|one| one.team_id == id);
    for installation in installations.map(|one| one.id.clone()).collect::<Vec<_>>() {
        tables.drop_installation(&installation);
    }
    tables.processes.retain(|_, process| process.team_id.as_ref() != Some(&id));
    tables.members.retain(|(team, _), _| *team != id);
    tables.access_tokens.retain(|_, token| token.team_id != id);
    tables.registration_tokens.retain(|_, token| token.team_id.as_ref() != Some(&id));
    Ok(tables.teams.remove(&id).is_some())
}

pub(in super::super) fn create_user(tables: &mut Tables, user: User) -> Result<(), StoreError> {
    let taken = |known: &User| known.id == user.id || known.username == user.username;
    if tables.users.values().any(taken) {
        return Err(StoreError::Conflict("users.username exists already".to_owned()));
    }
    tables.users.insert(user.id.clone(), user);
    Ok(())
}

pub(in super::super) fn users(tables: &mut Tables) -> Result<Vec<User>, StoreError> {
    let mut users: Vec<_> = tables.users.values().cloned().collect();
    users.sort_by(|left, right| left.username.cmp(&right.username));
    Ok(users)
}

pub(in super::super) fn user(tables: &mut Tables, id: UserId) -> Result<Option<User>, StoreError> {
    Ok(tables.users.get(&id).cloned())
}

pub(in super::super) fn delete_user(
    tables: &mut Tables,
    user: UserId,
    notices: Vec<Notice>,
) -> Result<bool, StoreError> {
    let places = tables.members.keys().filter(|(_, member)| *member == user);
    let teams: Vec<TeamId> = places.map(|(team, _)| team.clone()).collect();
    for (number, team) in teams.iter().enumerate() {
        tables.drop_member(team, &user);
        for notice in &notices {
            tables.file_notice(team, &[None], &notice.numbered(number))?;
        }
    }
    tables.instances.retain(|_, instance| instance.user_id != user);
    tables.user_configurations.retain(|(_, owner), _| *owner != user);
    tables.access_tokens.retain(|_, token| token.user_id != user);
    tables.drop_loose_connections();
    Ok(tables.users.remove(&user).is_some())
}

pub(in super::super) fn put_member(
    tables: &mut Tables,
    member: Member,
    instance_prefix: String,
    notice: Notice,
) -> Result<(), StoreError> {
    if !tables.teams.contains_key(&member.team_id) || !tables.users.contains_key(&member.user_id) {
        return Err(StoreError::Missing("something it refers to"));
    }
    let (team, user) = (member.team_id.clone(), member.user_id.clone());
    tables
        .members
        .entry((team.clone(), user.clone()))
        .and_modify(|known| known.role.clone_from(&member.role))
        .or_insert(member);
    let installations = tables.installations.values().filter(|one| one.team_id == team);
    let installations: Vec<_> = installations.map(|one| one.id.clone()).collect();
    for (number, installation) in installations.iter().enumerate() {
        let id = InstanceId::from(format!("{instance_prefix}{number}"));
        add_instance(tables, id, installation, &user, notice.now);
    }
    tables.file_notice(&team, &[None], &notice)
}

pub(in super::super) fn members(
    tables: &mut Tables,
    team: TeamId,
) -> Result<Vec<Member>, StoreError> {
    Ok(tables.members.values().filter(|member| member.team_id == team).cloned().collect())
}

pub(in super::super) fn remove_member(
    tables: &mut Tables,
    team: TeamId,
    user: UserId,
    notice: Notice,
) -> Result<bool, StoreError> {
    if !tables.members.contains_key(&(team.clone(), user.clone())) {
        return Ok(false);
    }
    tables.drop_member(&team, &user);
    tables.file_notice(&team, &[None], &notice)?;
    Ok(true)
}

pub(in super::super) fn create_access_token(
    tables: &mut Tables,
    token: AccessToken,
) -> Result<(), StoreError> {
    if !tables.users.contains_key(&token.user_id) || !tables.teams.contains_key(&token.team_id) {
        return Err(StoreError::Missing("something it refers to"));
    }
    if tables.access_tokens.values().any(|known| known.token_hash == token.token_hash) {
        return Err(StoreError::Conflict("accessTokens.token_hash exists already".to_owned()));
    }
    tables.access_tokens.insert(token.id.clone(), token);
    Ok(())
}

pub(in super::super) fn access_tokens(
    tables: &mut Tables,
    user: UserId,
) -> Result<Vec<AccessToken>, StoreError> {
    let tokens = tables.access_tokens.values().filter(|token| token.user_id == user);
    let mut tokens: Vec<_> = tokens.cloned().collect();
    tokens.sort_by_key(|token| std::cmp::Reverse(token.created_at));
    Ok(tokens)
}

pub(in super::super) fn delete_access_token(
    tables: &mut Tables,
    user: UserId,
    id: String,
    notice: Notice,
) -> Result<bool, StoreError> {
    let Some(token) = tables.access_tokens.get(&id).filter(|token| token.user_id == user) else {
        return Ok(false);
    };
    let team = token.team_id.clone();
    tables.access_tokens.remove(&id);
    tables.file_notice(&team, &[None], &notice)?;
    Ok(true)
}

pub(in super::super) fn introspect(
    tables: &mut Tables,
    token_hash: String,
) -> Result<Option<TokenOwner>, StoreError> {
    let token = tables.access_tokens.values().find(|token| token.token_hash == token_hash);
    Ok(token.and_then(|token| {
        let place = (token.team_id.clone(), token.user_id.clone());
        Some(TokenOwner {
            username: tables.users.get(&token.user_id)?.username.clone(),
            team_name: tables.teams.get(&token.team_id)?.name.clone(),
            role: tables.members.get(&place).map(|member| member.role.clone()),
            token: token.clone(),
        })
    }))
}
