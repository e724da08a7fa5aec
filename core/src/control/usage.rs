//! What clients do and servers write, on its way into events: gathered, bounded and counted here,
//! so that no flood of calls reaches the outbox as one.

mod lines;
mod told;

use alloc::string::String;
use alloc::vec::Vec;

use super::{Control, Effect};
use crate::id::InstanceKey;
use crate::process::StderrLine;
use crate::time::Timestamp;
use crate::usage::Report;
use crate::wire::event::{EventData, EventsGap};
use crate::{Deadline, Verdict};

pub(super) use told::{Told, Usage};

impl Control {
    /// Takes what clients did; `lost` reports were too many to be passed on at all.
    pub(super) fn used(
        &mut self,
        now: Timestamp,
        reports: &[Report],
        lost: u64,
        out: &mut Vec<Effect>,
    ) -> Verdict {
        self.measuring.called(reports);
        for report in reports {
            let waiting = self.outbox.view();
            let has_room = waiting.waiting.saturating_mul(2) < waiting.capacity;
            let mut told = Vec::new();
            self.usage.take(now, report, has_room, &mut told);
            self.tell(now, told, out);
        }
        if lost > 0 {
            self.usage.leave_untold(now, lost);
        }
        Verdict::Handled
    }

    /// Takes what a process wrote to its standard error; `dropped` lines of the last `over_ms`
    /// milliseconds were too many.
    pub(super) fn wrote_to_stderr(
        &mut self,
        now: Timestamp,
        key: &InstanceKey,
        lines: &[StderrLine],
        dropped: u64,
        over_ms: u64,
        out: &mut Vec<Effect>,
    ) -> Verdict {
        let Some(instance) = self.instances.get(key) else { return Verdict::Ignored("late") };
        let entries: Vec<_> = lines.iter().map(|line| instance.log_entry(now, line)).collect();
        let exceeded = (dropped > 0).then(|| instance.rate_limit_exceeded(dropped, over_ms));
        let mut told = Vec::new();
        for entry in entries {
            self.usage.logged(now, key, entry, &mut told);
        }
        if let Some(exceeded) = exceeded {
            // Told after the lines that were let through.
            self.usage.flush_log(now, key, &mut told);
            told.push((exceeded, now));
        }
        self.tell(now, told, out);
        Verdict::Handled
    }

    /// Tells what a process wrote, ahead of its end.
    pub(super) fn flush_log(&mut self, now: Timestamp, key: &InstanceKey, out: &mut Vec<Effect>) {
        let mut told = Vec::new();
        self.usage.flush_log(now, key, &mut told);
        self.tell(now, told, out);
    }

    pub(super) fn usage_deadline(&self) -> Option<Deadline> {
        self.usage.due().map(|at| Deadline::new(at, "usage"))
    }

    pub(super) fn tick_usage(&mut self, now: Timestamp, out: &mut Vec<Effect>) -> bool {
        if self.usage.due().is_none_or(|due| due > now) {
            return false;
        }
        let mut told = Vec::new();
        let untold = self.usage.tell_due(now, &mut told);
        self.tell(now, told, out);
        self.tell_untold(now, untold, out);
        true
    }

    /// Tells everything that waits: the satellite is about to end.
    pub(super) fn flush_usage(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        let mut told = Vec::new();
        let untold = self.usage.tell_all(now, &mut told);
        self.tell(now, told, out);
        self.tell_untold(now, untold, out);
    }

    fn tell(&mut self, now: Timestamp, told: Vec<Told>, out: &mut Vec<Effect>) {
        for (data, at) in told {
            self.feed_outbox(now, crate::outbox::Event::Emitted { data, at }, out);
        }
    }

    /// Tells of calls by their number alone, under the gap's own place in the sequence.
    fn tell_untold(&mut self, now: Timestamp, count: u64, out: &mut Vec<Effect>) {
        if count == 0 {
            return;
        }
        let seq = self.outbox.next_seq();
        let gap = EventsGap {
            from_seq: seq,
            to_seq: seq,
            count,
            reason: String::from("too_many_tool_calls"),
        };
        self.emit(now, EventData::EventsGap(gap), out);
    }
}
