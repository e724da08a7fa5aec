//! `command send --wait`: asking after a command until its satellite has reported how it went.

use std::time::Duration;

use satellite_core::wire::path::escape;
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use super::requests::commands_of;
use crate::cli::api::Api;
use crate::exit::{Exit, UNREACHABLE, fault};

/// The first pause between two questions; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// A wait longer than this is one without end.
const WAIT_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Asks after the command that `sent` tells of, until it has ended; each step is told to `progress`.
/// While the Backend cannot be reached it is asked again: it may be starting anew.
///
/// # Errors
///
/// The Backend refuses to say, or the command has not ended after `at_most`.
pub(super) async fn reported(
    api: &Api,
    satellite: &str,
    sent: Value,
    at_most: Duration,
    mut progress: impl FnMut(&str),
) -> Result<Value, Exit> {
    let Some(id) = sent.pointer("/data/command/id").and_then(Value::as_str).map(String::from)
    else {
        return Err(fault(
            "the Backend's reply names no command, so it cannot be waited for",
            "check that a Backend of this version is at this address",
        ));
    };
    let path = format!("{}/{}", commands_of(satellite), escape(&id));
    let until = Instant::now() + at_most.min(WAIT_MAX);
    let (mut reply, mut told, mut pause) = (sent, String::new(), PAUSE_MIN);
    let mut is_away = false;
    loop {
        let status = status_of(&reply).unwrap_or("of unknown status");
        if told != status {
            told = String::from(status);
            progress(&format!("command {id} is {told}"));
        }
        if has_ended(&reply) {
            return Ok(reply);
        }
        let now = Instant::now();
        if now >= until {
            return Err(fault(
                format!("command {id} is still {told} after {} s", at_most.as_secs()),
                format!(
                    "it goes on: ask again with satellite command get {id} --satellite {satellite}"
                ),
            ));
        }
        sleep_until((now + pause).min(until)).await;
        pause = (pause * 2).min(PAUSE_MAX);
        match api.get(&path).await {
            Ok(next) => (reply, is_away) = (next, false),
            Err(exit) if exit.code == UNREACHABLE && Instant::now() < until => {
                if !is_away {
                    progress("the Backend does not answer; it is asked again");
                }
                is_away = true;
            }
            Err(exit) => return Err(exit),
        }
    }
}

fn status_of(reply: &Value) -> Option<&str> {
    reply.pointer("/data/command/status").and_then(Value::as_str)
}

fn has_ended(reply: &Value) -> bool {
    matches!(status_of(reply), Some("completed" | "failed"))
}

/// How the process ends after a command was sent: a command that failed is a failure.
pub(super) fn verdict(reply: &Value, json: bool) -> Result<(), Exit> {
    if status_of(reply) != Some("failed") {
        return Ok(());
    }
    if json {
        // The reply has been printed, and says why.
        return Err(fault("", ""));
    }
    let why = reply.pointer("/data/command/error_message").and_then(Value::as_str);
    let error = format!("the command failed: {}", why.unwrap_or("no reason given"));
    Err(fault(error, "the result above and the satellite's log say more"))
}
