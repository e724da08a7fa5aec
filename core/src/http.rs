//! HTTP as the core speaks it: requests to the Backend are made here in full, and its answers are
//! read here; the host only carries them.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// The methods the core uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// `GET`
    Get,
    /// `POST`
    Post,
}

/// A request to the Backend. The host adds the base URL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HttpRequest {
    /// The method.
    pub method: Method,
    /// Path and query, from the slash on.
    pub path: String,
    /// The bearer token, if the call is authenticated.
    pub bearer: Option<Secret>,
    /// Further headers, by lower-case name.
    pub headers: Vec<(String, String)>,
    /// The JSON body, if any.
    #[serde(with = "crate::recording::bytes::optional")]
    pub body: Option<Vec<u8>>,
    /// After this long the request has failed.
    pub timeout_ms: u64,
}

/// An answer, read whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HttpAnswer {
    /// The status code.
    pub status: u16,
    /// The value of `Retry-After`, as sent.
    pub retry_after: Option<String>,
    /// The value of `ETag`, as sent.
    pub etag: Option<String>,
    /// The body.
    #[serde(with = "crate::recording::bytes")]
    pub body: Vec<u8>,
    /// Milliseconds from sending to the end of the body.
    pub elapsed_ms: u64,
}

impl HttpAnswer {
    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "failure", content = "detail", rename_all = "snake_case")]
pub enum HttpFailure {
    /// The connection was refused, or the host is unreachable.
    Refused(String),
    /// The name did not resolve.
    Unresolved(String),
    /// TLS could not be set up.
    Tls(String),
    /// The server's certificate is not accepted: expired, for another name, of an unknown issuer.
    Certificate(String),
    /// The time for making a connection passed: nothing was sent.
    ConnectTimedOut,
    /// The time-out passed.
    TimedOut,
    /// The connection ended before an answer began.
    Reset(String),
    /// The answer's body broke off.
    Cut(String),
    /// The answer is larger than allowed.
    TooLarge {
        /// The bound in bytes.
        limit: usize,
    },
    /// The answer is not one: not HTTP, too many headers, or encoded although nobody asked for it.
    Malformed(String),
    /// A rule forbids the request, or the redirect it met. It was not sent, or not sent on.
    Forbidden {
        /// Which rule, and how to allow it.
        what: String,
    },
    /// Anything else, such as a proxy's refusal.
    Other(String),
}

impl HttpFailure {
    /// Whether the same request may succeed later without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        !matches!(
            self,
            HttpFailure::Tls(_)
                | HttpFailure::Certificate(_)
                | HttpFailure::TooLarge { .. }
                | HttpFailure::Forbidden { .. }
        )
    }

    /// Whether the other side certainly did nothing about the request: it saw none of it, or only
    /// answered with a redirect that is not followed.
    pub fn has_no_side_effects(&self) -> bool {
        matches!(
            self,
            HttpFailure::Refused(_)
                | HttpFailure::Unresolved(_)
                | HttpFailure::Tls(_)
                | HttpFailure::Certificate(_)
                | HttpFailure::ConnectTimedOut
                | HttpFailure::Forbidden { .. }
        )
    }
}

impl core::fmt::Display for HttpFailure {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            HttpFailure::Refused(detail) => write!(f, "connection refused: {detail}"),
            HttpFailure::Unresolved(detail) => write!(f, "name does not resolve: {detail}"),
            HttpFailure::Tls(detail) => write!(f, "TLS failed: {detail}"),
            HttpFailure::Certificate(detail) => {
                write!(f, "the server's certificate is not accepted: {detail}")
            }
            HttpFailure::ConnectTimedOut => f.write_str("no connection in time"),
            HttpFailure::TimedOut => f.write_str("Request timeout"),
            HttpFailure::Reset(detail) => write!(f, "connection reset: {detail}"),
            HttpFailure::Cut(detail) => write!(f, "answer broke off: {detail}"),
            HttpFailure::TooLarge { limit } => write!(f, "answer exceeds {limit} bytes"),
            HttpFailure::Malformed(detail) => write!(f, "the answer cannot be read: {detail}"),
            HttpFailure::Forbidden { what } => write!(f, "not allowed: {what}"),
            HttpFailure::Other(detail) => f.write_str(detail),
        }
    }
}
