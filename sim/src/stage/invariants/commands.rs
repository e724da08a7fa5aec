//! Commands: one effect and one result for each, whoever dies in between.

use satellite_core::log::{LogLine, Value};

use super::Invariant;
use crate::stage::Stage;

/// Commands whose work can be done twice without harm, so that it is, when nobody knows how far it
/// got.
const REPEATABLE: [&str; 3] = ["configure", "health_check", "invalidate_user_token_cache"];

/// A daemon says what it does: the work of a command begins.
pub(in crate::stage) fn begun(stage: &mut Stage, line: &LogLine) {
    if line.msg != "command begun" {
        return;
    }
    let field = |wanted: &str| {
        let found = line.fields.iter().find(|(name, _)| name == wanted);
        found.map_or_else(String::new, |(_, value)| match value {
            Value::Text(text) => text.clone(),
            Value::Number(number) => number.to_string(),
        })
    };
    let (kind, id) = (field("operation"), field("commandId"));
    let times = stage.watch.begun.entry(id.clone()).or_default();
    *times += 1;
    let outcome = if *times > 1 && !REPEATABLE.contains(&kind.as_str()) {
        Err(format!("{kind} {id} was begun {times} times"))
    } else {
        Ok(())
    };
    stage.watch.holds(Invariant::OneEffectPerCommand, outcome);
}

/// A result reached the Backend: it says what an earlier one of the same command said.
pub(in crate::stage) fn results(stage: &mut Stage) {
    let wrong = stage.backend.contradiction().map(|command| {
        format!("{} ended a second time, with {:?}", command.id(), command.contradiction)
    });
    stage.watch.holds(Invariant::OneResultPerCommand, wrong.map_or(Ok(()), Err));
}
