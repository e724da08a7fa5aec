//! Responses: JSON-RPC in HTTP, and refusals with what clients need to sign in.

use axum::body::Body;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, REFERRER_POLICY, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use satellite_core::json::{self, Answer, Id};
use satellite_core::router::denial::Presentation;
use satellite_core::router::outcome::CODE_UNAVAILABLE;
use satellite_core::router::{Denial, DenialKind, Scope};
use serde::Serialize;
use serde_json::value::RawValue;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A response with a JSON body.
pub(super) fn json(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// A response whose body is `value`.
pub(super) fn value<T: Serialize>(status: StatusCode, value: &T) -> Response {
    let mut response = json(status, serde_json::to_vec(value).unwrap_or_default());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A response without a body.
pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// A JSON-RPC error under an HTTP status.
pub(super) fn error(status: StatusCode, id: Option<Id<'_>>, code: i64, text: &str) -> Response {
    error_with(status, id, code, text, None)
}

fn error_with(
    status: StatusCode,
    id: Option<Id<'_>>,
    code: i64,
    text: &str,
    data: Option<&RawValue>,
) -> Response {
    let error = json::error_object(code, text, data);
    json(status, json::response(id, Answer::Error(&error)))
}

/// A refusal of a host or an origin.
pub(super) fn forbidden(text: &str) -> Response {
    error(StatusCode::FORBIDDEN, None, CODE_UNAVAILABLE, text)
}

/// The refusal of a session that is not, or no longer, the caller's.
pub(super) fn no_session() -> Response {
    error(
        StatusCode::NOT_FOUND,
        None,
        CODE_UNAVAILABLE,
        "Session not found. It may have ended: send initialize without a session id.",
    )
}

/// Keeps a token that came in the query string from travelling on.
pub(super) fn without_referrer(mut response: Response) -> Response {
    response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// What a refusal carries besides its text.
#[derive(Serialize)]
struct DenialData<'a> {
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    oauth_error: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_metadata_uri: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes_required: Option<[&'static str; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    required_scopes: Option<[&'static str; 1]>,
}

/// A refusal as an HTTP response. `metadata` is the URI of the resource's metadata (RFC 9728 §5.1).
pub(super) fn denied(denial: &Denial, id: Option<Id<'_>>, metadata: &str) -> Response {
    let (status, code) = match denial.kind.presentation() {
        Presentation::Http { status, code } => (status, code),
        Presentation::Error { code } => (200, code),
        Presentation::ToolResult => (200, CODE_UNAVAILABLE),
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let oauth_error = denial.kind.oauth_error();
    let mut data = DenialData {
        message: &denial.text,
        oauth_error,
        resource_metadata_uri: oauth_error.map(|_| metadata),
        scopes_required: None,
        required_scopes: None,
    };
    let scope = match denial.kind {
        DenialKind::TokenMissing => {
            data.scopes_required = Some([Scope::Read.as_str()]);
            Some(Scope::Read)
        }
        DenialKind::ScopeMissing(scope) => {
            data.required_scopes = Some([scope.as_str()]);
            Some(scope)
        }
        _ => None,
    };
    let raw = serde_json::value::to_raw_value(&data).ok();
    let mut response = error_with(status, id, code, &denial.text, raw.as_deref());
    if let Some(oauth_error) = oauth_error {
        let challenge = challenge(metadata, scope, oauth_error, &denial.text);
        if let Ok(challenge) = HeaderValue::from_str(&challenge) {
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
    }
    response
}

/// The challenge of RFC 6750 §3 with the parameter of RFC 9728 §5.1.
fn challenge(metadata: &str, scope: Option<Scope>, error: &str, description: &str) -> String {
    let mut text = String::from("Bearer realm=\"DeployStack MCP Satellite\"");
    let mut parameter = |name: &str, value: &str| {
        text.push_str(", ");
        text.push_str(name);
        text.push_str("=\"");
        text.extend(value.chars().filter(|c| (' '..='~').contains(c)).flat_map(|c| {
            let escape = matches!(c, '"' | '\\').then_some('\\');
            escape.into_iter().chain([c])
        }));
        text.push('"');
    };
    parameter("resource_metadata", metadata);
    if let Some(scope) = scope {
        parameter("scope", scope.as_str());
    }
    parameter("error", error);
    parameter("error_description", description);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_quotes_whatever_it_carries() {
        let text =
            challenge("https://a/\"b", Some(Scope::Read), "invalid_token", "a\\b\r\nX: \"y\"é");
        assert_eq!(
            text,
            "Bearer realm=\"DeployStack MCP Satellite\", resource_metadata=\"https://a/\\\"b\", \
             scope=\"mcp:read\", error=\"invalid_token\", error_description=\"a\\\\bX: \\\"y\\\"\""
        );
        assert!(HeaderValue::from_str(&text).is_ok());
    }

    #[test]
    fn only_refusals_about_access_tokens_carry_a_challenge() {
        let status = |kind| {
            let response = denied(&Denial::new(kind, "x"), None, "https://m");
            let has = response.headers().contains_key(WWW_AUTHENTICATE);
            (response.status().as_u16(), has)
        };
        assert_eq!(status(DenialKind::TokenMissing), (401, true));
        assert_eq!(status(DenialKind::TokenInvalid), (401, true));
        assert_eq!(status(DenialKind::ScopeMissing(Scope::Execute)), (403, true));
        assert_eq!(status(DenialKind::WrongTeam), (403, false));
        assert_eq!(status(DenialKind::InstanceToken), (401, false));
        assert_eq!(status(DenialKind::InstancePath), (404, false));
    }
}
