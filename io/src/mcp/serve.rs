//! The listener: connections in, a drain at the end.

use std::fmt;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tower_service::Service;

use crate::exit::{Exit, PORT_IN_USE, fault};

/// How long a client may take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long open requests may take once the satellite is told to end.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections at the same time.
const CONNECTIONS_MAX: usize = 10_000;

/// A TCP listener whose connections send at once what they have.
#[derive(Debug)]
pub struct Bound(TcpListener);

impl Bound {
    /// The address it is bound to, with the port that was picked for port 0.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Listener for Bound {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        // Without it a call still works, only later.
        let _ = stream.set_nodelay(true);
        (stream, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// Binds `host` and `port`; 0 picks a free port.
///
/// # Errors
///
/// An [`Exit`] of code 5 if the port is in use, else of code 1.
pub async fn bind(host: &str, port: u16) -> Result<Bound, Exit> {
    match TcpListener::bind((host.trim_matches(['[', ']']), port)).await {
        Ok(listener) => Ok(Bound(listener)),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Err(Exit {
            code: PORT_IN_USE,
            error: format!("port {port} of {host} is in use"),
            hint: String::from(
                "stop what listens there, or choose another port (0 picks a free one)",
            ),
        }),
        Err(error) => Err(fault(
            format!("cannot listen on {host}:{port}: {error}"),
            "choose an address of this machine and a port that may be used",
        )),
    }
}

/// Serves `router` until `shutdown` resolves; then no connection is taken any more, and open
/// requests have ten seconds to end.
pub async fn serve<L>(mut listener: L, router: Router, shutdown: impl Future<Output = ()> + Send)
where
    L: Listener,
    L::Addr: fmt::Debug,
{
    let (drain, draining) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let (stream, peer) = tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.join_next(), if connections.len() >= CONNECTIONS_MAX => continue,
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => accepted,
        };
        // Those that have ended leave nothing behind.
        while connections.try_join_next().is_some() {}
        connections.spawn(connection(stream, Peer::of(&peer), router.clone(), draining.clone()));
    }
    drop(listener);
    drain.send_replace(true);
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(DRAIN_TIMEOUT, all).await.is_err() {
        tracing::warn!(open = connections.len(), "Connections were cut at the end of the drain");
    }
}

/// Where a request came from, without the port.
#[derive(Clone, Debug)]
pub(super) struct Peer(pub(super) Arc<str>);

impl Peer {
    fn of(address: &impl fmt::Debug) -> Peer {
        let text = format!("{address:?}");
        let address = text.parse::<SocketAddr>().map(|address| address.ip().to_string());
        Peer(Arc::from(address.unwrap_or(text)))
    }
}

async fn connection<I>(stream: I, peer: Peer, router: Router, mut draining: watch::Receiver<bool>)
where
    I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let from = peer.clone();
    let service =
        hyper::service::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(from.clone());
            // A router is always ready.
            router.clone().call(request.map(Body::new))
        });
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service)
    );
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = async { let _ = draining.wait_for(|draining| *draining).await; } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, peer = &*peer.0, "A connection broke off");
    }
}
