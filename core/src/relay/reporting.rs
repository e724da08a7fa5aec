//! Traffic and violations, counted here and reported at most once a second.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::{Activity, Effect, Report};
use crate::limits::ACTIVITY_INTERVAL_MS;
use crate::time::Timestamp;

/// Counts since the relay was made, and since the last report.
#[derive(Debug, Default)]
pub(crate) struct Reporting {
    activity: Activity,
    reported: Activity,
    violations: BTreeMap<&'static str, u64>,
    last: Option<Timestamp>,
}

impl Reporting {
    pub(crate) fn sent(&mut self) {
        self.activity.messages += 1;
    }

    pub(crate) fn failed(&mut self) {
        self.activity.errors += 1;
    }

    pub(crate) fn came_late(&mut self) {
        self.activity.late += 1;
    }

    pub(crate) fn violated(&mut self, what: &'static str) {
        *self.violations.entry(what).or_default() += 1;
    }

    /// When the next report is due, if there is anything to say.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        if self.activity == self.reported && self.violations.is_empty() {
            return None;
        }
        Some(self.last.map_or(Timestamp(0), |last| last.after(ACTIVITY_INTERVAL_MS)))
    }

    /// Reports what is due.
    pub(crate) fn flush(&mut self, now: Timestamp, in_flight: usize, out: &mut Vec<Effect>) {
        self.activity.in_flight = in_flight;
        if self.due().is_some_and(|due| due <= now) {
            self.flush_all(now, in_flight, out);
        }
    }

    /// Reports everything, due or not.
    pub(crate) fn flush_all(&mut self, now: Timestamp, in_flight: usize, out: &mut Vec<Effect>) {
        self.activity.in_flight = in_flight;
        self.last = Some(now);
        if self.activity != self.reported {
            self.reported = self.activity;
            out.push(Effect::Report(Report::Activity(self.activity)));
        }
        for (what, count) in core::mem::take(&mut self.violations) {
            out.push(Effect::Report(Report::Violation { what, count }));
        }
    }
}
