//! Server templates.

use tokio_postgres::Row;

use super::super::StoreError;
use super::super::records::Server;
use super::row::{change, get, json, list, moment, one, values};
use super::{Outcome, Tx};

pub(in super::super) async fn create_server(tx: &Tx<'_>, server: &Server) -> Outcome<()> {
    change(
        tx,
        r#"INSERT INTO "mcpServers" (id, name, slug, status, source, definition, created_at,
             updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"#,
        values![
            &server.id,
            &server.name,
            &server.slug,
            &server.status,
            server.source.as_ref(),
            &server.definition,
            server.created_at,
            server.updated_at,
        ],
    )
    .await?;
    Ok(())
}

pub(in super::super) async fn servers(tx: &Tx<'_>) -> Outcome<Vec<Server>> {
    list(tx, r#"SELECT * FROM "mcpServers" ORDER BY slug"#, &[], read_server).await
}

pub(in super::super) async fn server(tx: &Tx<'_>, id: &str) -> Outcome<Option<Server>> {
    one(tx, r#"SELECT * FROM "mcpServers" WHERE id = $1"#, values![id], read_server).await
}

pub(in super::super) async fn delete_server(tx: &Tx<'_>, id: &str) -> Outcome<bool> {
    // Held, so that nobody installs it between the look and the deletion, which would take the
    // installation along.
    let sql = r#"SELECT id FROM "mcpServers" WHERE id = $1 FOR UPDATE"#;
    change(tx, sql, values![id]).await?;
    let sql = r#"SELECT id FROM "mcpServerInstallations" WHERE server_id = $1 ORDER BY id LIMIT 1"#;
    if let Some(installation) = one(tx, sql, values![id], |row| get::<String>(row, "id")).await? {
        let why = format!("installation {installation} uses this server; delete it first");
        return Err(StoreError::Conflict(why).into());
    }
    Ok(change(tx, r#"DELETE FROM "mcpServers" WHERE id = $1"#, values![id]).await? > 0)
}

pub(super) fn read_server(row: &Row) -> Outcome<Server> {
    Ok(Server {
        id: get(row, "id")?,
        name: get(row, "name")?,
        slug: get(row, "slug")?,
        status: get(row, "status")?,
        source: get(row, "source")?,
        definition: json(row, "definition")?,
        created_at: moment(row, "created_at")?,
        updated_at: moment(row, "updated_at")?,
    })
}
