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
mod connector;
mod dial;
mod resolve;
mod send;
mod stream;
mod tunnel;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use satellite_core::egress::Rules;
use satellite_core::http::HttpFailure;
use satellite_core::limits;

pub use self::body::EgressBody;
use self::connector::Connector;
use self::dial::Dial;
pub use self::resolve::{Looking, Lookup, SystemLookup};
use crate::http_client::{HttpClient, Proxies, ProxyVariables, tls_configuration};

/// How the client is made. The default goes directly to the public Internet over `https`.
#[derive(Clone, Debug)]
pub struct EgressOptions {
    /// Whom it may reach.
    pub rules: Rules,
    /// Which proxies connections go through.
    pub proxies: ProxyVariables,
    /// Certificates trusted beside the machine's own.
    pub ca_file: Option<std::path::PathBuf>,
    /// How long a connection may take to be made: look-up, proxy and TLS included.
    pub connect_timeout: Duration,
    /// What bounds an answer.
    pub limits: EgressLimits,
    /// Who resolves names.
    pub lookup: Arc<dyn Lookup>,
}

impl Default for EgressOptions {
    fn default() -> Self {
        EgressOptions {
            rules: Rules::default(),
            proxies: ProxyVariables::default(),
            ca_file: None,
            connect_timeout: Duration::from_millis(limits::EGRESS_CONNECT_TIMEOUT_MS),
            limits: EgressLimits::default(),
            lookup: Arc::new(SystemLookup),
        }
    }
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
    pool: Client<Connector, Full<Bytes>>,
    rules: Arc<Rules>,
    proxies: Arc<Proxies>,
    limits: EgressLimits,
}

impl EgressClient {
    /// Builds a client.
    ///
    /// Fails when a proxy's URL is not valid, or the file of certificates cannot be read.
    pub fn new(options: EgressOptions) -> Result<Self, HttpFailure> {
        let rules = Arc::new(options.rules);
        let proxies = Arc::new(Proxies::new(&options.proxies)?);
        let tls = tls_configuration(options.ca_file.as_deref())?;
        let dial = Dial::new(Arc::clone(&rules), options.lookup, options.connect_timeout);
        let connector = Connector::new(dial, Arc::clone(&proxies), tls, options.connect_timeout);
        let pool = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(90))
            .pool_max_idle_per_host(32)
            .http1_max_headers(limits::EGRESS_HEADERS_MAX)
            .http1_max_buf_size(limits::EGRESS_HEAD_MAX_BYTES)
            .http2_max_header_list_size(
                u32::try_from(limits::EGRESS_HEAD_MAX_BYTES).unwrap_or(u32::MAX),
            )
            // A server that vanished without a word would hold every stream of its connection.
            .http2_keep_alive_interval(Duration::from_secs(20))
            .http2_keep_alive_timeout(Duration::from_secs(20))
            .http2_adaptive_window(true)
            .build(connector);
        Ok(EgressClient { pool, rules, proxies, limits: options.limits })
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
mod tests;
