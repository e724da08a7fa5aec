//! The administration API.

mod connections;
mod installations;
mod jobs;
mod operations;
mod pages;
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
use axum::routing::MethodRouter;
use axum::{Extension, Router};
use satellite_core::id::{InstallationId, TeamId};
use satellite_core::time::DAY;
use satellite_core::wire::admin::Reply;
use serde::Serialize;
use serde_json::{Value, json};

use super::operation::{Access, Operation};
use super::other_methods;
use crate::backend::answer::{Answer, as_problem, json, ok};
use crate::backend::authority::Guarded;
use crate::backend::open::Backend;
use crate::backend::store::records::{JsonText, Notice};

pub(super) use operations::operations;

/// Every route of administration. Its handlers reach the Backend through
/// [`crate::backend::authority::Authorised`] and in no other way.
pub(super) fn router<S: Clone + Send + Sync + 'static>(backend: Arc<Backend>) -> Router<S> {
    let allow =
        |operation: &Operation<Guarded>, methods: MethodRouter<Guarded>| match operation.access {
            Access::Administration(permission) => methods.layer(Extension(permission)),
            // Not said: the administrator's.
            _ => methods,
        };
    operations()
        .into_iter()
        .fold(Router::new(), |router, operation| operation.serve(router, allow))
        .method_not_allowed_fallback(other_methods)
        .layer(map_response(as_problem))
        .with_state(Guarded::new(backend))
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
