//! Every route of the Backend.

mod admin;
mod commands;
mod configuration;
mod events;
mod heartbeat;
mod introspection;
mod pairing;
mod tokens;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::{delete, get, post, put};
use satellite_core::wire::path;

use super::answer::Failure;
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
        .merge(administration())
        .merge(events)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .fallback(async || Failure::not_found("This route was"))
        .method_not_allowed_fallback(async || {
            let body =
                satellite_core::wire::error::ErrorBody::new("This route takes other methods");
            Failure::new(StatusCode::METHOD_NOT_ALLOWED, body)
        })
        .with_state(backend)
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

/// What administrators call.
fn administration() -> Router<Arc<Backend>> {
    use admin::{installations, people, satellites, servers};
    const INSTALLATION: &str = "/api/teams/{team}/mcp/installations/{installation}";
    Router::new()
        .route("/api/satellites/global/registration-tokens", post(pairing::create_global_token))
        .route("/api/satellites/registration-tokens", get(pairing::tokens))
        .route("/api/satellites/registration-tokens/{token}", delete(pairing::delete_token))
        .route("/api/teams/{team}/satellites/registration-tokens", post(pairing::create_team_token))
        .route("/api/teams", get(people::teams).post(people::create_team))
        .route("/api/teams/{team}", get(people::team).delete(people::delete_team))
        .route(
            "/api/teams/{team}/members/{user}",
            put(people::set_member).delete(people::remove_member),
        )
        .route("/api/users", get(people::users).post(people::create_user))
        .route("/api/users/{user}", get(people::user).delete(people::delete_user))
        .route("/api/users/{user}/tokens", post(people::create_token))
        .route("/api/servers", get(servers::list).post(servers::create))
        .route("/api/servers/{server}", get(servers::get).delete(servers::delete))
        .route(
            "/api/teams/{team}/mcp/installations",
            get(installations::list).post(installations::create),
        )
        .route(
            INSTALLATION,
            get(installations::get).patch(installations::update).delete(installations::delete),
        )
        .route(&format!("{INSTALLATION}/redeploy"), post(installations::redeploy))
        .route(&format!("{INSTALLATION}/users/{{user}}"), put(installations::set_user))
        .route(&format!("{INSTALLATION}/users/{{user}}/token"), post(installations::issue_token))
        .route(
            &format!("{INSTALLATION}/tools/{{tool}}"),
            axum::routing::patch(installations::set_tool),
        )
        .route("/api/satellites/manage", get(satellites::list))
        .route(
            "/api/satellites/manage/{satellite}",
            get(satellites::get).patch(satellites::update).delete(satellites::delete),
        )
        .route(
            "/api/satellites/manage/{satellite}/status",
            axum::routing::patch(satellites::set_status),
        )
        .route(
            "/api/satellites/manage/{satellite}/commands",
            get(satellites::commands).post(satellites::create_command),
        )
        .route("/api/satellites/manage/{satellite}/commands/{command}", get(satellites::command))
        .route("/api/satellites/manage/{satellite}/heartbeats", get(satellites::heartbeats))
        .route("/api/satellites/manage/{satellite}/events", get(satellites::events))
        .route("/api/events", get(satellites::all_events))
}
