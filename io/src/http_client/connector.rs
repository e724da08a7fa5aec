//! From a URL to a connection: directly or through a proxy, with TLS where it says so.

mod dial;
mod lookup;
mod stream;
mod tunnel;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use satellite_core::egress::Rules;
use satellite_core::http::HttpFailure;
use tokio::net::TcpStream;
use tower_service::Service;

use self::dial::Dial;
pub use self::lookup::{Looking, Lookup, SystemLookup};
use self::stream::Stream;
use super::ClientOptions;
use super::error::{ConnectFailed, Stage, classify};
use super::proxy::Proxies;

type Connecting<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

/// Makes the pool's connections, each within its time.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    https: HttpsConnector<Way>,
    timeout: Duration,
}

impl Connector {
    pub(super) fn new(
        options: &ClientOptions,
        proxies: Arc<Proxies>,
        rules: Arc<Rules>,
        tls: ClientConfig,
    ) -> Self {
        let timeout = options.connect_timeout;
        let dial = Dial::new(rules, Arc::clone(&options.lookup), timeout);
        // A proxy is spoken to in HTTP/1.1, before the server is.
        let mut to_proxy = tls.clone();
        to_proxy.alpn_protocols.clear();
        let proxy = HttpsConnector::from((ToProxy(dial.clone()), to_proxy));
        let https = HttpsConnector::from((Way { dial, proxies, proxy }, tls));
        Connector { https, timeout }
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<Stream>;
    type Error = ConnectFailed;
    type Future = Connecting<Self::Response, ConnectFailed>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectFailed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = tokio::time::timeout(self.timeout, self.https.call(uri));
        Box::pin(async move {
            match connecting.await {
                Ok(Ok(stream)) => Ok(stream),
                Ok(Err(error)) => Err(ConnectFailed(classify(error.as_ref(), Stage::Connecting))),
                Err(_) => Err(ConnectFailed(HttpFailure::ConnectTimedOut)),
            }
        })
    }
}

/// Below TLS: a connection to the server, or one that a proxy carries on.
#[derive(Clone, Debug)]
struct Way {
    dial: Dial,
    proxies: Arc<Proxies>,
    proxy: HttpsConnector<ToProxy>,
}

impl Way {
    async fn connect(mut self, uri: Uri) -> Result<Stream, HttpFailure> {
        let target = self.dial.admit(&uri)?;
        let Some(proxy) = self.proxies.of(&uri) else {
            let inner = MaybeHttpsStream::Http(self.dial.connect(&target, uri).await?);
            return Ok(Stream { inner, forwards: false });
        };
        self.dial.admit_unresolved(&target)?;
        let stream = self
            .proxy
            .call(proxy.uri().clone())
            .await
            .map_err(|error| classify(error.as_ref(), Stage::Connecting))?;
        if !target.is_https() {
            return Ok(Stream { inner: stream, forwards: true });
        }
        Ok(Stream { inner: tunnel::open(stream, &proxy, &target).await?, forwards: false })
    }
}

impl Service<Uri> for Way {
    type Response = Stream;
    type Error = ConnectFailed;
    type Future = Connecting<Stream, ConnectFailed>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectFailed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.clone().connect(uri);
        Box::pin(async move { connecting.await.map_err(ConnectFailed) })
    }
}

/// Connects to the proxy itself.
#[derive(Clone, Debug)]
struct ToProxy(Dial);

impl Service<Uri> for ToProxy {
    type Response = TokioIo<TcpStream>;
    type Error = ConnectFailed;
    type Future = Connecting<TokioIo<TcpStream>, ConnectFailed>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectFailed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dial = self.0.clone();
        Box::pin(async move { dial.connect_to_proxy(&uri).await.map_err(ConnectFailed) })
    }
}
