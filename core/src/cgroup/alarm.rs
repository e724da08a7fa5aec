//! When to warn that a process, or all of a team's together, come near a limit: once per crossing.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::kill::next_memory_bytes;
use super::limits::{Limit, MIB};
use super::usage::Usage;
use crate::time::{SECOND, Timestamp};

/// Share of a limit, in hundredths, from which there is a warning.
const WARN_PERCENT: u64 = 80;
/// Share below which the warning has passed. Between the two, what was said stands, so that a
/// process that hovers about the threshold does not warn with every sample.
const CLEAR_PERCENT: u64 = 70;
/// The processor's share is the mean over this: one call that works for a second is no sign of a
/// limit that is too low.
const SHARE_WINDOW_MS: u64 = 30 * SECOND;

/// What was warned of, and has not passed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alarm {
    over: BTreeSet<Limit>,
    /// Where the window began that the processor's share is taken over.
    window: Option<(Timestamp, Usage)>,
    cpu_percent: Option<u64>,
}

/// A process, or a team's processes, have come near a limit, or gone from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// Which limit.
    pub limit: Limit,
    /// What it uses, in the unit of the limit.
    pub used: u64,
    /// The limit.
    pub value: u64,
    /// Whether it has come near; else the warning has passed.
    pub is_near: bool,
}

impl Alarm {
    /// Takes a sample of the moment `at`; `limits` tells those that there are. The processor's share
    /// is not looked at while the process is `boosted`: it may have more then.
    pub fn observe(
        &mut self,
        at: Timestamp,
        limits: impl Fn(Limit) -> Option<u64>,
        usage: Usage,
        boosted: bool,
    ) -> Vec<Crossing> {
        let used = [
            (Limit::Cpu, self.share(at, usage, boosted)),
            (Limit::Memory, Some(usage.memory_bytes)),
            (Limit::Processes, Some(usage.processes)),
        ];
        let crossed = used.into_iter().filter_map(|(limit, used)| {
            let (used, value) = (used?, limits(limit)?);
            let is_near = self.is_near(limit, used, value);
            let has_changed =
                if is_near { self.over.insert(limit) } else { self.over.remove(&limit) };
            has_changed.then_some(Crossing { limit, used, value, is_near })
        });
        crossed.collect()
    }

    /// The limits that it is near.
    pub fn near(&self) -> &BTreeSet<Limit> {
        &self.over
    }

    /// The share of one processor, in hundredths, that it last used over half a minute.
    pub fn cpu_percent(&self) -> Option<u64> {
        self.cpu_percent
    }

    /// The processor's share at the end of each window.
    fn share(&mut self, at: Timestamp, usage: Usage, boosted: bool) -> Option<u64> {
        if boosted {
            self.window = None;
            return None;
        }
        match self.window {
            // A clock that was set back begins another.
            Some((from, _)) if from <= at && at.since(from) < SHARE_WINDOW_MS => None,
            Some((from, before)) if from <= at => {
                self.window = Some((at, usage));
                self.cpu_percent = Some(usage.cpu_percent_since(&before, at.since(from)));
                self.cpu_percent
            }
            _ => {
                self.window = Some((at, usage));
                None
            }
        }
    }

    fn is_near(&self, limit: Limit, used: u64, value: u64) -> bool {
        let from = if self.over.contains(&limit) { CLEAR_PERCENT } else { WARN_PERCENT };
        used.saturating_mul(100) >= value.saturating_mul(from)
    }
}

impl Crossing {
    /// The share of the limit that is used, in hundredths.
    pub fn percent(&self) -> u64 {
        self.used.saturating_mul(100).checked_div(self.value).unwrap_or(100)
    }

    /// What happened and what to do about it, for people; `slug` names the server.
    pub fn explain(&self, slug: &str) -> String {
        let (limit, next) = (self.limit, self.next());
        format!(
            "the server uses {} that it may have ({} %); raise it with \
             SATELLITE_SERVER_LIMITS=\"{slug}:{limit}={next}\"",
            self.shares(),
            self.percent()
        )
    }

    /// The same of all servers of a team.
    pub fn explain_of_team(&self) -> String {
        let setting = match self.limit {
            Limit::Cpu => "SATELLITE_TEAM_CPU_PERCENT",
            Limit::Memory => "SATELLITE_TEAM_MEMORY_MB",
            Limit::Processes => "SATELLITE_TEAM_PROCESSES",
        };
        format!(
            "the servers of this team use {} that they may have together ({} %); raise it with \
             {setting}={}",
            self.shares(),
            self.percent(),
            self.next()
        )
    }

    /// What is used of what there is.
    fn shares(&self) -> String {
        let (used, value) = (self.used, self.value);
        match self.limit {
            Limit::Cpu => format!("{used} % of a processor, of {value} %"),
            Limit::Memory => format!("{} MB of memory, of {} MB", used / MIB, value / MIB),
            Limit::Processes => format!("{used} processes and threads, of {value}"),
        }
    }

    /// The limit to try next, in the unit of settings.
    fn next(&self) -> u64 {
        match self.limit {
            Limit::Memory => next_memory_bytes(self.value) / MIB,
            Limit::Cpu | Limit::Processes => self.value.saturating_mul(2),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;
    use crate::cgroup::{ProcessLimits, TeamLimits};

    const NOTHING: [bool; 0] = [];

    fn memory(alarm: &mut Alarm, percent: u64) -> Vec<bool> {
        let limits = ProcessLimits { memory_bytes: 1_000, ..ProcessLimits::default() };
        let usage = Usage { memory_bytes: percent * 10, ..Usage::default() };
        let limits = |limit| Some(limits.value(limit));
        let crossings = alarm.observe(Timestamp(0), limits, usage, false);
        crossings.iter().map(|it| it.is_near).collect()
    }

    #[test]
    fn each_crossing_of_80_percent_warns_once() {
        let mut alarm = Alarm::default();
        assert_eq!(memory(&mut alarm, 79), NOTHING);
        assert_eq!(memory(&mut alarm, 80), vec![true]);
        for percent in [99, 75, 85, 70] {
            assert_eq!(memory(&mut alarm, percent), NOTHING, "{percent}");
        }
        assert_eq!(*alarm.near(), [Limit::Memory].into());
        assert_eq!(memory(&mut alarm, 69), vec![false]);
        assert_eq!(memory(&mut alarm, 79), NOTHING);
        assert_eq!(memory(&mut alarm, 81), vec![true]);
    }

    #[test]
    fn the_processors_share_is_that_of_half_a_minute_and_free_while_it_starts() {
        let limits = ProcessLimits::default();
        let mut alarm = Alarm::default();
        let mut observe = |at_s: u64, used_s: u64, boosted| {
            let usage = Usage { cpu_us: used_s * 1_000_000, ..Usage::default() };
            let limits = |limit| Some(limits.value(limit));
            let crossings = alarm.observe(Timestamp(at_s * SECOND), limits, usage, boosted);
            (alarm.cpu_percent(), crossings)
        };
        assert_eq!(observe(0, 0, true), (None, vec![]));
        assert_eq!(observe(5, 5, true), (None, vec![]));
        // What it used while it was boosted is not counted, and a short burst warns of nothing.
        assert_eq!(observe(10, 9, false), (None, vec![]));
        assert_eq!(observe(15, 10, false), (None, vec![]));
        assert_eq!(observe(40, 11, false), (Some(6), vec![]));
        let expected = Crossing { limit: Limit::Cpu, used: 10, value: 10, is_near: true };
        assert_eq!(observe(70, 14, false), (Some(10), vec![expected]));
        assert_eq!(observe(75, 14, false), (Some(10), vec![]));
        let passed = Crossing { used: 0, is_near: false, ..expected };
        assert_eq!(observe(100, 14, false), (Some(0), vec![passed]));
        // The clock was set back.
        assert_eq!(observe(1, 90, false), (Some(0), vec![]));
        assert_eq!(observe(31, 90, false), (Some(0), vec![]));
    }

    #[test]
    fn a_warning_says_how_to_raise_the_limit() {
        let at =
            |limit, used, value| Crossing { limit, used, value, is_near: true }.explain("files");
        let memory = at(Limit::Memory, 85 * MIB, 100 * MIB);
        for word in ["85 MB", "100 MB", "85 %", "SATELLITE_SERVER_LIMITS=\"files:memory=256\""] {
            assert!(memory.contains(word), "{memory}");
        }
        assert!(at(Limit::Cpu, 9, 10).contains("files:cpu=20"));
        assert!(at(Limit::Processes, 256, 256).contains("files:processes=512"));
    }

    #[test]
    fn a_team_is_warned_of_the_limits_that_it_has_and_of_no_others() {
        let team = TeamLimits { memory_bytes: Some(100 * MIB), ..TeamLimits::default() };
        let usage = Usage { memory_bytes: 85 * MIB, processes: 9_999, ..Usage::default() };
        let mut alarm = Alarm::default();
        let crossings = alarm.observe(Timestamp(0), |limit| team.value(limit), usage, false);
        let [memory] = &crossings[..] else { panic!("{crossings:?}") };
        let text = memory.explain_of_team();
        for word in ["this team", "85 MB", "100 MB", "85 %", "SATELLITE_TEAM_MEMORY_MB=256"] {
            assert!(text.contains(word), "{text}");
        }
        let text = |limit| Crossing { limit, used: 9, value: 10, is_near: true }.explain_of_team();
        assert!(text(Limit::Cpu).contains("SATELLITE_TEAM_CPU_PERCENT=20"));
        assert!(text(Limit::Processes).contains("SATELLITE_TEAM_PROCESSES=20"));
    }

    proptest! {
        #[test]
        fn warnings_and_their_ends_take_turns(samples in prop::collection::vec(0_u64..=120, 0..100)) {
            let mut alarm = Alarm::default();
            let told: Vec<bool> =
                samples.into_iter().flat_map(|percent| memory(&mut alarm, percent)).collect();
            for (index, is_near) in told.into_iter().enumerate() {
                prop_assert_eq!(is_near, index % 2 == 0);
            }
        }
    }
}
