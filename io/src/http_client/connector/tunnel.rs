//! A tunnel through a proxy (RFC 9110 §9.3.6).

use hyper_rustls::MaybeHttpsStream;
use hyper_util::client::proxy::matcher::Intercept;
use hyper_util::rt::TokioIo;
use satellite_core::egress::Target;
use satellite_core::http::HttpFailure;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection to the proxy, or what it tunnels.
pub(super) type Proxied = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Longest head of the proxy's answer.
const HEAD_MAX_BYTES: usize = 16 * 1024;

/// Asks the proxy at the other end of `stream` for a tunnel to `target`.
pub(super) async fn open(
    stream: Proxied,
    proxy: &Intercept,
    target: &Target,
) -> Result<Proxied, HttpFailure> {
    let mut stream = TokioIo::new(stream);
    let broken = |error: std::io::Error| HttpFailure::Refused(format!("the proxy: {error}"));
    let authority = format!("{}:{}", target.host(), target.port());
    let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
    if let Some(credentials) = proxy.basic_auth() {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(credentials.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    stream.write_all(&request).await.map_err(broken)?;
    stream.flush().await.map_err(broken)?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= HEAD_MAX_BYTES {
            return Err(HttpFailure::Malformed(String::from("the proxy's head has no end")));
        }
        // One by one: what follows the head belongs to the server.
        head.push(stream.read_u8().await.map_err(broken)?);
    }
    status(&head)?;
    Ok(stream.into_inner())
}

/// Reads the status line; anything but success is a failure.
fn status(head: &[u8]) -> Result<(), HttpFailure> {
    let line = String::from_utf8_lossy(head.split(|it| *it == b'\r').next().unwrap_or_default());
    let mut words = line.split(' ');
    let is_http = words.next().is_some_and(|it| it.starts_with("HTTP/1."));
    let status = words.next().and_then(|it| it.parse::<u16>().ok()).filter(|_| is_http);
    match status {
        Some(200..=299) => Ok(()),
        Some(407) => Err(HttpFailure::Other(String::from(
            "the proxy wants credentials: write them into HTTPS_PROXY, as http://user:password@host:port",
        ))),
        // The proxy could not reach the server.
        Some(status @ 502..=504) => {
            Err(HttpFailure::Refused(format!("the proxy answered {status} to CONNECT")))
        }
        Some(status) => Err(HttpFailure::Other(format!(
            "the proxy answered {status} to CONNECT: have it allow this server"
        ))),
        None => Err(HttpFailure::Malformed(String::from("the proxy does not speak HTTP"))),
    }
}
