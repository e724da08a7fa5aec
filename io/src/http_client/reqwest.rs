//! reqwest behind the seam: the client for addresses of the operator's own choice.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, NoProxy, Proxy, Response};
use satellite_core::http::HttpFailure;
use satellite_core::secret::Secret;

use super::connector::Lookup;
use super::error::{ConnectFailed, Stage, classify_reqwest};
use super::proxy::{Proxies, ProxyVariables, is_loopback};
use super::roots::tls_configuration;
use super::{Chunks, ClientOptions, HttpClient};

/// A client for the Backend, or a satellite. Never follows a redirect.
///
/// Connections are pooled by origin and shared by clones.
#[derive(Clone, Debug)]
pub struct ReqwestClient {
    outward: Client,
    loopback: Client,
}

impl ReqwestClient {
    /// Builds a client.
    ///
    /// Fails when a proxy's URL is not valid, or the file of certificates cannot be read.
    pub fn new(options: &ClientOptions) -> Result<Self, HttpFailure> {
        Proxies::new(&options.proxies)?;
        let tls = tls_configuration(options.ca_file.as_deref())?;
        let builder = || {
            Client::builder()
                .tls_backend_preconfigured(tls.clone())
                .dns_resolver(Arc::new(Resolver(Arc::clone(&options.lookup))))
                .redirect(Policy::none())
                .connect_timeout(options.connect_timeout)
                .tcp_nodelay(true)
                .no_proxy()
                .user_agent(concat!("satellite/", env!("CARGO_PKG_VERSION")))
        };
        let finish = |builder: ClientBuilder| builder.build().map_err(|error| named(&error));
        let outward = proxies(&options.proxies)?.into_iter().fold(builder(), ClientBuilder::proxy);
        Ok(ReqwestClient { outward: finish(outward)?, loopback: finish(builder())? })
    }
}

fn named(error: &reqwest::Error) -> HttpFailure {
    classify_reqwest(error, Stage::Head)
}

/// The proxies that the variables name. The first that fits is taken.
fn proxies(variables: &ProxyVariables) -> Result<Vec<Proxy>, HttpFailure> {
    let ProxyVariables { all, http, https, no } = variables;
    let made = [
        https.as_ref().map(|url| Proxy::https(written_out(url))),
        http.as_ref().map(|url| Proxy::http(written_out(url))),
        all.as_ref().map(|url| Proxy::all(written_out(url))),
    ];
    made.into_iter()
        .flatten()
        .map(|made| made.map(|it| it.no_proxy(NoProxy::from_string(no))))
        .collect::<Result<_, _>>()
        .map_err(|error| named(&error))
}

/// A proxy's URL; without a scheme it is spoken to in the clear.
fn written_out(url: &Secret) -> String {
    let url = url.expose();
    if url.contains("://") { url.to_owned() } else { format!("http://{url}") }
}

/// The resolver of the options, in reqwest's terms.
#[derive(Debug)]
struct Resolver(Arc<dyn Lookup>);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let lookup = Arc::clone(&self.0);
        Box::pin(async move {
            match lookup.look_up(name.as_str()).await {
                // Port 0 stands for the port of the URL.
                Ok(found) => {
                    Ok(Box::new(found.into_iter().map(|it| SocketAddr::new(it, 0))) as Addrs)
                }
                Err(error) => {
                    let detail = format!("{}: {error}", name.as_str());
                    Err(ConnectFailed(HttpFailure::Unresolved(detail)).into())
                }
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
        let mut response = client.execute(request).await.map_err(|error| named(&error))?;
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
