//! The administration API.

mod connections;
mod installations;
mod jobs;
mod people;
mod registration_tokens;
mod satellites;
mod servers;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::http::StatusCode;
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{MethodRouter, delete, get, patch, post, put};
use axum::{Extension, Router};
use satellite_core::backend::roles::Permission::{
    self, ActForUser, Administer, ManageTeam, OwnUser, SeeTeam,
};
use satellite_core::id::{InstallationId, TeamId};
use satellite_core::time::DAY;
use satellite_core::wire::admin::Reply;
use serde::Serialize;
use serde_json::{Value, json};

use super::other_methods;
use crate::backend::answer::{Answer, as_problem, json, ok};
use crate::backend::authority::Guarded;
use crate::backend::open::Backend;
use crate::backend::store::records::{JsonText, Notice};

const INSTALLATIONS: &str = "/api/teams/{team}/mcp/installations";
const SATELLITES: &str = "/api/satellites/manage";

/// Every route of administration. Its handlers reach the Backend through
/// [`crate::backend::authority::Authorised`] and in no other way.
pub(super) fn router<S: Clone + Send + Sync + 'static>(backend: Arc<Backend>) -> Router<S> {
    let allow = |router: Router<Guarded>, (path, permission, methods): Route| {
        router.route(&path, methods.layer(Extension(permission)))
    };
    routes()
        .into_iter()
        .fold(Router::new(), allow)
        .method_not_allowed_fallback(other_methods)
        .layer(map_response(as_problem))
        .with_state(Guarded::new(backend))
}

/// A path, what its methods ask of their caller, and the methods.
type Route = (String, Permission, MethodRouter<Guarded>);

fn routes() -> Vec<Route> {
    [of_everybody(), of_teams(), of_installations(), of_satellites()].concat()
}

fn at(path: &str, permission: Permission, methods: MethodRouter<Guarded>) -> Route {
    (path.to_owned(), permission, methods)
}

fn of_everybody() -> Vec<Route> {
    vec![
        at("/api/teams", Administer, get(people::teams).post(people::create_team)),
        at("/api/users", Administer, get(people::users).post(people::create_user)),
        at("/api/users/{user}", Administer, delete(people::delete_user)),
        at("/api/users/{user}", OwnUser, get(people::user)),
        at("/api/users/{user}/tokens", Administer, post(people::create_token)),
        at("/api/users/{user}/tokens", OwnUser, get(people::tokens)),
        at("/api/users/{user}/tokens/{token}", OwnUser, delete(people::revoke_token)),
        at("/api/servers", Administer, get(servers::list).post(servers::create)),
        at("/api/jobs", Administer, get(jobs::list)),
        at("/api/jobs/{job}/run", Administer, post(jobs::run)),
        at("/api/servers/{server}", Administer, get(servers::get).delete(servers::delete)),
    ]
}

fn of_teams() -> Vec<Route> {
    vec![
        at("/api/teams/{team}", SeeTeam, get(people::team)),
        at("/api/teams/{team}", Administer, delete(people::delete_team)),
        at(
            "/api/teams/{team}/members/{user}",
            ManageTeam,
            put(people::set_member).delete(people::remove_member),
        ),
        at(
            "/api/teams/{team}/satellites/registration-tokens",
            ManageTeam,
            post(registration_tokens::create_team),
        ),
        // What its members' servers were called with is not for every member.
        at("/api/teams/{team}/events", ManageTeam, get(satellites::team_events)),
    ]
}

fn of_installations() -> Vec<Route> {
    let at = |rest: &str, permission, methods| {
        (format!("{INSTALLATIONS}/{{installation}}{rest}"), permission, methods)
    };
    vec![
        (INSTALLATIONS.to_owned(), SeeTeam, get(installations::list)),
        (INSTALLATIONS.to_owned(), ManageTeam, post(installations::create)),
        at("", SeeTeam, get(installations::get)),
        at("", ManageTeam, patch(installations::update).delete(installations::delete)),
        at("/redeploy", ManageTeam, post(installations::redeploy)),
        at("/users/{user}", ActForUser, put(installations::set_user)),
        at("/users/{user}/token", ActForUser, post(installations::issue_token)),
        at("/users/{user}/connect", ActForUser, post(connections::invite)),
        at("/tools/{tool}", ManageTeam, patch(installations::set_tool)),
    ]
}

/// Satellites may be everybody's: all of these are the administrator's.
fn of_satellites() -> Vec<Route> {
    let of_all = |rest: &str, methods| (format!("/api/satellites{rest}"), Administer, methods);
    let at =
        |rest: &str, methods| (format!("{SATELLITES}/{{satellite}}{rest}"), Administer, methods);
    vec![
        of_all("/global/registration-tokens", post(registration_tokens::create_global)),
        of_all("/registration-tokens", get(registration_tokens::list)),
        of_all("/registration-tokens/{token}", delete(registration_tokens::delete)),
        of_all("/manage", get(satellites::list)),
        at("", get(satellites::get).patch(satellites::update).delete(satellites::delete)),
        at("/status", patch(satellites::set_status)),
        at("/commands", get(satellites::commands).post(satellites::create_command)),
        at("/commands/{command}", get(satellites::command)),
        at("/heartbeats", get(satellites::heartbeats)),
        at("/events", get(satellites::events)),
        ("/api/events".to_owned(), Administer, get(satellites::all_events)),
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
