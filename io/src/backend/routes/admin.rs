//! The administration API.

mod connections;
mod installations;
mod people;
mod registration_tokens;
mod satellites;
mod servers;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{MethodRouter, delete, get, patch, post, put};
use satellite_core::id::InstallationId;
use satellite_core::id::TeamId;
use satellite_core::time::DAY;
use satellite_core::wire::admin::Reply;
use serde::Serialize;
use serde_json::{Value, json};

use crate::backend::answer::{Answer, json, ok};
use crate::backend::authority::Guarded;
use crate::backend::open::Backend;
use crate::backend::store::records::{JsonText, Notice};

const INSTALLATIONS: &str = "/api/teams/{team}/mcp/installations";
const SATELLITES: &str = "/api/satellites/manage";

/// Every route that administrators call. Its handlers reach the Backend through
/// [`crate::backend::authority::Administrator`] and in no other way.
pub(super) fn router<S: Clone + Send + Sync + 'static>(backend: Arc<Backend>) -> Router<S> {
    routes()
        .into_iter()
        .fold(Router::new(), |router, (path, methods)| router.route(&path, methods))
        .with_state(Guarded::new(backend))
}

fn routes() -> Vec<(String, MethodRouter<Guarded>)> {
    let at = |path: &str, methods| (path.to_owned(), methods);
    let installation =
        |rest: &str, methods| (format!("{INSTALLATIONS}/{{installation}}{rest}"), methods);
    let satellite = |rest: &str, methods| (format!("{SATELLITES}/{{satellite}}{rest}"), methods);
    vec![
        at("/api/satellites/global/registration-tokens", post(registration_tokens::create_global)),
        at("/api/satellites/registration-tokens", get(registration_tokens::list)),
        at("/api/satellites/registration-tokens/{token}", delete(registration_tokens::delete)),
        at(
            "/api/teams/{team}/satellites/registration-tokens",
            post(registration_tokens::create_team),
        ),
        at("/api/teams", get(people::teams).post(people::create_team)),
        at("/api/teams/{team}", get(people::team).delete(people::delete_team)),
        at(
            "/api/teams/{team}/members/{user}",
            put(people::set_member).delete(people::remove_member),
        ),
        at("/api/users", get(people::users).post(people::create_user)),
        at("/api/users/{user}", get(people::user).delete(people::delete_user)),
        at("/api/users/{user}/tokens", post(people::create_token)),
        at("/api/servers", get(servers::list).post(servers::create)),
        at("/api/servers/{server}", get(servers::get).delete(servers::delete)),
        at(INSTALLATIONS, get(installations::list).post(installations::create)),
        installation(
            "",
            get(installations::get).patch(installations::update).delete(installations::delete),
        ),
        installation("/redeploy", post(installations::redeploy)),
        installation("/users/{user}", put(installations::set_user)),
        installation("/users/{user}/token", post(installations::issue_token)),
        installation("/users/{user}/connect", post(connections::invite)),
        installation("/tools/{tool}", patch(installations::set_tool)),
        at(SATELLITES, get(satellites::list)),
        satellite("", get(satellites::get).patch(satellites::update).delete(satellites::delete)),
        satellite("/status", patch(satellites::set_status)),
        satellite("/commands", get(satellites::commands).post(satellites::create_command)),
        satellite("/commands/{command}", get(satellites::command)),
        satellite("/heartbeats", get(satellites::heartbeats)),
        satellite("/events", get(satellites::events)),
        at("/api/events", get(satellites::all_events)),
    ]
}

/// How long a notice waits for its satellite. It says no more than "look again", so it is right
/// however late it comes.
const NOTICE_LIFE_MS: u64 = DAY;

/// `{success, data}` with 200.
fn shown(data: impl Serialize) -> Answer {
    ok(&Reply::new(data))
}

/// `{success, data}` with 201.
fn created(data: impl Serialize) -> Response {
    json(StatusCode::CREATED, &Reply::new(data))
}

impl Backend {
    /// Tells satellites of a change, with this payload.
    pub(in crate::backend) fn notice(&self, command_type: &'static str, payload: &Value) -> Notice {
        let now = self.clock.now();
        Notice {
            command_type,
            id_prefix: format!("{}_", self.id("cmd_")),
            correlation_id: self.id("corr_"),
            payload: JsonText::of(payload),
            expires_at: now.after(NOTICE_LIFE_MS),
            now,
        }
    }

    /// Tells satellites to fetch their configuration, because of `event` about an installation.
    fn configure(&self, event: &str, installation: &InstallationId, team: &TeamId) -> Notice {
        let payload = json!({"event": event, "installation_id": installation, "team_id": team});
        self.notice("configure", &payload)
    }
}
