//! The head of an answer, as far as the transport needs it.

use alloc::string::String;

use crate::limits::REMOTE_SESSION_ID_MAX_BYTES;
use crate::secret::Secret;

/// Longest `Retry-After` that is looked at.
const RETRY_AFTER_MAX_BYTES: usize = 64;

/// What kind of body follows, by its `Content-Type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// `application/json`
    Json,
    /// `text/event-stream`
    Events,
    /// Anything else.
    Other,
    /// None is named.
    Unnamed,
}

/// Status and headers of an answer.
#[derive(Clone, Debug)]
pub struct Head {
    pub(super) status: u16,
    pub(super) content: Content,
    /// `Mcp-Session-Id`.
    pub(super) session: Option<Secret>,
    pub(super) retry_after: Option<String>,
    /// Whether it asks for a bearer token (RFC 6750 §3).
    pub(super) is_challenge: bool,
}

impl Head {
    /// Takes what matters out of an answer's headers. Names are in lower case.
    pub fn new<'a>(status: u16, headers: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut head = Head {
            status,
            content: Content::Unnamed,
            session: None,
            retry_after: None,
            is_challenge: false,
        };
        for (name, value) in headers {
            let Ok(value) = core::str::from_utf8(value) else { continue };
            let value = value.trim();
            match name {
                "content-type" => head.content = content(value),
                "mcp-session-id" if is_session_id(value) => head.session = Some(Secret::new(value)),
                "retry-after" if value.len() <= RETRY_AFTER_MAX_BYTES => {
                    head.retry_after = Some(String::from(value));
                }
                "www-authenticate" => head.is_challenge |= is_bearer(value),
                _ => {}
            }
        }
        head
    }

    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

fn content(value: &str) -> Content {
    let kind = value.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        Content::Json
    } else if kind.eq_ignore_ascii_case("text/event-stream") {
        Content::Events
    } else {
        Content::Other
    }
}

/// Visible ASCII only (MCP 2025-11-25, Session Management).
fn is_session_id(value: &str) -> bool {
    (1..=REMOTE_SESSION_ID_MAX_BYTES).contains(&value.len())
        && value.bytes().all(|byte| (0x21..=0x7e).contains(&byte))
}

fn is_bearer(value: &str) -> bool {
    let scheme = value.split([' ', ',']).next().unwrap_or_default();
    scheme.eq_ignore_ascii_case("bearer")
}
