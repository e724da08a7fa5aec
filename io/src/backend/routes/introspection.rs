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
use crate::backend::store::records::TokenOwner;

pub(super) async fn introspect(
    State(backend): State<Arc<Backend>>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let satellite = backend.key_holder(&headers).await?;
    let request: IntrospectionRequest = body.read("introspection")?;
    let found = backend.store.introspect(access_token::hash(request.token.expose())).await?;
    let record = found.map(record);
    let now = backend.clock.now();
    let wanted = request.team_id.as_ref();
    ok(&answer(record.as_ref(), &satellite.owner(), wanted, &backend.issuer, now))
}

fn record(owner: TokenOwner) -> AccessTokenRecord {
    AccessTokenRecord {
        user: owner.token.user_id,
        username: owner.username,
        team: owner.token.team_id,
        team_name: owner.team_name,
        team_role: owner.role,
        client_id: owner.token.client_id,
        scope: owner.token.scope,
        resources: owner.token.audience,
        issued_at: owner.token.created_at.0,
        expires_at: owner.token.expires_at.0,
        revoked: false,
    }
}
