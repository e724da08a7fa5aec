//! What becomes of a satellite's requests, at a Backend that is there or is not.

use satellite_core::credentials::Credentials;
use satellite_core::http::{HttpAnswer, HttpFailure};
use satellite_core::id::SatelliteId;
use satellite_core::request::Channel;
use satellite_core::secret::Secret;
use satellite_core::time::{IsoTime, SECOND};
use satellite_core::wire::capability::ADDITIONS;
use serde_json::json;

use crate::edge::{Due, Request};
use crate::stage::EPOCH;

/// What a satellite keeps that was paired long ago.
pub(super) fn paired(number: usize) -> Credentials {
    Credentials {
        api_key: Secret::new(format!("deploystack_satellite_api_global_{number:032}")),
        satellite_id: SatelliteId::from(format!("sat_{number}")),
        satellite_name: format!("satellite-{number}"),
        team_id: None,
        backend_url: None,
        registered_at: IsoTime(EPOCH),
        last_verified: IsoTime(EPOCH),
    }
}

/// The same request, but the connection ended before the answer came.
pub(super) fn cut(due: Due) -> Due {
    match due {
        Due::Answer(request, _) => {
            Due::Answer(request, Err(HttpFailure::Reset(String::from("connection reset"))))
        }
        other => other,
    }
}

/// Nobody listens.
pub(super) fn refused(request: &Request) -> Due {
    let refused = HttpFailure::Refused(String::from("connection refused"));
    Due::Answer(request.key, Err(refused))
}

/// What a Backend without commands says, and for how long it holds the request first.
pub(super) fn answered(request: &Request, holds_polls: bool) -> (u64, Due) {
    let path = request.http.path.as_str();
    let wait = path.split_once("wait=").and_then(|(_, wait)| wait.parse::<u64>().ok());
    let held_ms = wait.unwrap_or(0) * SECOND;
    let body = match request.key.channel {
        Channel::Poll => json!({"commands": [], "polling_mode": "slow", "next_poll_interval": 60}),
        Channel::Heartbeat => {
            let granted: &[&str] = if holds_polls { &ADDITIONS } else { &[] };
            json!({"success": true, "message": "ok", "capabilities": granted})
        }
        Channel::Configuration => json!({"mcp_servers": {}, "satellite_config": {}, "version": 1}),
        Channel::Events => json!({"success": true, "processed": 1, "failed": 0}),
        _ => json!({"success": true, "message": "ok"}),
    };
    let body = body.to_string().into_bytes();
    let answer = HttpAnswer { status: 200, body, elapsed_ms: held_ms, ..HttpAnswer::default() };
    (held_ms, Due::Answer(request.key, Ok(answer)))
}
