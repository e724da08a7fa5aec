//! The seam to HTTP: a request goes in, a status and a stream of body chunks come out.
//!
//! Production puts reqwest behind it, and for addresses that others supplied hyper's pool over
//! connections that were judged ([`crate::egress`]); the simulation a client over simulated sockets.
//! All must name the same faults by the same [`HttpFailure`].

mod connector;
mod error;
mod pooled;
mod proxy;
mod reqwest;
mod roots;

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderMap, RETRY_AFTER};
use http::{HeaderName, HeaderValue};
use satellite_core::http::{HttpAnswer, HttpFailure, HttpRequest, Method};
use tokio::time::Instant;

pub use self::connector::{Looking, Lookup, SystemLookup};
pub(crate) use self::error::forbidden;
pub use self::pooled::ClientOptions;
pub(crate) use self::pooled::{PooledBody, PooledClient};
pub use self::proxy::ProxyVariables;
pub use self::reqwest::{ReqwestClient, ResponseBody};
#[cfg(feature = "backend")]
pub(crate) use self::roots::{roots_of, tls_configuration};

/// A client of HTTP servers. Never decompresses, never retries a request the server may have seen.
/// Follows redirects only where it says so itself.
pub trait HttpClient: Clone + Send + Sync + 'static {
    /// The body of an answer.
    type Body: Chunks;

    /// Sends `request`, whose URI is absolute, and returns once the answer's head is there.
    fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> impl Future<Output = Result<http::Response<Self::Body>, HttpFailure>> + Send;
}

/// A body that arrives in pieces.
pub trait Chunks: Send + 'static {
    /// The next piece; `None` at the end. After an error there is nothing more.
    fn next(&mut self) -> impl Future<Output = Option<Result<Bytes, HttpFailure>>> + Send;
}

/// Carries one of the core's requests to the Backend at `base` (no trailing slash) and reads the
/// answer whole, up to `limit` bytes. Ends after the request's own time-out at the latest.
pub async fn exchange<C: HttpClient>(
    client: &C,
    base: &str,
    request: HttpRequest,
    limit: usize,
) -> Result<HttpAnswer, HttpFailure> {
    let timeout = Duration::from_millis(request.timeout_ms);
    let request = prepare(base, request)?;
    let started = Instant::now();
    let whole = async {
        let response = client.send(request).await?;
        let (head, mut body) = response.into_parts();
        let mut answer = HttpAnswer {
            status: head.status.as_u16(),
            retry_after: text(&head.headers, &RETRY_AFTER),
            etag: text(&head.headers, &ETAG),
            body: read_whole(&mut body, limit).await?,
            elapsed_ms: 0,
        };
        answer.elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(answer)
    };
    tokio::time::timeout(timeout, whole).await.unwrap_or(Err(HttpFailure::TimedOut))
}

/// Reads a body to its end; more than `limit` bytes is [`HttpFailure::TooLarge`].
pub async fn read_whole<B: Chunks>(body: &mut B, limit: usize) -> Result<Vec<u8>, HttpFailure> {
    let mut whole = Vec::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk?;
        if whole.len() + chunk.len() > limit {
            return Err(HttpFailure::TooLarge { limit });
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole)
}

fn prepare(base: &str, request: HttpRequest) -> Result<http::Request<Bytes>, HttpFailure> {
    let invalid = |what: &str| HttpFailure::Other(format!("cannot send a request: {what}"));
    let method = match request.method {
        Method::Get => http::Method::GET,
        Method::Post => http::Method::POST,
    };
    let mut prepared =
        http::Request::builder().method(method).uri(format!("{base}{}", request.path));
    let headers = prepared.headers_mut().ok_or_else(|| invalid("its URL is not valid"))?;
    for (name, value) in &request.headers {
        let name =
            HeaderName::try_from(name).map_err(|_| invalid("a header's name is not valid"))?;
        let value = HeaderValue::try_from(value)
            .map_err(|_| invalid(&format!("the value of header {name} is not valid")))?;
        headers.append(name, value);
    }
    if let Some(bearer) = &request.bearer {
        let mut value = HeaderValue::try_from(format!("Bearer {}", bearer.expose()))
            .map_err(|_| invalid("the API key holds characters that no header may carry"))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    if request.body.is_some() && !headers.contains_key(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    prepared
        .body(request.body.map(Bytes::from).unwrap_or_default())
        .map_err(|error| invalid(&error.to_string()))
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(String::from)
}

#[cfg(test)]
mod tests;
