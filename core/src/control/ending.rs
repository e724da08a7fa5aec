//! Shutting down in order: no new work, processes ended, results and events delivered, then out.

use alloc::string::String;
use alloc::vec::Vec;

use super::{Control, Effect};
use crate::exit::{Exit, RESTART_WANTED};
use crate::id::InstanceKey;
use crate::instance;
use crate::log::{Level, LogLine};
use crate::time::Timestamp;
use crate::{Deadline, Refusal, Verdict};

/// A shutdown under way.
pub(super) struct Ending {
    exit: Exit,
    until: Timestamp,
    /// Whether the Backend answered when the shutdown began: else nothing is waited for.
    delivers: bool,
}

impl Ending {
    pub(super) fn deadline(&self) -> Deadline {
        Deadline::new(self.until, "shutdown budget")
    }
}

impl Control {
    pub(super) fn shutdown_requested(&mut self, now: Timestamp, out: &mut Vec<Effect>) -> Verdict {
        let exit = Exit { code: 0, error: String::new(), hint: String::new() };
        self.begin_ending(now, exit, out)
    }

    /// Starts the shutdown that ends in `exit`.
    pub(super) fn begin_ending(
        &mut self,
        now: Timestamp,
        exit: Exit,
        out: &mut Vec<Effect>,
    ) -> Verdict {
        if self.ending.is_some() {
            return Verdict::Refused(Refusal::Draining);
        }
        let until = now.after(self.settings.drain_budget_ms);
        let delivers = matches!(exit.code, 0 | RESTART_WANTED) && self.link.is_reachable();
        self.ending = Some(Ending { exit, until, delivers });
        out.push(Effect::Log(
            LogLine::new(Level::Info, "shutting down").with("operation", "drain"),
        ));
        let keys: Vec<InstanceKey> = self.instances.keys().cloned().collect();
        for key in keys {
            self.feed(now, &key, instance::Event::DrainRequested, out);
        }
        self.drain_conversation(now, out);
        Verdict::Moved
    }

    /// Ends the daemon once nothing is left to do, or when the budget is spent.
    pub(super) fn proceed_ending(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        let Some(ending) = &self.ending else { return };
        let running = self.instances.values().filter(|i| i.state().incarnation().is_some()).count();
        let undelivered = if ending.delivers { self.undelivered() } else { 0 };
        let exit = ending.exit.clone();
        let is_done = running == 0 && undelivered == 0;
        if !is_done && now < ending.until {
            return;
        }
        if !is_done {
            out.push(Effect::Log(
                LogLine::new(Level::Warn, "the shutdown budget is spent")
                    .with("operation", "drain")
                    .with("processes", running as u64)
                    .with("undelivered", undelivered as u64),
            ));
        }
        self.close_journal(now, out);
        out.push(Effect::Exit(exit));
    }
}
