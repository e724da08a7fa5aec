//! reqwest behind the seam.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::redirect::Policy;
use reqwest::{Client, Proxy, Response};
use satellite_core::http::HttpFailure;

use super::error::{Stage, classify_reqwest};
use super::proxy::is_loopback;
use super::resolve::SystemResolver;
use super::roots::tls_configuration;
use super::{Chunks, HttpClient};

/// How connections are made.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Which proxy connections go through.
    pub proxy: OutboundProxy,
    /// How long a connection may take to be made, TLS included.
    pub connect_timeout: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        ClientOptions {
            proxy: OutboundProxy::Environment,
            connect_timeout: Duration::from_secs(10),
        }
    }
}

/// Which proxy connections go through. Loopback addresses are always reached directly.
#[derive(Clone, Debug)]
pub enum OutboundProxy {
    /// What `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` say.
    Environment,
    /// This one, for every address, loopback included.
    Fixed(String),
    /// None.
    Direct,
}

/// A client over real sockets.
#[derive(Clone, Debug)]
pub struct ReqwestClient {
    outward: Client,
    loopback: Client,
}

impl ReqwestClient {
    /// Builds a client; its connections are pooled and shared by its clones.
    ///
    /// Fails when the proxy's URL is not valid or TLS cannot be set up.
    pub fn new(options: &ClientOptions) -> Result<Self, HttpFailure> {
        let tls = tls_configuration(None)?;
        let build = |proxy: Option<Proxy>| {
            let builder = Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .dns_resolver(Arc::new(SystemResolver))
                .redirect(Policy::none())
                .connect_timeout(options.connect_timeout)
                .tcp_nodelay(true)
                .user_agent(concat!("satellite/", env!("CARGO_PKG_VERSION")));
            let builder = match proxy {
                Some(proxy) => builder.proxy(proxy),
                None => builder,
            };
            Ok(builder)
        };
        let finish = |builder: reqwest::ClientBuilder| {
            builder.build().map_err(|error| classify_reqwest(&error, Stage::Head))
        };
        let direct = finish(build(None)?.no_proxy())?;
        Ok(match &options.proxy {
            OutboundProxy::Direct => ReqwestClient { outward: direct.clone(), loopback: direct },
            OutboundProxy::Environment => {
                ReqwestClient { outward: finish(build(None)?)?, loopback: direct }
            }
            OutboundProxy::Fixed(url) => {
                let proxy = Proxy::all(url.as_str())
                    .map_err(|error| classify_reqwest(&error, Stage::Head))?;
                let fixed = finish(build(Some(proxy))?)?;
                ReqwestClient { outward: fixed.clone(), loopback: fixed }
            }
        })
    }
}

impl HttpClient for ReqwestClient {
    type Body = ResponseBody;

    async fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<ResponseBody>, HttpFailure> {
        let client = if is_loopback(request.uri()) { &self.loopback } else { &self.outward };
        let request = reqwest::Request::try_from(request)
            .map_err(|error| HttpFailure::Other(format!("the URL is not valid: {error}")))?;
        let mut response =
            client.execute(request).await.map_err(|error| classify_reqwest(&error, Stage::Head))?;
        let mut answer = http::Response::new(());
        *answer.status_mut() = response.status();
        *answer.version_mut() = response.version();
        std::mem::swap(answer.headers_mut(), response.headers_mut());
        Ok(answer.map(|()| ResponseBody(Some(response))))
    }
}

/// The body of an answer.
#[derive(Debug)]
pub struct ResponseBody(Option<Response>);

impl Chunks for ResponseBody {
    async fn next(&mut self) -> Option<Result<Bytes, HttpFailure>> {
        match self.0.as_mut()?.chunk().await {
            Ok(Some(chunk)) => Some(Ok(chunk)),
            Ok(None) => {
                self.0 = None;
                None
            }
            Err(error) => {
                self.0 = None;
                Some(Err(classify_reqwest(&error, Stage::Body)))
            }
        }
    }
}
