//! The administration API.

pub(super) mod installations;
pub(super) mod people;
pub(super) mod satellites;
pub(super) mod servers;

use axum::http::StatusCode;
use axum::response::Response;
use satellite_core::id::InstallationId;
use satellite_core::id::TeamId;
use satellite_core::time::DAY;
use satellite_core::wire::admin::Reply;
use serde::Serialize;
use serde_json::{Value, json};

use crate::backend::answer::{Answer, json, ok};
use crate::backend::open::Backend;
use crate::backend::store::records::{JsonText, Notice};

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
    fn notice(&self, command_type: &'static str, payload: &Value) -> Notice {
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
