//! The one client for addresses that somebody else supplied: remote servers, their authorisation
//! servers, redirects of both.
//!
//! What may be reached is decided in [`satellite_core::egress`]; here it is held to. A name is
//! looked up once for each connection, each of its addresses is judged, and the connection goes to
//! these addresses: nothing looks the name up again. An answer's head, size and time are bounded,
//! and an encoded body is refused: none is asked for, so that no small answer unpacks into a large
//! one.
//!
//! Through a proxy (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`) the proxy looks names up;
//! [`Rules::judge_unresolved`] says what is judged then. Loopback is always reached directly, as
//! that of the proxy would be another machine.

mod body;
mod send;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use satellite_core::egress::Rules;
use satellite_core::http::HttpFailure;
use satellite_core::limits;

pub use self::body::EgressBody;
use crate::http_client::{ClientOptions, HttpClient, PooledClient};

/// How the client is made. The default goes directly to the public Internet over `https`.
#[derive(Clone, Debug, Default)]
pub struct EgressOptions {
    /// Whom it may reach.
    pub rules: Rules,
    /// How connections are made.
    pub client: ClientOptions,
    /// What bounds an answer.
    pub limits: EgressLimits,
}

/// What bounds an answer. Event streams (`text/event-stream`) have no end of their own, so that
/// only their head is bounded here; whoever reads one bounds its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EgressLimits {
    /// Time until the head is there, redirects included.
    pub head: Duration,
    /// Time for the body after that.
    pub body: Duration,
    /// Bytes of the body.
    pub body_bytes: usize,
}

impl Default for EgressLimits {
    fn default() -> Self {
        EgressLimits {
            head: Duration::from_millis(limits::EGRESS_HEAD_TIMEOUT_MS),
            body: Duration::from_millis(limits::EGRESS_BODY_TIMEOUT_MS),
            body_bytes: limits::EGRESS_BODY_MAX_BYTES,
        }
    }
}

/// A client that keeps the rules of egress. Follows redirects as
/// [`Trail`](satellite_core::egress::Trail) says; keeps no cookies.
///
/// Connections are pooled by origin and shared by clones.
#[derive(Clone, Debug)]
pub struct EgressClient {
    client: PooledClient,
    rules: Arc<Rules>,
    limits: EgressLimits,
}

impl EgressClient {
    /// Builds a client.
    ///
    /// Fails when a proxy's URL is not valid, or the file of certificates cannot be read.
    pub fn new(options: EgressOptions) -> Result<Self, HttpFailure> {
        let rules = Arc::new(options.rules);
        let client = PooledClient::new(&options.client, Arc::clone(&rules))?;
        Ok(EgressClient { client, rules, limits: options.limits })
    }

    /// The same client, its connections included, with other bounds.
    #[must_use]
    pub fn with_limits(&self, limits: EgressLimits) -> Self {
        EgressClient { limits, ..self.clone() }
    }
}

impl HttpClient for EgressClient {
    type Body = EgressBody;

    async fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<EgressBody>, HttpFailure> {
        tokio::time::timeout(self.limits.head, send::follow(self, request))
            .await
            .unwrap_or(Err(HttpFailure::TimedOut))
    }
}

#[cfg(test)]
pub(crate) mod tests;
