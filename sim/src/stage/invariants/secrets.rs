//! Secrets: every one of them bears a mark, and the mark must not be where people look.

use satellite_core::log::{LogLine, Value};

use super::Invariant;
use crate::stage::{SECRET, Stage};

/// A daemon prints a line.
pub(in crate::stage) fn logged(stage: &mut Stage, line: &LogLine) {
    let in_fields = line.fields.iter().find(|(_, value)| match value {
        Value::Text(text) => text.contains(SECRET),
        Value::Number(_) => false,
    });
    let outcome = match in_fields {
        _ if line.msg.contains(SECRET) => Err(format!("in {:?}", line.msg)),
        Some((name, _)) => Err(format!("in the field {name} of {:?}", line.msg)),
        None => Ok(()),
    };
    stage.watch.holds(Invariant::NoSecretInLogs, outcome);
}

/// A daemon writes to its journal.
pub(in crate::stage) fn journalled(stage: &mut Stage, bytes: &[u8]) {
    let leaks = bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
    let outcome =
        if leaks { Err(format!("in {}", String::from_utf8_lossy(bytes))) } else { Ok(()) };
    stage.watch.holds(Invariant::NoSecretInJournal, outcome);
}

/// A run's text is there.
pub(in crate::stage) fn traced(stage: &mut Stage) {
    if stage.trace.keeps() {
        let leak = stage.trace.text().lines().find(|line| line.contains(SECRET));
        let outcome = leak.map_or(Ok(()), |line| Err(format!("in {line}")));
        stage.watch.holds(Invariant::NoSecretInTrace, outcome);
    }
}
