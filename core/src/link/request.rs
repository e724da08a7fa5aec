//! Requests in a satellite's own name.

use alloc::string::String;
use alloc::vec::Vec;

use crate::credentials::Credentials;
use crate::http::{HttpRequest, Method};
use crate::limits::BACKEND_TIMEOUT_MS;

/// A GET of `path` with the satellite's key.
pub(crate) fn get(credentials: &Credentials, path: String) -> HttpRequest {
    HttpRequest {
        method: Method::Get,
        path,
        bearer: Some(credentials.api_key.clone()),
        headers: Vec::new(),
        body: None,
        timeout_ms: BACKEND_TIMEOUT_MS,
    }
}

/// A POST of a JSON `body` to `path` with the satellite's key.
pub(crate) fn post(credentials: &Credentials, path: String, body: Vec<u8>) -> HttpRequest {
    HttpRequest { method: Method::Post, body: Some(body), ..get(credentials, path) }
}
