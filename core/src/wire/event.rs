//! Events: what happened on a satellite, told once. `POST …/events` carries 1..=100 of them.

mod batch;
mod client;
mod failure;
mod kinds;
mod process;
mod server;

pub use batch::{EventFailure, EventsReply, MAX_BATCH, encode_batch, read_batch};
pub use client::{ClientActivity, ClientConnected, ClientDisconnected, DisconnectReason};
pub use failure::{
    ConfigError, ConfigErrorType, CredentialsAccessed, EventsGap, LimitExceeded, ResourceType,
    SecurityAuthFailed,
};
pub use kinds::{EventData, EventFault};
pub use process::{
    RestartReason, ServerCrashed, ServerDormant, ServerPermanentlyFailed, ServerRespawned,
    ServerRestarted, ServerStarted, ServerStopped,
};
pub use server::{
    ConfigRefreshed, DiscoveredTool, LogEntry, LogLevel, LogRateLimitExceeded, RequestEntry,
    RequestLogs, ServerLogs, StatusChanged, ToolExecuted, ToolsDiscovered, ToolsUpdated,
};

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;

use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::decode;
use crate::id::EventId;
use crate::time::IsoTime;

/// An event in its envelope.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When it happened.
    pub timestamp: IsoTime,
    /// What happened; it decides the envelope's `type`.
    pub data: EventData,
    /// Its id, unique for the satellite (addition `event-id`).
    pub id: Option<EventId>,
    /// Its number, one more than that of the satellite's event before it (addition `event-id`).
    pub seq: Option<u64>,
}

impl Event {
    /// Reads an event.
    ///
    /// # Errors
    ///
    /// What is wrong with the envelope or the data, or that the type is not known.
    pub fn read(bytes: &[u8]) -> Result<Event, EventFault> {
        let envelope: Envelope = decode("event", bytes).map_err(EventFault::Invalid)?;
        envelope.open()
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let additions = usize::from(self.id.is_some()) + usize::from(self.seq.is_some());
        let mut envelope = serializer.serialize_struct("Event", 3 + additions)?;
        envelope.serialize_field("type", self.data.kind())?;
        envelope.serialize_field("timestamp", &self.timestamp)?;
        envelope.serialize_field("data", &self.data)?;
        if let Some(id) = &self.id {
            envelope.serialize_field("id", id)?;
        }
        if let Some(seq) = &self.seq {
            envelope.serialize_field("seq", seq)?;
        }
        envelope.end()
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Envelope::deserialize(deserializer)?.open().map_err(serde::de::Error::custom)
    }
}

/// An event whose data is still text, since its type decides how to read it.
#[derive(Clone, Debug, Deserialize)]
pub struct Envelope {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it happened.
    pub timestamp: IsoTime,
    /// Its data, as it came.
    pub data: Box<RawValue>,
    /// Its id (addition `event-id`).
    #[serde(default)]
    pub id: Option<EventId>,
    /// Its number (addition `event-id`).
    #[serde(default, deserialize_with = "super::lenient::hint")]
    pub seq: Option<u64>,
}

impl Envelope {
    /// Reads the data by the type.
    ///
    /// # Errors
    ///
    /// What is wrong with the data, or that the type is not known.
    pub fn open(self) -> Result<Event, EventFault> {
        let data = EventData::read(&self.kind, self.data.get().as_bytes())?;
        Ok(Event { timestamp: self.timestamp, data, id: self.id, seq: self.seq })
    }
}

impl core::fmt::Display for EventFault {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            EventFault::UnknownType(kind) => {
                let shown: String = kind.chars().take(64).collect();
                f.write_str(&format!("Unknown event type: {shown}"))
            }
            EventFault::Invalid(reason) => write!(f, "validation failed: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests;
