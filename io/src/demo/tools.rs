//! The demo server's tools.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

/// How a tool ends.
pub(super) enum Outcome {
    /// With this result.
    Done(Value),
    /// With an error for whoever called.
    Failed(String),
    /// The caller took the call back.
    Cancelled,
}

/// A tool: its arguments, whether it is wanted any more, and where progress is reported.
type Tool = fn(&Value, &Cancel, &dyn Fn(u64, u64)) -> Outcome;

/// Tells a call under way that nobody wants it any more.
#[derive(Default)]
pub(super) struct Cancel {
    is_set: Mutex<bool>,
    changed: Condvar,
}

impl Cancel {
    pub(super) fn set(&self) {
        *self.is_set.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Waits; true if the call was cancelled meanwhile.
    fn wait(&self, time: Duration) -> bool {
        let is_set = self.is_set.lock().unwrap_or_else(PoisonError::into_inner);
        let (is_set, _) = self
            .changed
            .wait_timeout_while(is_set, time, |is_set| !*is_set)
            .unwrap_or_else(PoisonError::into_inner);
        *is_set
    }
}

pub(super) fn find(name: &str) -> Option<Tool> {
    match name {
        "echo" => Some(echo),
        "add" => Some(add),
        "slow" => Some(slow),
        _ => None,
    }
}

pub(super) fn definitions() -> Value {
    let repeatable = json!({"readOnlyHint": true, "idempotentHint": true, "openWorldHint": false});
    json!([
        {
            "name": "echo",
            "title": "Echo",
            "description": "Answers with the text it is given.",
            "inputSchema": {
                "type": "object",
                "properties": {"text": {"type": "string", "description": "What to answer"}},
                "required": ["text"],
            },
            "annotations": repeatable,
        },
        {
            "name": "add",
            "title": "Add",
            "description": "Adds two numbers.",
            "inputSchema": {
                "type": "object",
                "properties": {"a": {"type": "number"}, "b": {"type": "number"}},
                "required": ["a", "b"],
            },
            "outputSchema": {
                "type": "object",
                "properties": {"sum": {"type": "number"}},
                "required": ["sum"],
            },
            "annotations": repeatable,
        },
        {
            "name": "slow",
            "title": "Slow",
            "description": "Takes its time, reports progress, and can be cancelled.",
            "inputSchema": {
                "type": "object",
                "properties": {
                    "steps": {"type": "integer", "minimum": 1, "maximum": 100, "default": 5},
                    "delay_ms": {"type": "integer", "minimum": 0, "maximum": 10_000, "default": 200},
                },
            },
            "annotations": {"readOnlyHint": true, "openWorldHint": false},
        },
    ])
}

fn text(text: impl Into<String>) -> Value {
    json!({"content": [{"type": "text", "text": text.into()}]})
}

fn echo(arguments: &Value, _: &Cancel, _: &dyn Fn(u64, u64)) -> Outcome {
    match arguments.get("text").and_then(Value::as_str) {
        Some(said) => Outcome::Done(text(said)),
        None => Outcome::Failed(String::from("`text` must be a string")),
    }
}

fn add(arguments: &Value, _: &Cancel, _: &dyn Fn(u64, u64)) -> Outcome {
    let whole = |name: &str| arguments.get(name).and_then(Value::as_i64);
    let number = |name: &str| arguments.get(name).and_then(Value::as_f64);
    let exact = whole("a").zip(whole("b")).and_then(|(a, b)| a.checked_add(b)).map(|it| json!(it));
    let sum = exact.or_else(|| number("a").zip(number("b")).map(|(a, b)| json!(a + b)));
    match sum {
        Some(sum) => {
            let mut result = text(sum.to_string());
            result["structuredContent"] = json!({"sum": sum});
            Outcome::Done(result)
        }
        None => Outcome::Failed(String::from("`a` and `b` must be numbers")),
    }
}

fn slow(arguments: &Value, cancel: &Cancel, progress: &dyn Fn(u64, u64)) -> Outcome {
    let number = |name: &str, default: u64, most: u64| match arguments.get(name) {
        None => Some(default),
        Some(value) => value.as_u64().filter(|it| *it <= most),
    };
    let (Some(steps), Some(delay)) = (number("steps", 5, 100), number("delay_ms", 200, 10_000))
    else {
        let problem = "`steps` must be at most 100 and `delay_ms` at most 10000";
        return Outcome::Failed(String::from(problem));
    };
    for step in 1..=steps {
        if cancel.wait(Duration::from_millis(delay)) {
            return Outcome::Cancelled;
        }
        progress(step, steps);
    }
    Outcome::Done(text(format!("took {steps} steps of {delay} ms")))
}
