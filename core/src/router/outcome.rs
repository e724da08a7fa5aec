//! How calls that brought no answer of the server are told to the client.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::denial::{Denial, DenialKind, Presentation};
use super::dispatch::Form;
use super::protocol::{raw, tool_error};
use crate::id::TeamId;
use crate::json::{self, CODE_INVALID_PARAMS, CODE_INVALID_REQUEST, CODE_METHOD_NOT_FOUND};
use crate::relay::{CallOutcome, Rejection};
use crate::remote::Fault;
use crate::view::{PlacesView, WaitsFor};

/// The server is gone or out of reach; clients know the code as `ConnectionClosed`.
pub const CODE_UNAVAILABLE: i64 = -32_000;
/// No answer in time; clients know the code as `RequestTimeout`.
pub const CODE_TIMED_OUT: i64 = -32_001;

/// What a client is answered.
#[derive(Debug)]
pub enum Told {
    /// A result.
    Result(Box<RawValue>),
    /// A JSON-RPC error.
    Error(Box<RawValue>),
    /// Nothing: the client took the call back.
    Nothing,
}

/// How a call ended, for whoever counts calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The server answered with a result that is no error.
    Ok,
    /// The server answered with an error, as a result or in JSON-RPC.
    ToolError,
    /// The server never saw the call.
    RejectedBeforeSend,
    /// The client took it back, or went away.
    Cancelled,
    /// The server did not answer in time.
    TimedOut,
    /// The server ended before it answered, or its answer cannot be used.
    OutcomeUnknown,
}

impl Outcome {
    /// What `outcome` was, and why it was no success, in words of our own: a server's may tell what
    /// only its user may read.
    pub fn of(outcome: &CallOutcome) -> (Outcome, Option<String>) {
        match outcome {
            CallOutcome::Result(result) if json::is_true(result.get(), "isError") => {
                (Outcome::ToolError, Some(String::from("the tool reported an error")))
            }
            CallOutcome::Result(_) => (Outcome::Ok, None),
            CallOutcome::Error(error) => {
                #[derive(Deserialize)]
                struct Code {
                    code: i64,
                }
                let code = serde_json::from_str(error.get()).map(|Code { code }| code);
                let text = match code {
                    Ok(code) => format!("the server answered with error {code}"),
                    Err(_) => String::from("the server answered with an error"),
                };
                (Outcome::ToolError, Some(text))
            }
            CallOutcome::RejectedBeforeSend(rejection) => {
                let text = match rejection {
                    Rejection::NotReady => String::from("the server was still starting"),
                    Rejection::Closed { reason } => format!("the server had ended: {reason}"),
                    Rejection::Unreached(failure) => failure.message.clone(),
                    Rejection::TooManyCalls { limit } => format!("{limit} calls were waiting"),
                    Rejection::TooLarge { limit } => {
                        format!("the call was larger than {limit} bytes")
                    }
                    Rejection::Malformed { what } => String::from(*what),
                };
                (Outcome::RejectedBeforeSend, Some(text))
            }
            CallOutcome::Cancelled => {
                (Outcome::Cancelled, Some(String::from("the client took the call back")))
            }
            CallOutcome::TimedOut { after_ms } => {
                (Outcome::TimedOut, Some(format!("no answer within {after_ms} ms")))
            }
            CallOutcome::OutcomeUnknown { reason } => {
                (Outcome::OutcomeUnknown, Some(format!("the server's answer was lost: {reason}")))
            }
        }
    }
}

/// What a client is told of an outcome. The server's own words pass untouched.
pub fn told(outcome: CallOutcome, server: &str, form: Form) -> Told {
    let (code, kind, text) = match outcome {
        CallOutcome::Result(result) if form == Form::ResourceAsTool => {
            return Told::Result(super::resources::read_result(&result));
        }
        CallOutcome::Result(result) => return Told::Result(result),
        CallOutcome::Error(error) => return Told::Error(error),
        CallOutcome::Cancelled => return Told::Nothing,
        CallOutcome::TimedOut { after_ms } => (
            CODE_TIMED_OUT,
            "timed_out",
            format!(
                "The server {server} did not answer within {} s and was told to stop. Try a \
                 smaller request.",
                after_ms.div_ceil(1_000)
            ),
        ),
        CallOutcome::OutcomeUnknown { reason } => (
            CODE_UNAVAILABLE,
            "outcome_unknown",
            format!(
                "The answer of the server {server} was lost ({reason}). It may or may not have done \
                 the work: check before you call again."
            ),
        ),
        CallOutcome::RejectedBeforeSend(rejection) => rejected(&rejection, server),
    };
    Told::Error(error(code, kind, &text))
}

fn rejected(rejection: &Rejection, server: &str) -> (i64, &'static str, String) {
    let (code, text) = match rejection {
        Rejection::NotReady => {
            (CODE_UNAVAILABLE, format!("The server {server} is still starting. Try again soon."))
        }
        Rejection::Closed { reason } => (
            CODE_UNAVAILABLE,
            format!("The server {server} ended before the call was sent ({reason}). Try again."),
        ),
        Rejection::Unreached(failure) => {
            let what = match failure.fault {
                Fault::Unreachable => "cannot be reached",
                Fault::AuthorisationNeeded => "needs its user to sign in to it again",
                Fault::Broken => "does not work",
            };
            (CODE_UNAVAILABLE, format!("The server {server} {what}: {}", failure.message))
        }
        Rejection::TooManyCalls { limit } => (
            CODE_UNAVAILABLE,
            format!("The server {server} has {limit} calls waiting. Try again soon."),
        ),
        Rejection::TooLarge { limit } => (
            CODE_INVALID_REQUEST,
            format!("The call is larger than the {limit} bytes that a server is sent."),
        ),
        Rejection::Malformed { what } => {
            (CODE_INVALID_PARAMS, format!("The call is malformed: {what}."))
        }
    };
    (code, "rejected_before_send", text)
}

fn error(code: i64, kind: &str, text: &str) -> Box<RawValue> {
    let data = raw(format!("{{\"outcome\":\"{kind}\"}}"));
    json::error_object(code, text, Some(&data))
}

/// What a client is told of a refusal that has no HTTP status of its own.
pub fn told_of_denial(denial: &Denial, form: Form) -> Told {
    match denial.kind.presentation() {
        Presentation::ToolResult if form != Form::Plain => Told::Result(tool_error(&denial.text)),
        Presentation::ToolResult => {
            Told::Error(json::error_object(CODE_UNAVAILABLE, &denial.text, None))
        }
        Presentation::Error { code } | Presentation::Http { code, .. } => {
            Told::Error(json::error_object(code, &denial.text, None))
        }
    }
}

/// The JSON-RPC error for a method that a router does not have.
pub fn no_method(method: &str) -> Box<RawValue> {
    let mut end = method.len().min(100);
    while !method.is_char_boundary(end) {
        end -= 1;
    }
    let method = method.get(..end).unwrap_or_default();
    json::error_object(CODE_METHOD_NOT_FOUND, &format!("Method not found: {method}"), None)
}

/// The refusal of a call whose server did not come up in time.
pub fn not_ready(server: &str, status: &str, message: Option<&str>, waited_ms: u64) -> Denial {
    let mut text = format!(
        "The server {server} is not ready (status {status}, waited {} s). Try again in a moment; \
         its log says more.",
        waited_ms / 1_000
    );
    if let Some(message) = message {
        text.push_str(" Last error: ");
        text.push_str(message);
    }
    Denial::new(DenialKind::InstanceUnready, text)
}

/// The refusal of a call whose server's turn to start did not come in time.
pub fn no_place(server: &str, team: &TeamId, places: &PlacesView, waited_ms: u64) -> Denial {
    let (held, starting) = (places.held, places.starting);
    let (limit, how) = match places.waits_for(team) {
        WaitsFor::TeamPlace => (
            format!(
                "its team has the {} servers running that a team may have at once",
                places.team_quota.unwrap_or_default()
            ),
            "an administrator can raise it with SATELLITE_TEAM_INSTANCES",
        ),
        WaitsFor::Place => (
            format!("all {held} places of the satellite for running servers are taken"),
            "an administrator can raise it with SATELLITE_INSTANCES",
        ),
        WaitsFor::OtherStarts => (
            format!("{starting} other servers are being started, and more may not be at once"),
            "an administrator can raise it with SATELLITE_STARTS",
        ),
    };
    let text = format!(
        "The server {server} was not started: its turn did not come within {} s, because {limit}. \
         Try again in a moment, when others have gone to sleep; if this limit is too low, {how}.",
        waited_ms / 1_000
    );
    Denial::new(DenialKind::InstanceUnready, text)
}

#[cfg(test)]
mod tests;
