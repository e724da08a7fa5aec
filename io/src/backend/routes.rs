//! Every route of the Backend.

mod admin;
mod commands;
mod configuration;
mod connect;
mod events;
mod heartbeat;
mod introspection;
mod pairing;
mod tokens;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::StatusCode;
use axum::middleware::map_request;
use axum::routing::{get, post};
use satellite_core::wire::error::ErrorBody;
use satellite_core::wire::path;

use super::answer::{Failure, check_address};
use super::open::Backend;

/// The largest body a route takes, in bytes: events carry logs, all else is small.
const EVENTS_BODY_MAX: usize = 16 * 1024 * 1024;
const BODY_MAX: usize = 2 * 1024 * 1024;

/// The whole HTTP surface.
pub fn router(backend: Arc<Backend>) -> Router {
    let events = Router::new()
        .route("/api/satellites/{satellite}/events", post(events::report))
        .layer(DefaultBodyLimit::max(EVENTS_BODY_MAX));
    Router::new()
        .merge(satellites())
        .merge(connect::router())
        .merge(events)
        .layer(map_request(async |request: Request| check_address(request.uri()).map(|()| request)))
        .merge(admin::router(Arc::clone(&backend)))
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .fallback(async || Failure::not_found("This route was"))
        .method_not_allowed_fallback(other_methods)
        .with_state(backend)
}

async fn other_methods() -> Failure {
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, ErrorBody::new("This route takes other methods"))
}

/// What satellites call.
fn satellites() -> Router<Arc<Backend>> {
    Router::new()
        .route(path::HEALTH, get(pairing::health))
        .route(path::REGISTER, post(pairing::register))
        .route("/api/satellites/register/status", get(pairing::register_status))
        .route("/api/satellites/{satellite}/heartbeat", post(heartbeat::beat))
        .route("/api/satellites/{satellite}/status", get(heartbeat::status))
        .route("/api/satellites/{satellite}/config", get(configuration::fetch))
        .route("/api/satellites/{satellite}/commands", get(commands::poll))
        .route("/api/satellites/global/{satellite}/commands", get(commands::poll_global))
        .route("/api/teams/{team}/satellites/{satellite}/commands", get(commands::poll_team))
        .route("/api/satellites/{satellite}/command-result", post(commands::result))
        .route("/api/satellites/{satellite}/tokens/status", post(tokens::status))
        .route("/api/satellites/{satellite}/tokens/retrieve", post(tokens::retrieve))
        .route("/api/satellites/{satellite}/github-token/{installation}", get(tokens::github))
        .route(path::INTROSPECT, post(introspection::introspect))
}
