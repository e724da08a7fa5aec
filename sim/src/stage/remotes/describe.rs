//! Events and effects of conversations as text, for traces, and as a number, for their digest.

use std::hash::{Hash, Hasher};

use satellite_core::remote::{Effect, Event};

use crate::trace::Digest;

/// An event of a peer.
pub(super) fn event(event: &Event) -> String {
    match event {
        Event::Chunk { exchange, bytes } => {
            format!("chunk of {}: {}", exchange.0, String::from_utf8_lossy(bytes))
        }
        other => format!("{other:?}"),
    }
}

/// An effect of a peer.
pub(super) fn effect(effect: &Effect) -> String {
    match effect {
        Effect::Exchange { exchange, request } => {
            let body = request.body.as_deref().map_or(&b""[..], Vec::as_slice);
            let (method, body) = (request.method, String::from_utf8_lossy(body));
            format!("exchange {}: {method:?} {body}", exchange.0)
        }
        other => format!("{other:?}"),
    }
}

/// Adds an event of a conversation to a digest.
pub(super) fn digest_event(conversation: u64, event: &Event, digest: &mut Digest) {
    digest.write_u64(conversation);
    std::mem::discriminant(event).hash(digest);
    match event {
        Event::Chunk { exchange, bytes } => {
            digest.write_u64(exchange.0);
            digest.write(bytes);
        }
        Event::Head { exchange, .. }
        | Event::Ended { exchange }
        | Event::Failed { exchange, .. } => digest.write_u64(exchange.0),
        _ => {}
    }
}

/// Adds an effect of a conversation to a digest.
pub(super) fn digest_effect(effect: &Effect, digest: &mut Digest) {
    std::mem::discriminant(effect).hash(digest);
    match effect {
        Effect::Exchange { exchange, request } => {
            digest.write_u64(exchange.0);
            digest.write(request.url.expose().as_bytes());
            digest.write(request.body.as_deref().map_or(&b""[..], Vec::as_slice));
        }
        Effect::Abort { exchange } => digest.write_u64(exchange.0),
        Effect::FetchToken { stale } => digest.write_u64(stale.unwrap_or(u64::MAX)),
        Effect::Answer { call, outcome } => {
            digest.write_u64(call.0);
            std::mem::discriminant(outcome).hash(digest);
        }
        Effect::NotifyCall { call, .. } => digest.write_u64(call.0),
        Effect::NotifyAll { .. } => {}
        Effect::Report(report) => std::mem::discriminant(report).hash(digest),
    }
}
