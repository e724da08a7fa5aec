//! Server templates.

use axum::extract::Path;
use satellite_core::backend::merge;
use satellite_core::time::IsoTime;
use satellite_core::wire::Acknowledgement;
use satellite_core::wire::admin::{CreateServer, Server, ServerData, ServersData};
use satellite_core::wire::decode;

use super::pages::{Part, Whole};
use super::{created, shown};
use crate::backend::answer::{Answer, Body, Failure, ok};
use crate::backend::authority::Authorised;
use crate::backend::store::records::{self, JsonText, ListOf};
use crate::backend::store::{Store, StoreError};

pub(crate) async fn list(backend: Authorised, part: Part<Whole>) -> Answer {
    let mut rows = backend.store.servers_page(part.of(ListOf::SERVERS)?).await?;
    let next_cursor = part.cut(ListOf::SERVERS, &mut rows);
    let servers = rows.into_iter().map(whole);
    shown(ServersData { servers: servers.collect::<Result<_, _>>()?, next_cursor })
}

pub(crate) async fn get(backend: Authorised, Path(id): Path<String>) -> Answer {
    let server = backend.store.server(id).await?.ok_or_else(|| Failure::not_found("server"))?;
    shown(ServerData { server: whole(server)? })
}

pub(crate) async fn create(backend: Authorised, body: Body) -> Answer {
    let mut definition: CreateServer = body.read("server")?;
    let slug = merge::server_slug(&definition);
    if slug.is_empty() || slug.contains(':') {
        return Err(Failure::invalid("server: `slug`: must not be empty, nor hold a colon"));
    }
    merge::check_addresses(&definition)
        .map_err(|problem| Failure::invalid(format!("server: {problem}")))?;
    definition.slug = Some(slug.clone());
    let now = IsoTime(backend.clock.now());
    let server = records::Server {
        id: backend.id("srv_"),
        name: definition.name.clone(),
        slug,
        status: "active".to_owned(),
        source: definition.source.clone(),
        definition: JsonText::of(&definition),
        created_at: now,
        updated_at: now,
    };
    backend.store.create_server(server.clone()).await?;
    Ok(created(ServerData { server: whole(server)? }))
}

pub(crate) async fn delete(backend: Authorised, Path(id): Path<String>) -> Answer {
    if !backend.store.delete_server(id).await? {
        return Err(Failure::not_found("server"));
    }
    ok(&Acknowledgement::new("The server is deleted."))
}

fn whole(row: records::Server) -> Result<Server, StoreError> {
    Ok(Server {
        definition: decode("template", row.definition.as_str().as_bytes())
            .map_err(StoreError::Failed)?,
        id: row.id,
        status: row.status,
        created_at: row.created_at,
    })
}
