//! Several messages in one array, as revision 2025-03-26 has it.

use axum::response::Response;
use futures_util::future::join_all;
use http::StatusCode;
use satellite_core::json::{self, Answer, Id, Message, Parsed};
use satellite_core::router::dispatch::Form;
use satellite_core::router::outcome::{Told, told_of_denial};
use serde_json::value::RawValue;

use super::sessions::Visit;
use super::transport::{Caller, Next, note, step};
use super::{Surface, reply, stream};

/// Answers every request of a batch, in its order, in one array.
pub(super) async fn answer(
    surface: &Surface,
    visit: &Visit,
    caller: &Caller,
    members: &[&RawValue],
) -> Response {
    if !visit.session.revision.allows_batches() {
        return reply::error(
            StatusCode::BAD_REQUEST,
            None,
            json::CODE_INVALID_REQUEST,
            "Batches are not part of this session's protocol revision. Send one message at a time.",
        );
    }
    let answers = join_all(members.iter().map(|text| member(surface, visit, caller, text))).await;
    let mut body = Vec::new();
    for answer in answers.into_iter().flatten() {
        body.push(if body.is_empty() { b'[' } else { b',' });
        body.extend_from_slice(&answer);
    }
    if body.is_empty() {
        return reply::empty(StatusCode::ACCEPTED);
    }
    body.push(b']');
    reply::json(StatusCode::OK, body)
}

/// The answer to one message, if it wants one.
async fn member(
    surface: &Surface,
    visit: &Visit,
    caller: &Caller,
    text: &RawValue,
) -> Option<Vec<u8>> {
    let refused = |id: Option<Id<'_>>, code, text: &str| {
        let error = json::error_object(code, text, None);
        Some(json::response(id, Answer::Error(&error)))
    };
    match json::parse(text.get().as_bytes()) {
        Err(invalid) => refused(invalid.id, invalid.fault.code(), &invalid.reason),
        Ok(Parsed::Batch(_)) => {
            refused(None, json::CODE_INVALID_REQUEST, "A batch can't hold a batch.")
        }
        Ok(Parsed::Single(Message::Request { id, method, .. })) if method == "initialize" => {
            refused(Some(id), json::CODE_INVALID_REQUEST, "initialize must be sent alone.")
        }
        Ok(Parsed::Single(Message::Request { id, method, params })) => {
            let told = match step(surface, caller, &method, params).await {
                Ok(Next::Call(plan)) => {
                    let id = RawValue::from_string(id.token().to_owned()).ok()?;
                    return stream::answer_alone(surface, &visit.session, &id, plan).await;
                }
                Ok(Next::Told(told)) => told,
                Err(denial) => told_of_denial(&denial, Form::Plain),
            };
            surface.usage.requested(&visit.session.client);
            match told {
                Told::Result(result) => Some(json::response(Some(id), Answer::Result(&result))),
                Told::Error(error) => Some(json::response(Some(id), Answer::Error(&error))),
                Told::Nothing => None,
            }
        }
        Ok(Parsed::Single(message)) => {
            note(&visit.session, &message);
            None
        }
    }
}
