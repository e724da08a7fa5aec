//! The body of an answer, bounded.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use satellite_core::http::HttpFailure;
use tokio::time::Instant;

use super::EgressLimits;
use crate::http_client::{Chunks, Stage, classify};

/// The body of an answer.
#[derive(Debug)]
pub struct EgressBody {
    incoming: Option<Incoming>,
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
            return Ok(EgressBody { incoming: Some(incoming), bounds: None });
        }
        if usize::try_from(incoming.size_hint().lower()).is_ok_and(|promised| promised <= limit) {
            let end = Instant::now() + limits.body;
            let bounds = Bounds { limit, left: limit, end };
            return Ok(EgressBody { incoming: Some(incoming), bounds: Some(bounds) });
        }
        Err(HttpFailure::TooLarge { limit })
    }

    async fn piece(&mut self) -> Option<Result<Bytes, HttpFailure>> {
        let incoming = self.incoming.as_mut()?;
        loop {
            let frame = match &self.bounds {
                None => incoming.frame().await,
                Some(bounds) => match tokio::time::timeout_at(bounds.end, incoming.frame()).await {
                    Ok(frame) => frame,
                    Err(_) => return Some(Err(HttpFailure::TimedOut)),
                },
            };
            let chunk = match frame? {
                Ok(frame) => frame.into_data(),
                Err(error) => return Some(Err(classify(&error, Stage::Body))),
            };
            // What is no data is a trailer, which nobody asked for.
            let Ok(chunk) = chunk else { continue };
            if let Some(bounds) = &mut self.bounds {
                match bounds.left.checked_sub(chunk.len()) {
                    Some(left) => bounds.left = left,
                    None => return Some(Err(HttpFailure::TooLarge { limit: bounds.limit })),
                }
            }
            return Some(Ok(chunk));
        }
    }
}

impl Chunks for EgressBody {
    async fn next(&mut self) -> Option<Result<Bytes, HttpFailure>> {
        let piece = self.piece().await;
        if !matches!(piece, Some(Ok(_))) {
            self.incoming = None;
        }
        piece
    }
}

fn is_event_stream(head: &http::response::Parts) -> bool {
    let kind = head.headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or("");
    let kind = kind.split(';').next().unwrap_or("").trim();
    head.status.is_success() && kind.eq_ignore_ascii_case("text/event-stream")
}
