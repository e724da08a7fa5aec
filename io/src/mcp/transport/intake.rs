//! What a client may send: the headers of a message and its body, within their bounds.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::StreamExt;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use http::{HeaderName, StatusCode};
use satellite_core::json;
use satellite_core::limits::MESSAGE_MAX_BYTES;
use satellite_core::router::outcome::CODE_UNAVAILABLE;
use satellite_core::router::protocol::Revision;

use super::super::reply;
use super::super::stream::Accepts;

const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// How long a client may take to send a message.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// A refusal, boxed: responses are large and refusals rare.
pub(super) type Refusal = Box<Response>;

pub(super) fn check_headers(headers: &HeaderMap) -> Result<Accepts, Refusal> {
    let refuse =
        |status, text: &str| Err(Box::new(reply::error(status, None, CODE_UNAVAILABLE, text)));
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = content_type.and_then(|value| value.split(';').next()).map(str::trim);
    if !media_type.is_some_and(|value| value.eq_ignore_ascii_case("application/json")) {
        return refuse(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "The Content-Type header must be application/json.",
        );
    }
    let accepts = accepts(headers);
    if !accepts.json && !accepts.events {
        return refuse(
            StatusCode::NOT_ACCEPTABLE,
            "The Accept header must allow application/json and text/event-stream.",
        );
    }
    let is_unknown = headers
        .get(PROTOCOL_VERSION)
        .is_some_and(|version| version.to_str().ok().and_then(Revision::parse).is_none());
    if is_unknown {
        let known: Vec<_> = Revision::ALL.iter().map(|revision| revision.as_str()).collect();
        let text = format!(
            "The MCP-Protocol-Version header names a revision that is not spoken here. Use one \
             of {}.",
            known.join(", ")
        );
        return refuse(StatusCode::BAD_REQUEST, &text);
    }
    Ok(accepts)
}

pub(super) fn accepts(headers: &HeaderMap) -> Accepts {
    let mut accepts = Accepts { json: false, events: false };
    let mut is_named = false;
    for value in headers.get_all(ACCEPT) {
        is_named = true;
        for range in value.to_str().unwrap_or_default().split(',') {
            match range.split(';').next().unwrap_or_default().trim() {
                "*/*" => accepts = Accepts { json: true, events: true },
                "application/json" | "application/*" => accepts.json = true,
                "text/event-stream" | "text/*" => accepts.events = true,
                _ => {}
            }
        }
    }
    if is_named { accepts } else { Accepts { json: true, events: true } }
}

pub(super) async fn read_body(headers: &HeaderMap, body: Body) -> Result<Bytes, Refusal> {
    let too_large = || {
        let text = format!("The message exceeds {MESSAGE_MAX_BYTES} bytes. Send a smaller one.");
        let code = json::CODE_INVALID_REQUEST;
        Box::new(reply::error(StatusCode::PAYLOAD_TOO_LARGE, None, code, &text))
    };
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<usize>().ok());
    if announced.is_some_and(|length| length > MESSAGE_MAX_BYTES) {
        return Err(too_large());
    }
    let whole = async {
        let mut chunks = body.into_data_stream();
        let mut whole = Bytes::new();
        let mut parts = Vec::new();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| Box::new(reply::empty(StatusCode::BAD_REQUEST)))?;
            if whole.is_empty() && parts.is_empty() {
                // Most messages come in one piece, which is not copied.
                whole = chunk;
                continue;
            }
            if parts.is_empty() {
                parts.reserve(announced.unwrap_or_default());
                parts.extend_from_slice(&whole);
            }
            if parts.len() + chunk.len() > MESSAGE_MAX_BYTES {
                return Err(too_large());
            }
            parts.extend_from_slice(&chunk);
        }
        Ok(if parts.is_empty() { whole } else { Bytes::from(parts) })
    };
    match tokio::time::timeout(BODY_TIMEOUT, whole).await {
        Ok(Ok(body)) if body.len() <= MESSAGE_MAX_BYTES => Ok(body),
        Ok(Ok(_)) => Err(too_large()),
        Ok(Err(refusal)) => Err(refusal),
        Err(_) => Err(Box::new(reply::empty(StatusCode::REQUEST_TIMEOUT))),
    }
}
