//! Names of requests to the Backend, so that each answer finds the machine that asked.

use serde::{Deserialize, Serialize};

/// Which machine asked, and its own count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestKey {
    /// The machine.
    pub channel: Channel,
    /// Its request.
    pub number: u64,
}

/// The machines that talk to the Backend. Each has at most one request in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Health check, registration, verification of stored credentials.
    Pairing,
    /// The command poll.
    Poll,
    /// The configuration.
    Configuration,
    /// Command results.
    Result,
    /// Acknowledgements of commands.
    Acknowledgement,
    /// Events.
    Events,
    /// Heartbeats.
    Heartbeat,
}
