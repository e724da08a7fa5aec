//! One exchange: the request goes out, and what comes back is passed on as it arrives.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use http::{HeaderName, HeaderValue};
use satellite_core::http::HttpFailure;
use satellite_core::remote::{ExchangeId, Head, Method, Request};

use crate::http_client::{Chunks, HttpClient};

/// Pieces that are passed on at once: they are there already, and each hand-over has its price.
const AT_ONCE: usize = 8;

/// A piece of an answer.
#[derive(Debug)]
pub(super) enum Piece {
    Head(Head),
    Chunk(Bytes),
    Ended,
    Failed(HttpFailure),
}

/// Pieces of one exchange, in their order.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) exchange: ExchangeId,
    pub(super) pieces: Vec<Piece>,
}

/// An exchange under way; it ends after [`Piece::Ended`] or [`Piece::Failed`].
pub(super) type Carried = Pin<Box<dyn Stream<Item = Arrived> + Send>>;

/// Carries out an exchange. Nothing is sent or read while nobody asks for what arrived.
pub(super) fn carry<C: HttpClient>(client: C, exchange: ExchangeId, request: Request) -> Carried {
    let begin = Some(Next::<C, C::Body>::Send(client, request));
    Box::pin(unfold(begin, move |next| async move {
        let mut pieces = Vec::with_capacity(3);
        let body = match next? {
            Next::Send(client, request) => match sent(&client, request).await {
                Ok((head, body)) => {
                    pieces.push(Piece::Head(head));
                    Some(body)
                }
                Err(failure) => {
                    pieces.push(Piece::Failed(failure));
                    None
                }
            },
            Next::Read(mut body) => {
                let next = body.next().await;
                take(next, &mut pieces).then_some(body)
            }
        };
        let rest = match body {
            Some(body) => at_hand(body, &mut pieces).await,
            None => None,
        };
        Some((Arrived { exchange, pieces }, rest.map(Next::Read)))
    }))
}

/// What an exchange does next.
enum Next<C, B> {
    Send(C, Request),
    Read(B),
}

async fn sent<C: HttpClient>(client: &C, request: Request) -> Result<(Head, C::Body), HttpFailure> {
    let response = client.send(prepare(request)?).await?;
    let (parts, body) = response.into_parts();
    let headers = parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    Ok((Head::new(parts.status.as_u16(), headers), body))
}

/// Takes what is there of a body without waiting for it; gives the body if there may be more.
async fn at_hand<B: Chunks>(mut body: B, pieces: &mut Vec<Piece>) -> Option<B> {
    while pieces.len() < AT_ONCE {
        let next = poll_fn(|context| Poll::Ready(pin!(body.next()).poll(context))).await;
        let Poll::Ready(next) = next else { break };
        if !take(next, pieces) {
            return None;
        }
    }
    Some(body)
}

/// Takes what a body said next. Whether there may be more.
fn take(next: Option<Result<Bytes, HttpFailure>>, pieces: &mut Vec<Piece>) -> bool {
    let piece = match next {
        Some(Ok(chunk)) if chunk.is_empty() => return true,
        Some(Ok(chunk)) => Piece::Chunk(chunk),
        Some(Err(failure)) => Piece::Failed(failure),
        None => Piece::Ended,
    };
    let goes_on = matches!(piece, Piece::Chunk(_));
    pieces.push(piece);
    goes_on
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
