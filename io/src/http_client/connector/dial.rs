//! A connection to exactly the addresses that were judged.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioIo;
use satellite_core::egress::{Host, Rules, Target};
use satellite_core::http::HttpFailure;
use satellite_core::limits::ADDRESSES_MAX;
use tokio::net::TcpStream;
use tower_service::Service;

use super::lookup::Lookup;
use crate::http_client::error::{Stage, classify, forbidden};

/// Makes TCP connections.
#[derive(Clone, Debug)]
pub(super) struct Dial {
    rules: Arc<Rules>,
    lookup: Arc<dyn Lookup>,
    timeout: Duration,
}

impl Dial {
    pub(super) fn new(rules: Arc<Rules>, lookup: Arc<dyn Lookup>, timeout: Duration) -> Self {
        Dial { rules, lookup, timeout }
    }

    /// Reads the URL of a connection, and judges it once more: no way leads around the rules.
    pub(super) fn admit(&self, uri: &Uri) -> Result<Target, HttpFailure> {
        let target = Target::parse(&uri.to_string()).map_err(forbidden)?;
        self.rules.judge(&target).map_err(forbidden)?;
        Ok(target)
    }

    /// Judges a target whose name a proxy resolves.
    pub(super) fn admit_unresolved(&self, target: &Target) -> Result<(), HttpFailure> {
        self.rules.judge_unresolved(target).map_err(forbidden)
    }

    /// Connects to an admitted target, if each of its addresses is allowed.
    pub(super) async fn connect(
        &self,
        target: &Target,
        uri: Uri,
    ) -> Result<TokioIo<TcpStream>, HttpFailure> {
        let mut addresses = self.resolve(target.host()).await?;
        judge(&self.rules, target, &addresses)?;
        addresses.truncate(ADDRESSES_MAX);
        self.connect_to(addresses, target.port(), uri).await
    }

    /// Connects to the operator's proxy, wherever it is.
    pub(super) async fn connect_to_proxy(
        &self,
        proxy: &Uri,
    ) -> Result<TokioIo<TcpStream>, HttpFailure> {
        let text = proxy.host().unwrap_or("");
        let host = Host::parse(text)
            .map_err(|refusal| HttpFailure::Other(format!("the proxy's address: {refusal}")))?;
        let default = if proxy.scheme_str() == Some("https") { 443 } else { 80 };
        let port = proxy.port_u16().unwrap_or(default);
        let addresses = self.resolve(&host).await?;
        self.connect_to(addresses, port, proxy.clone()).await
    }

    async fn resolve(&self, host: &Host) -> Result<Vec<IpAddr>, HttpFailure> {
        let name = match host {
            Host::Address(address) => return Ok(vec![*address]),
            Host::Name(name) => name,
        };
        match self.lookup.look_up(name).await {
            Ok(addresses) if addresses.is_empty() => {
                Err(HttpFailure::Unresolved(format!("{name}: no address")))
            }
            Ok(addresses) => Ok(addresses),
            Err(error) => Err(HttpFailure::Unresolved(format!("{name}: {error}"))),
        }
    }

    async fn connect_to(
        &self,
        addresses: Vec<IpAddr>,
        port: u16,
        uri: Uri,
    ) -> Result<TokioIo<TcpStream>, HttpFailure> {
        let checked = addresses.into_iter().map(|it| SocketAddr::new(it, port)).collect();
        let mut connector = HttpConnector::new_with_resolver(Checked(checked));
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(self.timeout));
        // A peer that vanished is noticed within two minutes, also on a silent event stream.
        connector.set_keepalive(Some(Duration::from_secs(60)));
        connector.set_keepalive_interval(Some(Duration::from_secs(15)));
        connector.set_keepalive_retries(Some(4));
        connector.call(uri).await.map_err(|error| classify(&error, Stage::Connecting))
    }
}

/// Judges every address of a target.
fn judge(rules: &Rules, target: &Target, addresses: &[IpAddr]) -> Result<(), HttpFailure> {
    let own = own_addresses();
    for address in addresses {
        let judged = rules.judge_address(target, *address, own.contains(address));
        judged.map_err(|refusal| {
            // The message goes to whoever supplied the name; the address is the operator's.
            tracing::warn!(
                operation = "egress",
                host = %target.host(),
                address = %address,
                "Refused to connect"
            );
            forbidden(refusal)
        })?;
    }
    Ok(())
}

/// Answers every look-up with the addresses that were judged.
#[derive(Clone, Debug)]
struct Checked(Vec<SocketAddr>);

impl Service<Name> for Checked {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        ready(Ok(std::mem::take(&mut self.0).into_iter()))
    }
}

/// The addresses of this machine's interfaces. They change while it runs.
fn own_addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    let address = |storage: nix::sys::socket::SockaddrStorage| {
        let v4 = storage.as_sockaddr_in().map(|it| IpAddr::V4(it.ip()));
        v4.or_else(|| storage.as_sockaddr_in6().map(|it| IpAddr::V6(it.ip())))
    };
    interfaces.filter_map(|it| it.address.and_then(address)).collect()
}
