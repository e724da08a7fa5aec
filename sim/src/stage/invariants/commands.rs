//! Commands: one effect and one result for each, whoever dies in between.

use satellite_core::id::InstanceKey;
use satellite_core::instance::COMMAND_ID;
use satellite_core::log::{LogLine, Value};
use satellite_core::process::ProcessSpec;

use super::Invariant;
use crate::stage::Stage;

/// A process is started: if for a command, which its environment says, then as the only one of its
/// instance.
pub(in crate::stage) fn started_for(stage: &mut Stage, key: &InstanceKey, process: &ProcessSpec) {
    let Some((_, id)) = process.env.iter().find(|(name, _)| name == COMMAND_ID) else { return };
    let id = id.expose().to_string();
    let times = stage.watch.started.entry((id.clone(), key.clone())).or_default();
    *times += 1;
    let outcome = if *times > 1 {
        Err(format!("{times} processes of {key} were started for {id}"))
    } else {
        Ok(())
    };
    stage.watch.holds(Invariant::OneEffectPerCommand, outcome);
}

/// A daemon says what it does. A `kill` leaves no process that could tell of it, so the daemon's own
/// word must do: its work begins once.
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
    if field("operation") != "kill" {
        return;
    }
    let id = field("commandId");
    let times = stage.watch.begun.entry(id.clone()).or_default();
    *times += 1;
    let outcome =
        if *times > 1 { Err(format!("the kill {id} was begun {times} times")) } else { Ok(()) };
    stage.watch.holds(Invariant::OneEffectPerCommand, outcome);
}

/// A result reached the Backend: it says what an earlier one of the same command said.
pub(in crate::stage) fn results(stage: &mut Stage) {
    let wrong = stage.backend.contradiction().map(|command| {
        format!("{} ended a second time, with {:?}", command.id(), command.contradiction)
    });
    stage.watch.holds(Invariant::OneResultPerCommand, wrong.map_or(Ok(()), Err));
}
