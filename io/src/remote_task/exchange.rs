//! One exchange: the request goes out, and what comes back is passed on piece by piece.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use satellite_core::http::HttpFailure;
use satellite_core::remote::{ExchangeId, Head, Method, Request};
use tokio::sync::mpsc;

use crate::http_client::{Chunks, HttpClient};

/// A piece of an answer.
#[derive(Debug)]
pub(super) enum Piece {
    Head(Head),
    Chunk(Bytes),
    Ended,
    Failed(HttpFailure),
}

/// Carries out an exchange. Waits while the queue is full; ends when it is gone.
pub(super) async fn carry<C: HttpClient>(
    client: C,
    exchange: ExchangeId,
    request: Request,
    pieces: mpsc::Sender<(ExchangeId, Piece)>,
) {
    let last = match whole(&client, exchange, request, &pieces).await {
        Ok(()) => Piece::Ended,
        Err(failure) => Piece::Failed(failure),
    };
    let _ = pieces.send((exchange, last)).await;
}

async fn whole<C: HttpClient>(
    client: &C,
    exchange: ExchangeId,
    request: Request,
    pieces: &mpsc::Sender<(ExchangeId, Piece)>,
) -> Result<(), HttpFailure> {
    let response = client.send(prepare(request)?).await?;
    let (parts, mut body) = response.into_parts();
    let headers = parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let head = Head::new(parts.status.as_u16(), headers);
    let mut is_wanted = pieces.send((exchange, Piece::Head(head))).await.is_ok();
    while is_wanted && let Some(chunk) = body.next().await {
        let chunk = chunk?;
        if !chunk.is_empty() {
            is_wanted = pieces.send((exchange, Piece::Chunk(chunk))).await.is_ok();
        }
    }
    Ok(())
}

/// A body that is kept for as long as it may have to be sent again.
struct Shared(Arc<Vec<u8>>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// The request as the client takes it. What is wrong with it is said without its values.
fn prepare(request: Request) -> Result<http::Request<Bytes>, HttpFailure> {
    let invalid = |what: &str| HttpFailure::Other(format!("cannot send a request: {what}"));
    let method = match request.method {
        Method::Get => http::Method::GET,
        Method::Post => http::Method::POST,
        Method::Delete => http::Method::DELETE,
    };
    let mut prepared = http::Request::builder().method(method).uri(request.url.expose());
    let headers = prepared.headers_mut().ok_or_else(|| invalid("the server's URL is not valid"))?;
    for (name, value) in &request.headers {
        let name = HeaderName::try_from(name)
            .map_err(|_| invalid("the name of a configured header is not valid"))?;
        let mut value = HeaderValue::try_from(value.expose())
            .map_err(|_| invalid(&format!("the value of header {name} is not valid")))?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    let body = request.body.map(|body| Bytes::from_owner(Shared(body)));
    prepared.body(body.unwrap_or_default()).map_err(|_| invalid("its parts do not fit together"))
}
