//! `/metrics`, for whoever watches the satellites of all teams.
//!
//! What it shows is of all teams, and servers run on this machine: an address says nothing about who
//! asks. So it wants a token of its own, and answers nobody while none was chosen.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use satellite_core::metrics;
use satellite_core::router::outcome::CODE_UNAVAILABLE;
use satellite_core::secret::Secret;

use super::{Surface, reply};

pub(super) async fn metrics(State(surface): State<Arc<Surface>>, headers: HeaderMap) -> Response {
    let Some(token) = &surface.options.shown.metrics_token else {
        return reply::forbidden(
            "Metrics are off. Set SATELLITE_METRICS_TOKEN and ask with it as the Bearer token.",
        );
    };
    let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer ")).map(Secret::new);
    if given.as_ref() != Some(token) {
        let text = "Ask with SATELLITE_METRICS_TOKEN as the Bearer token.";
        let mut response = reply::error(StatusCode::UNAUTHORIZED, None, CODE_UNAVAILABLE, text);
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return response;
    }
    let mut response = Response::new(metrics::page(&surface.view()).into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
