//! Commands: one effect and one result for each, whoever dies in between.

use satellite_core::id::InstanceKey;
use satellite_core::instance::COMMAND_ID;
use satellite_core::journal::{self, Entry};
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

/// A journal that no disk takes: a daemon after this one does not know how these commands ended.
pub(in crate::stage) fn not_journalled(stage: &mut Stage, journal: &[u8]) {
    for entry in journal::scan(journal).entries {
        if let Entry::Finished { id, .. } = entry {
            stage.watch.unkept.insert(id.as_str().to_string());
        }
    }
}

/// A result reached the Backend: it says what an earlier one of the same command said. One that no
/// disk would keep may be followed by the next daemon's word that it does not know, or, where all
/// that a command does is to look, by what that one saw.
pub(in crate::stage) fn results(stage: &mut Stage) {
    let unkept = &stage.watch.unkept;
    let mut contradicted = stage.backend.contradicted();
    let wrong = contradicted.find(|command| {
        let second = command.contradiction.as_deref().unwrap_or_default();
        let looks = matches!(command.kind(), "configure" | "health_check");
        !(unkept.contains(command.id()) && (looks || second.contains("interrupted: ")))
    });
    let wrong = wrong.map(|command| {
        format!("{} ended a second time, with {:?}", command.id(), command.contradiction)
    });
    stage.watch.holds(Invariant::OneResultPerCommand, wrong.map_or(Ok(()), Err));
}
