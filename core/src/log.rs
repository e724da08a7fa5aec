//! Log lines as data: the core decides what is worth saying, the host prints it.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

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
    pub fields: Vec<(Cow<'static, str>, Value)>,
}

/// The value of a field. Counts stay numbers, so that whoever reads JSON logs can add them up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// A count, a duration, a size.
    Number(i64),
    /// Anything else.
    Text(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Number(number) => write!(f, "{number}"),
            Value::Text(text) => f.write_str(text),
        }
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(String::from(text))
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Value::Text(text.clone())
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Value::Number(i64::from(number))
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Value::Number(i64::from(number))
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Value::Number(i64::from(number))
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Value::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Value::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl LogLine {
    /// A line without fields.
    pub fn new(level: Level, msg: impl Into<Cow<'static, str>>) -> Self {
        LogLine { level, msg: msg.into(), fields: Vec::new() }
    }

    /// The line with one more field.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.fields.push((Cow::Borrowed(name), value.into()));
        self
    }
}
