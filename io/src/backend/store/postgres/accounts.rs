//! Teams, users, members, access tokens.

use satellite_core::id::{TeamId, UserId};
use tokio_postgres::Row;

use super::super::records::{AccessToken, JsonText, Member, Notice, Team, TokenOwner, User};
use super::commands::file_notice;
use super::instances::add_instance;
use super::pairing::retire_keys;
use super::row::{change, get, id, list, moment, one, texts, values};
use super::{Outcome, Tx};

pub(in super::super) async fn create_team(tx: &Tx<'_>, team: &Team) -> Outcome<()> {
    let sql = "INSERT INTO teams (id, name, slug, created_at) VALUES ($1, $2, $3, $4)";
    change(tx, sql, values![&team.id, &team.name, &team.slug, team.created_at]).await?;
    Ok(())
}

pub(in super::super) async fn teams(tx: &Tx<'_>) -> Outcome<Vec<Team>> {
    list(tx, "SELECT * FROM teams ORDER BY slug", &[], read_team).await
}

pub(in super::super) async fn team(tx: &Tx<'_>, id: &TeamId) -> Outcome<Option<Team>> {
    one(tx, "SELECT * FROM teams WHERE id = $1", values![id], read_team).await
}

/// Holds a team, so that no other transaction changes who is in it, or what it has installed, before
/// this one ends: every member has an instance of every installation.
pub(super) async fn hold_team(tx: &Tx<'_>, id: &TeamId) -> Outcome<()> {
    change(tx, "SELECT id FROM teams WHERE id = $1 FOR NO KEY UPDATE", values![id]).await?;
    Ok(())
}

pub(in super::super) async fn delete_team(
    tx: &Tx<'_>,
    id: &TeamId,
    notice: &Notice,
) -> Outcome<bool> {
    // Those of the team's own satellites go with them.
    file_notice(tx, id, &[None], notice).await?;
    retire_keys(tx, "team_id", id.as_str(), "satellite_deleted", notice.now).await?;
    Ok(change(tx, "DELETE FROM teams WHERE id = $1", values![id]).await? > 0)
}

pub(in super::super) async fn create_user(tx: &Tx<'_>, user: &User) -> Outcome<()> {
    let sql = "INSERT INTO users (id, username, email, created_at) VALUES ($1, $2, $3, $4)";
    let values = values![&user.id, &user.username, user.email.as_ref(), user.created_at];
    change(tx, sql, values).await?;
    Ok(())
}

pub(in super::super) async fn users(tx: &Tx<'_>) -> Outcome<Vec<User>> {
    list(tx, "SELECT * FROM users ORDER BY username", &[], read_user).await
}

pub(in super::super) async fn user(tx: &Tx<'_>, id: &UserId) -> Outcome<Option<User>> {
    one(tx, "SELECT * FROM users WHERE id = $1", values![id], read_user).await
}

pub(in super::super) async fn delete_user(
    tx: &Tx<'_>,
    user: &UserId,
    notices: &[Notice],
) -> Outcome<bool> {
    let sql = r#"SELECT team_id FROM "teamMembers" WHERE user_id = $1 ORDER BY team_id"#;
    let teams: Vec<TeamId> = list(tx, sql, values![user], |row| id(row, "team_id")).await?;
    for (number, team) in teams.iter().enumerate() {
        for notice in notices {
            file_notice(tx, team, &[None], &notice.numbered(number)).await?;
        }
    }
    Ok(change(tx, "DELETE FROM users WHERE id = $1", values![user]).await? > 0)
}

pub(in super::super) async fn put_member(
    tx: &Tx<'_>,
    member: &Member,
    instance_prefix: &str,
    notice: &Notice,
) -> Outcome<()> {
    hold_team(tx, &member.team_id).await?;
    change(
        tx,
        r#"INSERT INTO "teamMembers" (team_id, user_id, role, created_at) VALUES ($1, $2, $3, $4)
           ON CONFLICT (team_id, user_id) DO UPDATE SET role = excluded.role"#,
        values![&member.team_id, &member.user_id, &member.role, member.created_at],
    )
    .await?;
    let team = Some(member.team_id.clone());
    let installations = super::installations::installations(tx, &team).await?;
    for (number, installation) in installations.iter().enumerate() {
        let id = format!("{instance_prefix}{number}");
        add_instance(tx, &id, &installation.id, &member.user_id, notice.now).await?;
    }
    file_notice(tx, &member.team_id, &[None], notice).await
}

pub(in super::super) async fn members(tx: &Tx<'_>, team: &TeamId) -> Outcome<Vec<Member>> {
    let sql = r#"SELECT * FROM "teamMembers" WHERE team_id = $1 ORDER BY user_id"#;
    list(tx, sql, values![team], |row| {
        Ok(Member {
            team_id: id(row, "team_id")?,
            user_id: id(row, "user_id")?,
            role: get(row, "role")?,
            created_at: moment(row, "created_at")?,
        })
    })
    .await
}

pub(in super::super) async fn remove_member(
    tx: &Tx<'_>,
    team: &TeamId,
    user: &UserId,
    notice: &Notice,
) -> Outcome<bool> {
    hold_team(tx, team).await?;
    let sql = r#"DELETE FROM "teamMembers" WHERE team_id = $1 AND user_id = $2"#;
    if change(tx, sql, values![team, user]).await? == 0 {
        return Ok(false);
    }
    let installed = r#"installation_id IN
        (SELECT id FROM "mcpServerInstallations" WHERE team_id = $1) AND user_id = $2"#;
    for table in ["mcpServerInstances", "mcpUserConfigurations"] {
        let sql = format!(r#"DELETE FROM "{table}" WHERE {installed}"#);
        change(tx, &sql, values![team, user]).await?;
    }
    let sql = r#"DELETE FROM "accessTokens" WHERE team_id = $1 AND user_id = $2"#;
    change(tx, sql, values![team, user]).await?;
    file_notice(tx, team, &[None], notice).await?;
    Ok(true)
}

pub(in super::super) async fn create_access_token(tx: &Tx<'_>, token: &AccessToken) -> Outcome<()> {
    change(
        tx,
        r#"INSERT INTO "accessTokens" (id, token_hash, user_id, team_id, client_id, scope, audience,
             expires_at, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"#,
        values![
            &token.id,
            &token.token_hash,
            &token.user_id,
            &token.team_id,
            &token.client_id,
            &token.scope,
            &JsonText::of(&token.audience),
            token.expires_at,
            token.created_at,
        ],
    )
    .await?;
    Ok(())
}

pub(in super::super) async fn access_tokens(
    tx: &Tx<'_>,
    user: &UserId,
) -> Outcome<Vec<AccessToken>> {
    let sql = r#"SELECT * FROM "accessTokens" WHERE user_id = $1 ORDER BY created_at DESC, id"#;
    list(tx, sql, values![user], read_token).await
}

pub(in super::super) async fn delete_access_token(
    tx: &Tx<'_>,
    user: &UserId,
    token: &str,
    notice: &Notice,
) -> Outcome<bool> {
    let sql = r#"DELETE FROM "accessTokens" WHERE id = $1 AND user_id = $2 RETURNING team_id"#;
    let team: Option<TeamId> = one(tx, sql, values![token, user], |row| id(row, "team_id")).await?;
    let Some(team) = team else { return Ok(false) };
    file_notice(tx, &team, &[None], notice).await?;
    Ok(true)
}

pub(in super::super) async fn introspect(
    tx: &Tx<'_>,
    token_hash: &str,
) -> Outcome<Option<TokenOwner>> {
    let sql = r#"SELECT t.*, u.username AS username, teams.name AS team_name, m.role AS role
                 FROM "accessTokens" t
                 JOIN users u ON u.id = t.user_id
                 JOIN teams ON teams.id = t.team_id
                 LEFT JOIN "teamMembers" m ON m.team_id = t.team_id AND m.user_id = t.user_id
                 WHERE t.token_hash = $1"#;
    one(tx, sql, values![token_hash], |row| {
        Ok(TokenOwner {
            token: read_token(row)?,
            username: get(row, "username")?,
            team_name: get(row, "team_name")?,
            role: get(row, "role")?,
        })
    })
    .await
}

pub(super) fn read_team(row: &Row) -> Outcome<Team> {
    Ok(Team {
        id: id(row, "id")?,
        name: get(row, "name")?,
        slug: get(row, "slug")?,
        created_at: moment(row, "created_at")?,
    })
}

pub(super) fn read_user(row: &Row) -> Outcome<User> {
    Ok(User {
        id: id(row, "id")?,
        username: get(row, "username")?,
        email: get(row, "email")?,
        created_at: moment(row, "created_at")?,
    })
}

pub(super) fn read_token(row: &Row) -> Outcome<AccessToken> {
    Ok(AccessToken {
        id: get(row, "id")?,
        token_hash: get(row, "token_hash")?,
        user_id: id(row, "user_id")?,
        team_id: id(row, "team_id")?,
        client_id: get(row, "client_id")?,
        scope: get(row, "scope")?,
        audience: texts(row, "audience")?,
        expires_at: moment(row, "expires_at")?,
        created_at: moment(row, "created_at")?,
    })
}
