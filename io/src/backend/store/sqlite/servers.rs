//! Server templates.

use rusqlite::{Row, Transaction, params};

use super::super::StoreError;
use super::super::records::Server;
use super::installations::{INSTALLATION, read_installation};
use super::row::{change, json, list, moment, one};

pub(in super::super) fn create_server(
    tx: &Transaction<'_>,
    server: Server,
) -> Result<(), StoreError> {
    change(
        tx,
        r#"INSERT INTO "mcpServers" (id, name, slug, status, source, definition, created_at,
             updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"#,
        params![
            server.id,
            server.name,
            server.slug,
            server.status,
            server.source,
            server.definition.as_str(),
            server.created_at.0.to_iso(),
            server.updated_at.0.to_iso(),
        ],
    )?;
    Ok(())
}

pub(in super::super) fn servers(tx: &Transaction<'_>) -> Result<Vec<Server>, StoreError> {
    list(tx, r#"SELECT * FROM "mcpServers" ORDER BY slug"#, [], read_server)
}

pub(in super::super) fn server(
    tx: &Transaction<'_>,
    id: String,
) -> Result<Option<Server>, StoreError> {
    one(tx, r#"SELECT * FROM "mcpServers" WHERE id = ?1"#, [id], read_server)
}

pub(in super::super) fn delete_server(
    tx: &Transaction<'_>,
    id: String,
) -> Result<bool, StoreError> {
    let sql = format!("{INSTALLATION} WHERE server_id = ?1 LIMIT 1");
    if let Some(installation) = one(tx, &sql, [&id], read_installation)? {
        return Err(StoreError::Conflict(format!(
            "installation {} uses this server; delete it first",
            installation.id
        )));
    }
    Ok(change(tx, r#"DELETE FROM "mcpServers" WHERE id = ?1"#, [id])? > 0)
}

pub(super) fn read_server(row: &Row<'_>) -> rusqlite::Result<Server> {
    Ok(Server {
        id: row.get("id")?,
        name: row.get("name")?,
        slug: row.get("slug")?,
        status: row.get("status")?,
        source: row.get("source")?,
        definition: json(row, "definition")?,
        created_at: moment(row, "created_at")?,
        updated_at: moment(row, "updated_at")?,
    })
}
