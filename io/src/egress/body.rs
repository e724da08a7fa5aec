//! The body of an answer, bounded.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use hyper::body::{Body, Incoming};
use satellite_core::http::HttpFailure;
use tokio::time::Instant;

use super::EgressLimits;
use crate::http_client::{Chunks, PooledBody};

/// The body of an answer.
#[derive(Debug)]
pub struct EgressBody {
    pieces: Option<PooledBody>,
    /// `None` for an event stream.
    bounds: Option<Bounds>,
}

#[derive(Debug)]
struct Bounds {
    limit: usize,
    left: usize,
    end: Instant,
}

impl EgressBody {
    /// Fails when the head promises more than the bound.
    pub(super) fn new(
        incoming: Incoming,
        head: &http::response::Parts,
        limits: EgressLimits,
    ) -> Result<Self, HttpFailure> {
        let limit = limits.body_bytes;
        if is_event_stream(head) {
            return Ok(EgressBody { pieces: Some(PooledBody::new(incoming)), bounds: None });
        }
        if usize::try_from(incoming.size_hint().lower()).is_ok_and(|promised| promised <= limit) {
            let end = Instant::now() + limits.body;
            let bounds = Bounds { limit, left: limit, end };
            return Ok(EgressBody {
                pieces: Some(PooledBody::new(incoming)),
                bounds: Some(bounds),
            });
        }
        Err(HttpFailure::TooLarge { limit })
    }

    async fn piece(&mut self) -> Option<Result<Bytes, HttpFailure>> {
        let next = self.pieces.as_mut()?.next();
        let Some(bounds) = &mut self.bounds else { return next.await };
        let Ok(piece) = tokio::time::timeout_at(bounds.end, next).await else {
            return Some(Err(HttpFailure::TimedOut));
        };
        let chunk = match piece? {
            Ok(chunk) => chunk,
            Err(failure) => return Some(Err(failure)),
        };
        match bounds.left.checked_sub(chunk.len()) {
            Some(left) => bounds.left = left,
            None => return Some(Err(HttpFailure::TooLarge { limit: bounds.limit })),
        }
        Some(Ok(chunk))
    }
}

impl Chunks for EgressBody {
    async fn next(&mut self) -> Option<Result<Bytes, HttpFailure>> {
        let piece = self.piece().await;
        if !matches!(piece, Some(Ok(_))) {
            self.pieces = None;
        }
        piece
    }
}

fn is_event_stream(head: &http::response::Parts) -> bool {
    let kind = head.headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or("");
    let kind = kind.split(';').next().unwrap_or("").trim();
    head.status.is_success() && kind.eq_ignore_ascii_case("text/event-stream")
}
