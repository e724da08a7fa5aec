//! Replies and refusals.

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use satellite_core::backend::admission::Forbidden;
use satellite_core::backend::api_key::KeyFault;
use satellite_core::backend::registration_token::TokenFault;
use satellite_core::wire;
use satellite_core::wire::error::ErrorBody;
use serde::Serialize;
use serde::de::DeserializeOwned;

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

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Body, Failure> {
        Bytes::from_request(request, state).await.map(Body).map_err(|rejection| {
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
}
