//! What happened in a run, one JSON object a line.

use satellite_core::time::Timestamp;
use serde::Serialize;

/// The lines of a run, in order.
#[derive(Debug, Default)]
pub struct Trace {
    text: String,
    steps: u64,
    last_at: Option<Timestamp>,
}

/// One step: something happened to somebody, who then wanted something.
#[derive(Debug, Serialize)]
pub struct Step<'a> {
    /// Its number, from 0.
    pub step: u64,
    /// Simulated milliseconds since the epoch.
    pub at: Timestamp,
    /// To whom.
    pub who: &'a str,
    /// What.
    pub event: &'a str,
    /// What became of it.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub verdict: &'a str,
    /// What was asked for in return.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub effects: &'a [String],
}

impl Trace {
    /// Adds a step and numbers it.
    pub fn note(
        &mut self,
        at: Timestamp,
        who: &str,
        event: &str,
        verdict: &str,
        effects: &[String],
    ) {
        let step = Step { step: self.steps, at, who, event, verdict, effects };
        // Text, numbers and lists of text have no way to fail.
        self.text.push_str(&serde_json::to_string(&step).unwrap_or_default());
        self.text.push('\n');
        self.steps += 1;
        self.last_at = Some(at);
    }

    /// When the last step was.
    pub fn last_at(&self) -> Option<Timestamp> {
        self.last_at
    }

    /// How many steps there are.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// All lines.
    pub fn text(&self) -> &str {
        &self.text
    }
}
