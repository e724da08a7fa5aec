//! hyper's pool of connections behind the seam.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderValue, PROXY_AUTHORIZATION, USER_AGENT};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use satellite_core::egress::Rules;
use satellite_core::http::HttpFailure;
use satellite_core::limits;

use super::Chunks;
use super::connector::{Connector, Lookup, SystemLookup};
use super::error::{Stage, classify, classify_pooled};
use super::proxy::{Proxies, ProxyVariables};
use super::roots::tls_configuration;

/// Connections kept for an origin's next requests. With fewer than it has clients at once, each
/// burst would open some of them anew.
const IDLE_MAX: usize = 128;

/// How connections are made.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Which proxies connections go through; the default is none.
    pub proxies: ProxyVariables,
    /// Certificates trusted beside the machine's own, a PEM file.
    pub ca_file: Option<PathBuf>,
    /// How long a connection may take to be made: look-up, proxy and TLS included.
    pub connect_timeout: Duration,
    /// Who resolves names.
    pub lookup: Arc<dyn Lookup>,
}

impl Default for ClientOptions {
    fn default() -> Self {
        ClientOptions {
            proxies: ProxyVariables::default(),
            ca_file: None,
            connect_timeout: Duration::from_millis(limits::CONNECT_TIMEOUT_MS),
            lookup: Arc::new(SystemLookup),
        }
    }
}

/// Requests on connections that the rules of egress allow. Never follows a redirect.
///
/// Connections are pooled by origin and shared by clones.
#[derive(Clone, Debug)]
pub(crate) struct PooledClient {
    pool: Client<Connector, Full<Bytes>>,
    proxies: Arc<Proxies>,
}

impl PooledClient {
    /// Builds a client.
    ///
    /// Fails when a proxy's URL is not valid, or the file of certificates cannot be read.
    pub(crate) fn new(options: &ClientOptions, rules: Arc<Rules>) -> Result<Self, HttpFailure> {
        let proxies = Arc::new(Proxies::new(&options.proxies)?);
        let tls = tls_configuration(options.ca_file.as_deref())?;
        let connector = Connector::new(options, Arc::clone(&proxies), rules, tls);
        let head_max_bytes = u32::try_from(limits::HTTP_HEAD_MAX_BYTES).unwrap_or(u32::MAX);
        let pool = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(90))
            .pool_max_idle_per_host(IDLE_MAX)
            .http1_max_headers(limits::HTTP_HEADERS_MAX)
            .http1_max_buf_size(limits::HTTP_HEAD_MAX_BYTES)
            .http2_max_header_list_size(head_max_bytes)
            // A server that vanished without a word would hold every stream of its connection.
            .http2_keep_alive_interval(Duration::from_secs(20))
            .http2_keep_alive_timeout(Duration::from_secs(20))
            .http2_adaptive_window(true)
            .build(connector);
        Ok(PooledClient { pool, proxies })
    }

    /// Sends one request on a connection of the pool.
    pub(crate) async fn dispatch(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Incoming>, HttpFailure> {
        let mut request = request.map(Full::new);
        // A tunnel carries its credentials itself; a request that the proxy forwards carries them.
        let credentials = match request.uri().scheme_str() {
            Some("http") => self.proxies.of(request.uri()),
            _ => None,
        };
        let headers = request.headers_mut();
        if let Some(credentials) = credentials.as_ref().and_then(|it| it.basic_auth()) {
            headers.insert(PROXY_AUTHORIZATION, credentials.clone());
        }
        headers
            .entry(USER_AGENT)
            .or_insert(HeaderValue::from_static(concat!("satellite/", env!("CARGO_PKG_VERSION"))));
        self.pool.request(request).await.map_err(|error| classify_pooled(&error, Stage::Head))
    }
}

/// The body of an answer.
#[derive(Debug)]
pub(crate) struct PooledBody(Option<Incoming>);

impl PooledBody {
    pub(crate) fn new(incoming: Incoming) -> Self {
        PooledBody(Some(incoming))
    }
}

impl Chunks for PooledBody {
    async fn next(&mut self) -> Option<Result<Bytes, HttpFailure>> {
        while let Some(frame) = self.0.as_mut()?.frame().await {
            match frame.map(hyper::body::Frame::into_data) {
                Ok(Ok(chunk)) => return Some(Ok(chunk)),
                // What is no data is a trailer, which nobody asked for.
                Ok(Err(_)) => {}
                Err(error) => {
                    self.0 = None;
                    return Some(Err(classify(&error, Stage::Body)));
                }
            }
        }
        self.0 = None;
        None
    }
}
