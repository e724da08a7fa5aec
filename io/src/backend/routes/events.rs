//! Batches of events.

mod record;

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use satellite_core::id::SatelliteId;
use satellite_core::limits::REPORTED_KEY_MAX_BYTES;
use satellite_core::wire::event::{EventFailure, EventsReply, read_batch};

use crate::backend::answer::{Answer, Body, Failure, ok};
use crate::backend::open::Backend;
use crate::backend::store::Store;
use crate::backend::store::records::EventOutcome;

/// Stores each event by itself, in order: one that is wrong costs only itself. A failure of the
/// storage ends the batch with 500, and the satellite sends it again; what was stored is known by its
/// id then.
pub(super) async fn report(
    State(backend): State<Arc<Backend>>,
    Path(satellite): Path<SatelliteId>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let satellite = backend.satellite(&headers, &satellite).await?;
    let events = read_batch(&body.0).map_err(Failure::invalid)?;
    let mut reply = EventsReply {
        success: true,
        processed: 0,
        failed: 0,
        event_ids: Vec::new(),
        failures: Vec::new(),
    };
    for (index, event) in events.into_iter().enumerate() {
        let event = match event {
            Ok(event) => event,
            Err(failure) => {
                reply.failures.push(failure);
                continue;
            }
        };
        let kind = event.data.kind();
        let record = record::of(event, &satellite.id, backend.id("evt_"), backend.clock.now());
        if let Some(field) = record::overlong(&record) {
            reply.failures.push(EventFailure {
                index,
                kind: kind.to_owned(),
                error: format!(
                    "validation failed: `{field}`: must have at most {REPORTED_KEY_MAX_BYTES} bytes"
                ),
            });
            continue;
        }
        let id = record.id.clone();
        match backend.store.record_event(record).await? {
            EventOutcome::Recorded => reply.event_ids.push(id),
            EventOutcome::Repeated(known) => reply.event_ids.push(known),
            EventOutcome::Foreign => reply.failures.push(EventFailure {
                index,
                kind: kind.to_owned(),
                error: "It is about a team or an installation this satellite does not serve"
                    .to_owned(),
            }),
        }
    }
    reply.processed = reply.event_ids.len() as u64;
    reply.failed = reply.failures.len() as u64;
    ok(&reply)
}
