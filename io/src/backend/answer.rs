//! Replies and refusals.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use satellite_core::backend::admission::Forbidden;
use satellite_core::backend::api_key::KeyFault;
use satellite_core::backend::registration_token::TokenFault;
use satellite_core::limits::NAME_CHARS_MAX;
use satellite_core::wire;
use satellite_core::wire::error::{ErrorBody, Problem};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::authority::Guarded;
use super::open::Backend;
use super::store::StoreError;

/// After how many seconds a client may ask again, while the database is away.
const AWAY_SECONDS: u64 = 5;

/// What a handler gives.
pub(super) type Answer = Result<Response, Failure>;

/// A refusal, with its status.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    body: ErrorBody,
    retry_after: Option<u64>,
}

impl Failure {
    pub(super) fn new(status: StatusCode, body: ErrorBody) -> Failure {
        Failure { status, body, retry_after: None }
    }

    /// The refusal with `Retry-After`, in seconds.
    pub(super) fn retry_after(self, seconds: u64) -> Failure {
        Failure { retry_after: Some(seconds), ..self }
    }

    /// 400: `why` names the field. The words make old satellites tell it from other failures.
    pub(super) fn invalid(why: impl Into<String>) -> Failure {
        let body = ErrorBody::new("validation failed (400)").with_message(why);
        Failure::new(StatusCode::BAD_REQUEST, body)
    }

    pub(super) fn not_found(what: &str) -> Failure {
        Failure::new(StatusCode::NOT_FOUND, ErrorBody::new(format!("{what} not found")))
    }

    pub(super) fn unauthorised(why: &str) -> Failure {
        Failure::new(StatusCode::UNAUTHORIZED, ErrorBody::new(why))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        match error {
            StoreError::Missing(what) => Failure::not_found(what),
            StoreError::Conflict(why) => Failure::new(StatusCode::CONFLICT, ErrorBody::new(why)),
            StoreError::Away(why) => {
                tracing::error!(error = why, operation = "backend_store", "The database is away");
                let body = ErrorBody::new("The database is away; try again later");
                Failure::new(StatusCode::SERVICE_UNAVAILABLE, body).retry_after(AWAY_SECONDS)
            }
            StoreError::Failed(why) => {
                // The cause is for the log: it may name files and queries.
                tracing::error!(error = why, operation = "backend_store", "The database failed");
                let body = ErrorBody::new("The database failed; the Backend's log says why");
                Failure::new(StatusCode::INTERNAL_SERVER_ERROR, body)
            }
        }
    }
}

impl From<KeyFault> for Failure {
    fn from(fault: KeyFault) -> Failure {
        Failure::new(StatusCode::UNAUTHORIZED, fault.body())
    }
}

impl From<TokenFault> for Failure {
    fn from(fault: TokenFault) -> Failure {
        Failure::new(StatusCode::UNAUTHORIZED, fault.body())
    }
}

impl From<Forbidden> for Failure {
    fn from(forbidden: Forbidden) -> Failure {
        Failure::new(StatusCode::FORBIDDEN, forbidden.body())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = json(self.status, &self.body);
        response.extensions_mut().insert(self.body);
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// A refusal as a problem (RFC 9457): what all routes of administration answer with.
pub(super) async fn as_problem(mut response: Response) -> Response {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let title = status.canonical_reason().unwrap_or("Error");
    // Axum's own refusals have no body of ours.
    let body = response.extensions_mut().remove().unwrap_or_else(|| ErrorBody::new(title));
    let problem = Problem::new(status.as_u16(), title, body);
    *response.body_mut() = wire::encode(&problem).into();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}

/// Whether path and query can be kept and looked for in every database.
pub(super) fn check_address(uri: &Uri) -> Result<(), Failure> {
    // No other escape and no part of one reads like this.
    const NUL: &str = "%00";
    if uri.path().contains(NUL) {
        return Err(Failure::invalid("path: must not hold a NUL"));
    }
    let mut pairs = uri.query().unwrap_or_default().split('&');
    if let Some(pair) = pairs.find(|pair| pair.contains(NUL)) {
        let name = pair.split('=').next().unwrap_or_default().replace(NUL, "");
        return Err(Failure::invalid(format!("query: `{name}`: must not hold a NUL")));
    }
    Ok(())
}

/// A JSON reply.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (status, kind, wire::encode(body)).into_response()
}

/// A JSON reply with 200.
pub(super) fn ok(body: &impl Serialize) -> Answer {
    Ok(json(StatusCode::OK, body))
}

/// A request's body, whole and within the limit of its route.
pub(super) struct Body(pub(super) Bytes);

impl Body {
    /// Reads it as `what`.
    pub(super) fn read<T: DeserializeOwned>(&self, what: &str) -> Result<T, Failure> {
        wire::decode(what, &self.0).map_err(Failure::invalid)
    }

    /// The same where a body may be left out.
    pub(super) fn read_or_default<T: DeserializeOwned + Default>(
        &self,
        what: &str,
    ) -> Result<T, Failure> {
        if self.0.is_empty() { Ok(T::default()) } else { self.read(what) }
    }
}

/// From a satellite: a NUL costs no more than itself.
impl FromRequest<Arc<Backend>> for Body {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &Arc<Backend>) -> Result<Body, Failure> {
        let body = whole(request).await?;
        Ok(Body(wire::without_nul(&body).map_or(body, Bytes::from)))
    }
}

/// From an administrator, who can mend what cannot be kept.
impl FromRequest<Guarded> for Body {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &Guarded) -> Result<Body, Failure> {
        let body = whole(request).await?;
        check_texts(&body)?;
        Ok(Body(body))
    }
}

async fn whole(request: Request) -> Result<Bytes, Failure> {
    Bytes::from_request(request, &()).await.map_err(|rejection| {
        let status = rejection.status();
        let why = if status == StatusCode::PAYLOAD_TOO_LARGE {
            // As in `invalid`: an old satellite drops a batch only for this word, and would send
            // this one for ever.
            "validation failed: the body is larger than this route takes; send less at once"
        } else {
            "The body could not be read"
        };
        Failure::new(status, ErrorBody::new(why))
    })
}

/// Fields that things are called or found by, and that are therefore in an index.
pub(super) const NAMES: [&str; 5] =
    ["name", "slug", "username", "installation_name", "correlation_id"];

/// Whether a body's texts can be kept in every database. One that is no JSON is for its reader to
/// refuse.
fn check_texts(body: &[u8]) -> Result<(), Failure> {
    let has_nul = wire::has_nul(body);
    if !has_nul && body.len() <= NAME_CHARS_MAX {
        return Ok(());
    }
    let Ok(value) = serde_json::from_slice::<Value>(body) else { return Ok(()) };
    if has_nul {
        // A key given twice hides the first of its values.
        let place = wire::find_nul(&value).unwrap_or_default();
        return Err(Failure::invalid(format!("body: `{place}`: must not hold a NUL")));
    }
    let long = |name: &&str| {
        let text = value.get(name).and_then(Value::as_str);
        text.is_some_and(|text| text.chars().count() > NAME_CHARS_MAX)
    };
    match NAMES.iter().find(|name| long(name)) {
        Some(name) => Err(Failure::invalid(format!(
            "body: `{name}`: must have at most {NAME_CHARS_MAX} characters"
        ))),
        None => Ok(()),
    }
}
