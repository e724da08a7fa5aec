//! Every route of the Backend.

mod admin;
mod commands;
mod configuration;
mod connect;
mod events;
mod heartbeat;
mod introspection;
mod openapi;
mod operation;
mod pairing;
mod satellites;
mod tokens;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::StatusCode;
use axum::middleware::map_request;
use axum::routing::MethodRouter;
use satellite_core::wire::error::ErrorBody;

use super::answer::{Failure, check_address};
use super::open::Backend;
use operation::Operation;

/// The largest body a route takes, in bytes: events carry logs, all else is small.
const EVENTS_BODY_MAX: usize = 16 * 1024 * 1024;
const BODY_MAX: usize = 2 * 1024 * 1024;

/// The whole HTTP surface. No route stands outside the operations that the document tells of.
pub fn router(backend: Arc<Backend>) -> Router {
    let body_max = |operation: &Operation<Arc<Backend>>, methods: MethodRouter<Arc<Backend>>| {
        let is_events = operation.path == satellites::EVENTS;
        methods.layer(DefaultBodyLimit::max(if is_events { EVENTS_BODY_MAX } else { BODY_MAX }))
    };
    [satellites::operations(), connect::operations(), openapi::operations()]
        .into_iter()
        .flatten()
        .fold(Router::new(), |router, operation| operation.serve(router, body_max))
        .layer(map_request(async |request: Request| check_address(request.uri()).map(|()| request)))
        .merge(admin::router(Arc::clone(&backend)).layer(DefaultBodyLimit::max(BODY_MAX)))
        .fallback(async || Failure::not_found("This route was"))
        .method_not_allowed_fallback(other_methods)
        .with_state(backend)
}

/// Every operation, for the document.
fn operations() -> Vec<Operation> {
    let of_administration = admin::operations().into_iter().map(Operation::told);
    [satellites::operations(), connect::operations(), openapi::operations()]
        .into_iter()
        .flatten()
        .map(Operation::told)
        .chain(of_administration)
        .collect()
}

async fn other_methods() -> Failure {
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, ErrorBody::new("This route takes other methods"))
}
