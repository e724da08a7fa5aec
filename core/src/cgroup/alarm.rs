//! When to warn that a process comes near a limit: once per crossing.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::limits::{Limit, ProcessLimits};
use super::usage::Usage;

/// Share of a limit, in hundredths, from which there is a warning.
const WARN_PERCENT: u64 = 80;
/// Share below which the warning has passed. Between the two, what was said stands, so that a
/// process that hovers about the threshold does not warn with every sample.
const CLEAR_PERCENT: u64 = 70;

/// What was warned of, and has not passed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alarm {
    over: BTreeSet<Limit>,
    last: Option<Usage>,
}

/// A process has come near a limit, or gone from it.
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
    /// Takes a sample, `elapsed_ms` after the one before it. The processor's share needs two, and is
    /// not looked at while the process is `boosted`: it may have more then.
    pub fn observe(
        &mut self,
        limits: &ProcessLimits,
        usage: Usage,
        elapsed_ms: u64,
        boosted: bool,
    ) -> Vec<Crossing> {
        let before = self.last.replace(usage);
        let cpu = before.filter(|_| !boosted).map(|it| usage.cpu_percent_since(&it, elapsed_ms));
        let used = [
            (Limit::Cpu, cpu),
            (Limit::Memory, Some(usage.memory_bytes)),
            (Limit::Processes, Some(usage.processes)),
        ];
        let crossed = used.into_iter().filter_map(|(limit, used)| {
            let (used, value) = (used?, limits.value(limit));
            let is_near = self.is_near(limit, used, value);
            let has_changed =
                if is_near { self.over.insert(limit) } else { self.over.remove(&limit) };
            has_changed.then_some(Crossing { limit, used, value, is_near })
        });
        crossed.collect()
    }

    /// The limits that it is near.
    pub fn near(&self) -> impl Iterator<Item = Limit> + '_ {
        self.over.iter().copied()
    }

    fn is_near(&self, limit: Limit, used: u64, value: u64) -> bool {
        let from = if self.over.contains(&limit) { CLEAR_PERCENT } else { WARN_PERCENT };
        used.saturating_mul(100) >= value.saturating_mul(from)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    const NOTHING: [bool; 0] = [];

    fn memory(alarm: &mut Alarm, percent: u64) -> Vec<bool> {
        let limits = ProcessLimits { memory_bytes: 1_000, ..ProcessLimits::default() };
        let usage = Usage { memory_bytes: percent * 10, ..Usage::default() };
        let crossings = alarm.observe(&limits, usage, 10_000, false);
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
        assert_eq!(alarm.near().collect::<Vec<_>>(), vec![Limit::Memory]);
        assert_eq!(memory(&mut alarm, 69), vec![false]);
        assert_eq!(memory(&mut alarm, 79), NOTHING);
        assert_eq!(memory(&mut alarm, 81), vec![true]);
    }

    #[test]
    fn the_processors_share_is_that_since_the_last_sample_and_free_while_it_starts() {
        let limits = ProcessLimits::default();
        let at = |seconds: u64| Usage { cpu_us: seconds * 1_000_000, ..Usage::default() };
        let mut alarm = Alarm::default();
        assert_eq!(alarm.observe(&limits, at(9), 10_000, true), vec![]);
        assert_eq!(alarm.observe(&limits, at(19), 10_000, true), vec![]);
        let crossings = alarm.observe(&limits, at(20), 10_000, false);
        let expected = Crossing { limit: Limit::Cpu, used: 10, value: 10, is_near: true };
        assert_eq!(crossings, vec![expected]);
        let crossings = alarm.observe(&limits, at(20), 10_000, false);
        assert!(!crossings[0].is_near, "{crossings:?}");
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
