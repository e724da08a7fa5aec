//! Introspection of MCP clients' tokens (RFC 7662).

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use satellite_core::backend::access_token::{self, AccessTokenRecord};
use satellite_core::backend::introspection::answer;
use satellite_core::wire::introspection::IntrospectionRequest;

use crate::backend::answer::{Answer, Body, ok};
use crate::backend::open::Backend;
use crate::backend::store::Store;

pub(super) async fn introspect(
    State(backend): State<Arc<Backend>>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let satellite = backend.key_holder(&headers).await?;
    let request: IntrospectionRequest = body.read("introspection")?;
    let found = backend.store.introspect(access_token::hash(request.token.expose())).await?;
    let record = found.map(AccessTokenRecord::from);
    let now = backend.clock.now();
    let wanted = request.team_id.as_ref();
    ok(&answer(record.as_ref(), &satellite.owner(), wanted, &backend.issuer, now))
}
