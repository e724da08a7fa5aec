//! HTTP over simulated sockets: the client's seam, one connection a request, and the listener.

use std::error::Error;
use std::io::ErrorKind;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use satellite_core::http::HttpFailure;
use satellite_io::http_client::{Chunks, HttpClient};
use turmoil::net::{TcpListener, TcpStream};

use super::polls::{InFlight, Polls};

/// A client of simulated hosts.
#[derive(Clone, Debug, Default)]
pub(super) struct SimHttp {
    /// Counts the polls that go through it.
    pub(super) polls: Polls,
}

/// The body of an answer.
pub(super) struct Body {
    incoming: Option<Incoming>,
    _poll: Option<InFlight>,
}

impl HttpClient for SimHttp {
    type Body = Body;

    async fn send(
        &self,
        mut request: http::Request<Bytes>,
    ) -> Result<http::Response<Body>, HttpFailure> {
        let poll = self.polls.begin(request.uri().path());
        let uri = request.uri().clone();
        let (Some(host), Some(port)) = (uri.host(), uri.port_u16()) else {
            return Err(HttpFailure::Other(format!("{uri} names no host and port")));
        };
        let stream =
            TcpStream::connect((host, port)).await.map_err(|error| match error.kind() {
                ErrorKind::ConnectionRefused => HttpFailure::Refused(error.to_string()),
                _ => HttpFailure::Reset(error.to_string()),
            })?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| reset(&error))?;
        tokio::spawn(async move {
            // Its error is also the answer's.
            let _ = connection.await;
        });
        let value = http::HeaderValue::from_str(host)
            .map_err(|error| HttpFailure::Other(error.to_string()))?;
        request.headers_mut().insert(http::header::HOST, value);
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() =
            path.parse().map_err(|_| HttpFailure::Other(String::from("bad path")))?;
        let answer =
            sender.send_request(request.map(Full::new)).await.map_err(|error| reset(&error))?;
        Ok(answer.map(|body| Body { incoming: Some(body), _poll: poll }))
    }
}

impl Chunks for Body {
    async fn next(&mut self) -> Option<Result<Bytes, HttpFailure>> {
        loop {
            match self.incoming.as_mut()?.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Some(Ok(data));
                    }
                }
                Some(Err(error)) => {
                    self.incoming = None;
                    return Some(Err(HttpFailure::Cut(error.to_string())));
                }
                None => {
                    self.incoming = None;
                    return None;
                }
            }
        }
    }
}

fn reset(error: &hyper::Error) -> HttpFailure {
    let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    HttpFailure::Reset(cause)
}

/// turmoil's listener, as axum wants one.
pub(super) struct Listener(pub(super) TcpListener);

impl axum::serve::Listener for Listener {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            if let Ok(accepted) = self.0.accept().await {
                return accepted;
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}
