//! What a command came to.

use alloc::string::{String, ToString};

use serde_json::{Map, Value};

use crate::time::Timestamp;

/// How a command ended: with an error it has failed, without one it is done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// What it brought; the keys depend on the command's type.
    pub result: Map<String, Value>,
    /// Why it failed, for people.
    pub error: Option<String>,
    /// When it was begun.
    pub started_at: Timestamp,
    /// How long it took.
    pub duration_ms: u64,
}

impl Outcome {
    /// It was begun at `started_at` and is done at `now`. `result` should be an object.
    pub fn completed(started_at: Timestamp, now: Timestamp, result: Value) -> Self {
        Outcome { started_at, ..Outcome::default() }.with_result(now, result)
    }

    /// It was begun at `started_at` and failed.
    pub fn failed(started_at: Timestamp, error: impl Into<String>) -> Self {
        Outcome { error: Some(error.into()), started_at, ..Outcome::default() }
    }

    /// The outcome with what it brought until `now`.
    #[must_use]
    pub fn with_result(mut self, now: Timestamp, result: Value) -> Self {
        self.result = match result {
            Value::Object(result) => result,
            Value::Null => Map::new(),
            other => Map::from_iter([("value".to_string(), other)]),
        };
        self.duration_ms = now.since(self.started_at);
        self
    }
}
