//! Log lines as data: the core decides what is worth saying, the host prints it.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

/// How much a line matters, by its consequence for the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Detailed communication flows.
    Trace,
    /// For whoever develops.
    Debug,
    /// Normal operation.
    Info,
    /// Limits, restarts: look at it in the morning.
    Warn,
    /// A process or the communication failed.
    Error,
    /// The satellite ends, and nobody asked for it.
    Fatal,
}

/// One structured log line. No field ever holds a secret: `Secret` does not convert to text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    /// Its level.
    pub level: Level,
    /// The message.
    pub msg: Cow<'static, str>,
    /// Fields in the field's spelling: `satelliteId`, `teamId`, `serverId`, `operation`, …
    pub fields: Vec<(Cow<'static, str>, String)>,
}

impl LogLine {
    /// A line without fields.
    pub fn new(level: Level, msg: impl Into<Cow<'static, str>>) -> Self {
        LogLine { level, msg: msg.into(), fields: Vec::new() }
    }

    /// The line with one more field.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((Cow::Borrowed(name), value.into()));
        self
    }
}
