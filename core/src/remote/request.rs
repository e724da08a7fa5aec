//! A request to a remote, whole: the host only carries it.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::spec::RemoteSpec;
use super::token::AccessToken;
use crate::query::with_query;
use crate::secret::Secret;

/// The methods that MCP uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `POST`
    Post,
    /// `DELETE`
    Delete,
}

/// A request to a remote.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The absolute URL, the configured query included: it may hold secrets.
    pub url: Secret,
    /// All headers, by lower-case name.
    pub headers: Vec<(String, Secret)>,
    /// The body, if there is one.
    pub body: Option<Arc<Vec<u8>>>,
}

/// Headers that follow from the message or the connection: a configuration cannot set them.
const OURS: [&str; 13] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "host",
    "last-event-id",
    "mcp-protocol-version",
    "mcp-session-id",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What of a conversation shows in a request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Context<'a> {
    pub(super) token: Option<&'a AccessToken>,
    pub(super) session: Option<&'a Secret>,
    pub(super) revision: Option<&'static str>,
    pub(super) last_event: Option<&'a str>,
}

impl Request {
    /// A message of ours, or a stream asked for, at `url`.
    pub(super) fn new(
        spec: &RemoteSpec,
        method: Method,
        url: &str,
        context: Context<'_>,
        body: Option<Arc<Vec<u8>>>,
    ) -> Request {
        let mut headers: Vec<(String, Secret)> = Vec::with_capacity(spec.headers.len() + 6);
        for (name, value) in &spec.headers {
            let name = name.to_ascii_lowercase();
            let replaced = context.token.is_some() && name == "authorization";
            if !replaced && !OURS.contains(&name.as_str()) {
                headers.push((name, value.clone()));
            }
        }
        let mut set =
            |name: &str, value: &str| headers.push((String::from(name), Secret::new(value)));
        match method {
            Method::Post => {
                set("accept", "application/json, text/event-stream");
                set("content-type", "application/json");
            }
            Method::Get => set("accept", "text/event-stream"),
            Method::Delete => {}
        }
        if let Some(token) = context.token {
            set("authorization", &format!("{} {}", token.token_type, token.token.expose()));
        }
        if let Some(session) = context.session {
            set("mcp-session-id", session.expose());
        }
        if let Some(revision) = context.revision {
            set("mcp-protocol-version", revision);
        }
        if let Some(last) = context.last_event {
            set("last-event-id", last);
        }
        let query = spec.query.iter().map(|(name, value)| (name, value));
        Request { method, url: Secret::new(with_query(url, query)), headers, body }
    }
}
