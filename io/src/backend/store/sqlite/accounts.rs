//! Teams, users, members, access tokens.

use rusqlite::{Row, Transaction, params};
use satellite_core::id::{TeamId, UserId};

use super::super::StoreError;
use super::super::records::{AccessToken, JsonText, Member, Notice, Team, TokenOwner, User};
use super::commands::file_notice;
use super::instances::add_instance;
use super::pairing::retire_keys;
use super::row::{change, id, list, moment, one, texts};

pub(in super::super) fn create_team(tx: &Transaction<'_>, team: Team) -> Result<(), StoreError> {
    change(
        tx,
        "INSERT INTO teams (id, name, slug, created_at) VALUES (?1, ?2, ?3, ?4)",
        params![team.id.as_str(), team.name, team.slug, team.created_at.0.to_iso()],
    )?;
    Ok(())
}

pub(in super::super) fn teams(tx: &Transaction<'_>) -> Result<Vec<Team>, StoreError> {
    list(tx, "SELECT * FROM teams ORDER BY slug", [], read_team)
}

pub(in super::super) fn team(tx: &Transaction<'_>, id: TeamId) -> Result<Option<Team>, StoreError> {
    one(tx, "SELECT * FROM teams WHERE id = ?1", [id.as_str()], read_team)
}

pub(in super::super) fn delete_team(
    tx: &Transaction<'_>,
    id: TeamId,
    notice: Notice,
) -> Result<bool, StoreError> {
    // Those of the team's own satellites go with them.
    file_notice(tx, &id, &[None], &notice)?;
    let now = notice.now.to_iso();
    retire_keys(tx, "team_id", id.as_str(), "satellite_deleted", &now)?;
    Ok(change(tx, "DELETE FROM teams WHERE id = ?1", [id.as_str()])? > 0)
}

pub(in super::super) fn create_user(tx: &Transaction<'_>, user: User) -> Result<(), StoreError> {
    change(
        tx,
        "INSERT INTO users (id, username, email, created_at) VALUES (?1, ?2, ?3, ?4)",
        params![user.id.as_str(), user.username, user.email, user.created_at.0.to_iso()],
    )?;
    Ok(())
}

pub(in super::super) fn users(tx: &Transaction<'_>) -> Result<Vec<User>, StoreError> {
    list(tx, "SELECT * FROM users ORDER BY username", [], read_user)
}

pub(in super::super) fn user(tx: &Transaction<'_>, id: UserId) -> Result<Option<User>, StoreError> {
    one(tx, "SELECT * FROM users WHERE id = ?1", [id.as_str()], read_user)
}

pub(in super::super) fn delete_user(
    tx: &Transaction<'_>,
    user: UserId,
    notices: Vec<Notice>,
) -> Result<bool, StoreError> {
    let sql = r#"SELECT team_id FROM "teamMembers" WHERE user_id = ?1 ORDER BY team_id"#;
    let teams: Vec<TeamId> = list(tx, sql, [user.as_str()], |row| id(row, "team_id"))?;
    for (number, team) in teams.iter().enumerate() {
        for notice in &notices {
            file_notice(tx, team, &[None], &notice.numbered(number))?;
        }
    }
    Ok(change(tx, "DELETE FROM users WHERE id = ?1", [user.as_str()])? > 0)
}

pub(in super::super) fn put_member(
    tx: &Transaction<'_>,
    member: Member,
    instance_prefix: String,
    notice: Notice,
) -> Result<(), StoreError> {
    change(
        tx,
        r#"INSERT INTO "teamMembers" (team_id, user_id, role, created_at) VALUES (?1, ?2, ?3, ?4)
           ON CONFLICT (team_id, user_id) DO UPDATE SET role = excluded.role"#,
        params![
            member.team_id.as_str(),
            member.user_id.as_str(),
            member.role,
            member.created_at.0.to_iso(),
        ],
    )?;
    let installations = super::installations::installations(tx, Some(member.team_id.clone()))?;
    for (number, installation) in installations.iter().enumerate() {
        let id = format!("{instance_prefix}{number}");
        add_instance(tx, &id, &installation.id, &member.user_id, notice.now)?;
    }
    file_notice(tx, &member.team_id, &[None], &notice)
}

pub(in super::super) fn members(
    tx: &Transaction<'_>,
    team: TeamId,
) -> Result<Vec<Member>, StoreError> {
    let sql = r#"SELECT * FROM "teamMembers" WHERE team_id = ?1 ORDER BY user_id"#;
    list(tx, sql, [team.as_str()], |row| {
        Ok(Member {
            team_id: id(row, "team_id")?,
            user_id: id(row, "user_id")?,
            role: row.get("role")?,
            created_at: moment(row, "created_at")?,
        })
    })
}

pub(in super::super) fn remove_member(
    tx: &Transaction<'_>,
    team: TeamId,
    user: UserId,
    notice: Notice,
) -> Result<bool, StoreError> {
    let place = [team.as_str(), user.as_str()];
    let sql = r#"DELETE FROM "teamMembers" WHERE team_id = ?1 AND user_id = ?2"#;
    if change(tx, sql, place)? == 0 {
        return Ok(false);
    }
    let installed = r#"installation_id IN
        (SELECT id FROM "mcpServerInstallations" WHERE team_id = ?1) AND user_id = ?2"#;
    for table in ["mcpServerInstances", "mcpUserConfigurations"] {
        change(tx, &format!(r#"DELETE FROM "{table}" WHERE {installed}"#), place)?;
    }
    change(tx, r#"DELETE FROM "accessTokens" WHERE team_id = ?1 AND user_id = ?2"#, place)?;
    file_notice(tx, &team, &[None], &notice)?;
    Ok(true)
}

pub(in super::super) fn create_access_token(
    tx: &Transaction<'_>,
    token: AccessToken,
) -> Result<(), StoreError> {
    change(
        tx,
        r#"INSERT INTO "accessTokens" (id, token_hash, user_id, team_id, client_id, scope, audience,
             expires_at, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"#,
        params![
            token.id,
            token.token_hash,
            token.user_id.as_str(),
            token.team_id.as_str(),
            token.client_id,
            token.scope,
            JsonText::of(&token.audience).as_str(),
            token.expires_at.0.to_iso(),
            token.created_at.0.to_iso(),
        ],
    )?;
    Ok(())
}

pub(in super::super) fn access_tokens(
    tx: &Transaction<'_>,
    user: UserId,
) -> Result<Vec<AccessToken>, StoreError> {
    let sql = r#"SELECT * FROM "accessTokens" WHERE user_id = ?1 ORDER BY created_at DESC, id"#;
    list(tx, sql, [user.as_str()], read_token)
}

pub(in super::super) fn delete_access_token(
    tx: &Transaction<'_>,
    user: UserId,
    token: String,
    notice: Notice,
) -> Result<bool, StoreError> {
    let sql = r#"DELETE FROM "accessTokens" WHERE id = ?1 AND user_id = ?2 RETURNING team_id"#;
    let team: Option<TeamId> =
        one(tx, sql, [token.as_str(), user.as_str()], |row| id(row, "team_id"))?;
    let Some(team) = team else { return Ok(false) };
    file_notice(tx, &team, &[None], &notice)?;
    Ok(true)
}

pub(in super::super) fn introspect(
    tx: &Transaction<'_>,
    token_hash: String,
) -> Result<Option<TokenOwner>, StoreError> {
    one(
        tx,
        r#"SELECT t.*, u.username AS username, teams.name AS team_name, m.role AS role
           FROM "accessTokens" t
           JOIN users u ON u.id = t.user_id
           JOIN teams ON teams.id = t.team_id
           LEFT JOIN "teamMembers" m ON m.team_id = t.team_id AND m.user_id = t.user_id
           WHERE t.token_hash = ?1"#,
        [token_hash],
        |row| {
            Ok(TokenOwner {
                token: read_token(row)?,
                username: row.get("username")?,
                team_name: row.get("team_name")?,
                role: row.get("role")?,
            })
        },
    )
}

/// Reads a team.
pub(super) fn read_team(row: &Row<'_>) -> rusqlite::Result<Team> {
    Ok(Team {
        id: id(row, "id")?,
        name: row.get("name")?,
        slug: row.get("slug")?,
        created_at: moment(row, "created_at")?,
    })
}

pub(super) fn read_user(row: &Row<'_>) -> rusqlite::Result<User> {
    Ok(User {
        id: id(row, "id")?,
        username: row.get("username")?,
        email: row.get("email")?,
        created_at: moment(row, "created_at")?,
    })
}

pub(super) fn read_token(row: &Row<'_>) -> rusqlite::Result<AccessToken> {
    Ok(AccessToken {
        id: row.get("id")?,
        token_hash: row.get("token_hash")?,
        user_id: id(row, "user_id")?,
        team_id: id(row, "team_id")?,
        client_id: row.get("client_id")?,
        scope: row.get("scope")?,
        audience: texts(row, "audience")?,
        expires_at: moment(row, "expires_at")?,
        created_at: moment(row, "created_at")?,
    })
}
