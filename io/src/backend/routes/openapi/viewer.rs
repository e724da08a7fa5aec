//! A page that shows the document, and sends what is tried to this Backend alone.

use std::sync::Arc;

use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::backend::open::Backend;
use crate::backend::routes::operation::{Access, Operation, Shows};

/// Nothing but this Backend's own: neither others' scripts, nor a word to others.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) fn operations() -> Vec<Operation<Arc<Backend>>> {
    let open = Access::Open;
    let style = Shows::text("text/css");
    let script = Shows::text("text/javascript");
    vec![
        Operation::get("/api/docs", open, "A page that shows this document", Shows::page(), page),
        Operation::get("/api/docs/viewer.css", open, "How that page looks", style, looks),
        Operation::get("/api/docs/viewer.js", open, "What that page does", script, does),
    ]
}

async fn page() -> Response {
    serve("text/html", include_str!("viewer/page.html"))
}

async fn looks() -> Response {
    serve("text/css", include_str!("viewer/viewer.css"))
}

async fn does() -> Response {
    serve("text/javascript", include_str!("viewer/viewer.js"))
}

fn serve(kind: &str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, format!("{kind}; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, POLICY.to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::REFERRER_POLICY, "no-referrer".to_owned()),
        (header::CACHE_CONTROL, "no-cache".to_owned()),
    ];
    (headers, text).into_response()
}
