//! Server templates.

use super::super::StoreError;
use super::super::records::Server;
use super::tables::Tables;

pub(in super::super) fn create_server(
    tables: &mut Tables,
    server: Server,
) -> Result<(), StoreError> {
    let taken = |known: &Server| known.id == server.id || known.slug == server.slug;
    if tables.servers.values().any(taken) {
        return Err(StoreError::Conflict("mcpServers.slug exists already".to_owned()));
    }
    tables.servers.insert(server.id.clone(), server);
    Ok(())
}

pub(in super::super) fn servers(tables: &mut Tables) -> Result<Vec<Server>, StoreError> {
    let mut servers: Vec<_> = tables.servers.values().cloned().collect();
    servers.sort_by(|left, right| left.slug.cmp(&right.slug));
    Ok(servers)
}

pub(in super::super) fn server(
    tables: &mut Tables,
    id: String,
) -> Result<Option<Server>, StoreError> {
    Ok(tables.servers.get(&id).cloned())
}

pub(in super::super) fn delete_server(tables: &mut Tables, id: String) -> Result<bool, StoreError> {
    if let Some(installation) = tables.installations.values().find(|one| one.server_id == id) {
        return Err(StoreError::Conflict(format!(
            "installation {} uses this server; delete it first",
            installation.id
        )));
    }
    Ok(tables.servers.remove(&id).is_some())
}
