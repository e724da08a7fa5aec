//! Which event met which state of which lifecycle, and how often: what a simulation has covered.
//! Compiled only where somebody asks for it.

use alloc::collections::BTreeMap;

use crate::http::{HttpAnswer, HttpFailure};
use crate::view::ServerStatus;
use crate::{instance, link};

/// A lifecycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lifecycle {
    /// The conversation with the Backend.
    Link,
    /// An instance, while it is or may become a process.
    Instance,
    /// An instance with a conversation.
    Remote,
    /// A server.
    Server,
}

/// How often each state met each event, by their names in the tables of the tests.
pub type Visits = BTreeMap<(Lifecycle, &'static str, &'static str), u64>;

/// The name of an event of an instance. `incarnation` is that of its present process.
pub(super) fn instance(event: &instance::Event, instance: &instance::Instance) -> &'static str {
    use instance::Event;
    match event {
        Event::Placed => "placed",
        Event::Spawned { .. } => "spawned",
        Event::SpawnFailed { failure, .. } if failure.retryable => "spawn failed for now",
        Event::SpawnFailed { .. } => "spawn failed for good",
        Event::Initialized { .. } => "initialized",
        Event::Listed { .. } => "listed",
        Event::ListsStale { .. } => "lists stale",
        Event::Unusable { .. } => "unusable",
        Event::PipesClosed { .. } => "pipes closed",
        Event::Probed { .. } => "probed",
        Event::Used { .. } => "used",
        Event::Exited { incarnation, .. } => {
            let present = instance.state().process().map(|process| process.incarnation);
            if present.is_none_or(|present| present == *incarnation) {
                "exited"
            } else {
                "exited, an older process"
            }
        }
        Event::Reached { .. } => "reached",
        Event::Failed { failure, .. } => match failure.fault {
            crate::remote::Fault::Unreachable => "failed, unreachable",
            crate::remote::Fault::AuthorisationNeeded => "failed, not authorised",
            crate::remote::Fault::Broken => "failed, broken",
        },
        Event::Frozen { .. } => "frozen",
        Event::FreezeFailed { .. } => "freeze failed",
        Event::Thawed { .. } => "thawed",
        Event::ThawFailed { .. } => "thaw failed",
        Event::RoomWanted => "room wanted",
        Event::Wanted => "wanted",
        Event::CheckRequested => "check requested",
        Event::Configured(_) => "configured",
        Event::ToolSwitched { .. } => "tool switched off",
        Event::RestartRequested(instance::Restart::Recovered)
            if matches!(instance.state(), instance::State::Remote(_)) =>
        {
            "recovery requested"
        }
        Event::RestartRequested(_) => "restart requested",
        Event::KillRequested => "kill requested",
        Event::RemoveRequested => "remove requested",
        Event::DrainRequested => "drain requested",
        Event::Tick => "tick, all is due",
    }
}

/// The name of an event of the link.
pub(super) fn link(event: &link::Event) -> &'static str {
    use link::Event;
    match event {
        Event::Started { credentials: Some(_), .. } => "started, paired",
        Event::Started { .. } => "started, without a token",
        Event::Answered { answer, .. } => answered(answer),
        Event::Stored(Ok(())) => "stored",
        Event::Stored(Err(_)) => "not stored",
        Event::HeartbeatAnswered { answer } => match answer {
            Ok(answer) if voids(answer) => "heartbeat answered, revoked",
            _ => "heartbeat answered 200",
        },
        Event::DrainRequested => "drain requested",
        Event::Tick => "tick, all is due",
    }
}

fn answered(answer: &Result<HttpAnswer, HttpFailure>) -> &'static str {
    let Ok(answer) = answer else { return "timed out" };
    let has = |text: &str| answer.body.windows(text.len()).any(|window| window == text.as_bytes());
    match answer.status {
        200..300 if has("\"status\":\"ok\"") => "answered 200, healthy",
        200..300 if has("\"api_key\"") => "answered 200, registered",
        200..300 if has("\"maintenance\":true") => "answered 200, maintenance",
        200..300 if has("\"commands\":[]") => "answered 200, no commands",
        200..300 if has("\"commands\":[{") => "answered 200, a command",
        200..300 => "answered 200, garbage",
        401 if voids(answer) => "answered 401, revoked",
        401 if has("token") => "answered 401, token used",
        401 => "answered 401, untyped",
        404 => "answered 404",
        409 => "answered 409",
        _ => "answered 503",
    }
}

fn voids(answer: &HttpAnswer) -> bool {
    matches!(answer.status, 401 | 403) && link::answer::error_body(answer).voids_pairing()
}

/// The name of an event of a server whose best instance is as given.
pub(super) fn server(best: Option<ServerStatus>) -> &'static str {
    match best {
        Some(ServerStatus::Offline) => "best is offline",
        Some(ServerStatus::Connecting) => "best is connecting",
        Some(ServerStatus::DiscoveringTools) => "best is discovering_tools",
        Some(ServerStatus::Online) => "best is online",
        Some(ServerStatus::Error) => "best is error",
        Some(ServerStatus::RequiresReauth) => "best is requires_reauth",
        None => "no instances",
    }
}
