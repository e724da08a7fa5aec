//! The seam to HTTP over simulated sockets: one connection a request.

use std::error::Error;
use std::io::ErrorKind;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use satellite_core::http::HttpFailure;
use satellite_io::http_client::{Chunks, HttpClient};
use turmoil::net::TcpStream;

use super::{BACKEND, PORT};

/// A client that reaches the Backend's host, whatever the URL says.
#[derive(Clone, Copy, Debug)]
pub(super) struct SimHttp;

/// The body of an answer.
pub(super) struct Body(Option<Incoming>);

impl HttpClient for SimHttp {
    type Body = Body;

    async fn send(
        &self,
        mut request: http::Request<Bytes>,
    ) -> Result<http::Response<Body>, HttpFailure> {
        let stream =
            TcpStream::connect((BACKEND, PORT)).await.map_err(|error| match error.kind() {
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
        let host = http::HeaderValue::from_static(BACKEND);
        request.headers_mut().insert(http::header::HOST, host);
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_string();
        *request.uri_mut() =
            path.parse().map_err(|_| HttpFailure::Other(String::from("bad path")))?;
        let answer =
            sender.send_request(request.map(Full::new)).await.map_err(|error| reset(&error))?;
        Ok(answer.map(|body| Body(Some(body))))
    }
}

impl Chunks for Body {
    async fn next(&mut self) -> Option<Result<Bytes, HttpFailure>> {
        loop {
            match self.0.as_mut()?.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Some(Ok(data));
                    }
                }
                Some(Err(error)) => {
                    self.0 = None;
                    return Some(Err(HttpFailure::Cut(error.to_string())));
                }
                None => {
                    self.0 = None;
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
