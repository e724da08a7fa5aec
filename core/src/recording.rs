//! Recordings of a daemon: every event its control machine was given, and what it decided, so that
//! the same decisions can be made again elsewhere and looked at.
//!
//! # The file
//!
//! JSON, one line each: a [`Header`], a [`Step`] for each event, and an [`End`] unless the daemon
//! was killed. Every line ends with a checksum of itself, so that a changed one is known as such.
//!
//! # Without secrets
//!
//! [`Handles`] puts a handle in the place of every secret: equal secrets have the same one, and it
//! is as long as the secret. What is recorded is then decided anew by a second machine that has
//! never seen a secret (see [`Recorder`]); its digests are those in the file, so a replay must reach
//! them to the bit. Where the daemon itself decided otherwise, the step says so.
//!
//! # A new kind of event
//!
//! The event and what it holds derive `Serialize` and `Deserialize`, and the one match in
//! `recording/events.rs` says which of its texts may hold secrets. The compiler asks for both. An
//! `&'static str` in it is read by [`words`], whose list must have it.

mod bodies;
pub mod bytes;
mod digest;
mod effects;
mod events;
mod handles;
mod json;
mod line;
mod places;
mod recorder;
mod replay;
pub mod shared;
#[cfg(test)]
mod tests;
pub mod words;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::Verdict;
use crate::control::Event;
use crate::limits::Settings;
use crate::time::Timestamp;

pub use handles::Handles;
pub use line::{Unreadable, sealed};
pub use recorder::Recorder;
pub use replay::{Fault, Outcome, Parted, Replay};

/// The format's version: a reader takes no other.
pub const FORMAT: u32 = 1;

/// The first line: what the machine was made of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`].
    pub recording: u32,
    /// The program's version.
    pub version: String,
    /// When recording began.
    pub at: Timestamp,
    /// The seed of all its randomness.
    pub seed: u64,
    /// Its settings.
    pub settings: Settings,
}

/// One event, and what came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Step {
    /// Counts the events, from 1.
    pub step: u64,
    /// The moment at which the machine was given it.
    pub at: Timestamp,
    /// The event.
    pub event: Event,
    /// What became of it.
    pub decided: Decided,
    /// What the daemon did, where that is something else: a secret's content took part in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apart: Option<Apart>,
}

/// A decision, short enough to be compared and to be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// The verdict, as [`verdict`] spells it.
    pub verdict: String,
    /// The beginning of each effect, in their order.
    pub wanted: Vec<String>,
    /// Digest of all effects, in 16 hexadecimal digits.
    pub effects: String,
    /// Digest of the published view.
    pub view: String,
}

/// Where the daemon and the machine without secrets parted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Apart {
    /// What the daemon did.
    pub daemon: String,
    /// What follows from the recording.
    pub recorded: String,
}

/// The last line: why no more follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// How many steps there are.
    pub steps: u64,
    /// Why the recording ends, for people.
    pub end: String,
}

/// A verdict in the words of a recording.
pub fn verdict(verdict: Verdict) -> String {
    match verdict {
        Verdict::Moved => "moved".to_string(),
        Verdict::Handled => "handled".to_string(),
        Verdict::Ignored(why) => alloc::format!("ignored: {why}"),
        Verdict::Refused(why) => alloc::format!("refused: {}", why.as_str()),
    }
}
