//! Commands across the ends of daemons: what the journal must hold of them, and going on from that.

use alloc::vec::Vec;

use serde_json::Value;

use super::{About, Commands, Effect, Outcome, Storing, Waiting};
use crate::journal::{Entry, StoredCommand};
use crate::time::Timestamp;
use crate::wire::command::CommandType;

/// Why a command that may have taken effect is not begun again.
const INTERRUPTED: &str = "interrupted: the satellite ended while executing this command; whether \
                           it took effect is unknown";

impl Commands {
    /// Goes on where an earlier daemon ended. What had begun begins again only where twice is as
    /// good as once. Of a pairing that is over only what cannot be repeated is remembered.
    pub(super) fn restore(
        &mut self,
        now: Timestamp,
        commands: Vec<StoredCommand>,
        (is_doubtful, is_paired): (bool, bool),
        out: &mut Vec<Effect>,
    ) {
        for StoredCommand { id, received, begun, result, is_reported } in commands {
            if let Some(result) = result {
                // What the memory has no room for, the journal had none for either.
                self.results.keep(&id, result);
                if is_reported || !is_paired {
                    self.results.confirm(&id);
                } else {
                    self.results.release(&id);
                }
                continue;
            }
            if is_reported {
                // Its result was lost with a line of the journal, but the Backend has it.
                continue;
            }
            let started_at = begun.or(received.as_ref().map(|(_, at)| *at)).unwrap_or(now);
            match received {
                Some((mut command, received_at))
                    if is_repeatable(&command.command_type)
                        || !(begun.is_some() || is_doubtful) =>
                {
                    if !is_paired {
                        // Who wants it still delivers it again.
                        continue;
                    }
                    if begun.is_some() {
                        // It was in time.
                        command.expires_in = None;
                    }
                    self.arrivals += 1;
                    let place = (command.priority, self.arrivals);
                    self.waiting.insert(place, Waiting { command, received_at });
                }
                received => {
                    let about = received.map_or_else(
                        || About { id, correlation_id: None, attempt: None },
                        |(command, _)| About::of(&command),
                    );
                    let outcome = Outcome::failed(started_at, INTERRUPTED);
                    self.finish(&about, outcome.with_result(now, Value::Null), out);
                    if !is_paired {
                        self.results.confirm(&about.id);
                    }
                }
            }
        }
    }

    /// Everything the journal must hold of them.
    pub fn remembered(&self) -> Vec<Entry> {
        let mut entries = self.results.remembered();
        let received = |waiting: &Waiting| Entry::Received {
            command: waiting.command.clone(),
            at: waiting.received_at,
        };
        if let Some(executing) = &self.executing {
            entries.push(received(&executing.waited));
            let id = executing.waited.command.id.clone();
            entries.push(Entry::Begun { id, at: executing.since });
        }
        entries.extend(self.waiting.values().map(received));
        entries.extend(self.storing.values().filter_map(|storing| match storing {
            Storing::Receipt(_, waiting) => Some(received(waiting)),
            Storing::Beginning | Storing::Result(_) => None,
        }));
        entries
    }
}

/// Whether a command may be begun again after it was interrupted.
fn is_repeatable(command_type: &CommandType) -> bool {
    match command_type {
        CommandType::Configure
        | CommandType::HealthCheck
        | CommandType::InvalidateUserTokenCache => true,
        CommandType::Spawn | CommandType::Kill | CommandType::Restart | CommandType::Unknown(_) => {
            false
        }
    }
}
