//! The body of `POST …/events` and its reply.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Event, EventFault};
use crate::limits;
use crate::wire::{decode, encode};

/// The most events one request may carry.
pub const MAX_BATCH: usize = limits::EVENT_BATCH_MAX;

/// Writes the body of a batch.
pub fn encode_batch<'a>(events: impl IntoIterator<Item = &'a Event>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Batch<'a> {
        events: Vec<&'a Event>,
    }
    encode(&Batch { events: events.into_iter().collect() })
}

/// Reads the body of a batch. Each event stands for itself: one that is wrong does not keep the
/// others from being taken.
///
/// # Errors
///
/// The body is no batch, an empty one, or too large a one. The text holds the word `validation`,
/// by which older satellites know that repeating it is useless.
pub fn read_batch(body: &[u8]) -> Result<Vec<Result<Event, EventFailure>>, String> {
    #[derive(Deserialize)]
    struct Batch {
        events: Vec<Box<RawValue>>,
    }
    #[derive(Deserialize)]
    struct Typed {
        r#type: String,
    }
    let batch: Batch =
        decode("event batch", body).map_err(|reason| format!("validation failed: {reason}"))?;
    if batch.events.is_empty() || batch.events.len() > MAX_BATCH {
        return Err(format!(
            "validation failed: event batch: `events`: has {}, must have 1 to {MAX_BATCH}",
            batch.events.len()
        ));
    }
    let events = batch.events.iter().enumerate().map(|(index, raw)| {
        let text = raw.get().as_bytes();
        Event::read(text).map_err(|fault| EventFailure {
            index,
            kind: match &fault {
                EventFault::UnknownType(kind) => kind.clone(),
                EventFault::Invalid(_) => {
                    decode::<Typed>("event", text).map(|typed| typed.r#type).unwrap_or_default()
                }
            },
            error: fault.to_string(),
        })
    });
    Ok(events.collect())
}

/// The reply to a batch: 200 even if some or all of its events failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EventsReply {
    /// Always `true`.
    #[serde(default = "crate::wire::yes")]
    pub success: bool,
    /// Events taken.
    #[serde(default)]
    pub processed: u64,
    /// Events refused.
    #[serde(default)]
    pub failed: u64,
    /// Ids the Backend gave to those it took, in their order.
    #[serde(default)]
    pub event_ids: Vec<String>,
    /// Those refused. Repeating them is useless.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<EventFailure>,
}

/// An event that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EventFailure {
    /// Its place in the batch, from 0.
    pub index: usize,
    /// Its type, if that much could be read.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// Why, for people.
    #[serde(default)]
    pub error: String,
}
