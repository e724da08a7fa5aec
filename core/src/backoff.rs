//! Exponential backoff with full jitter: a fleet that failed together does not return together.

pub mod retry_after;

use crate::limits;
use crate::random::Random;

/// How long to wait after the `failures`-th failure in a row, in milliseconds.
///
/// Uniform in `[2 s, min(300 s, 2·2^n s)]`; a `Retry-After` of the other side raises the result,
/// itself capped at 300 s.
pub fn after_failures(failures: u32, retry_after_ms: Option<u64>, random: &mut Random) -> u64 {
    let doubled =
        limits::BACKOFF_MIN_MS.saturating_mul(1u64.checked_shl(failures).unwrap_or(u64::MAX));
    let ceiling = doubled.min(limits::BACKOFF_MAX_MS);
    let wait = random.between(limits::BACKOFF_MIN_MS, ceiling);
    let floor = retry_after_ms.unwrap_or(0).min(limits::BACKOFF_MAX_MS);
    wait.max(floor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The rule in its plainest form: double from 4 s, one failure at a time, up to 300 s.
    fn longest_wait(failures: u32) -> u64 {
        let mut ceiling = 2_000;
        for _ in 0..failures {
            ceiling = (ceiling * 2).min(300_000);
        }
        ceiling
    }

    proptest! {
        #[test]
        fn a_wait_stays_between_two_seconds_and_the_doubled_ceiling(
            failures in 0u32..200,
            seed in any::<u64>(),
        ) {
            let wait = after_failures(failures, None, &mut Random::new(seed));
            prop_assert!((2_000..=longest_wait(failures)).contains(&wait), "{wait}");
        }

        #[test]
        fn the_other_side_can_lengthen_a_wait_to_five_minutes_and_never_shorten_it(
            failures in 0u32..200,
            asked in any::<u64>(),
            seed in any::<u64>(),
        ) {
            let own = after_failures(failures, None, &mut Random::new(seed));
            let wait = after_failures(failures, Some(asked), &mut Random::new(seed));
            prop_assert_eq!(wait, own.max(asked.min(300_000)));
        }
    }

    #[test]
    fn waits_spread_evenly_over_the_whole_range() {
        let mut random = Random::new(7);
        for failures in 1..10 {
            let tenth = (longest_wait(failures) - 2_000) / 10 + 1;
            let mut counts = [0u32; 10];
            for _ in 0..2_000 {
                let wait = after_failures(failures, None, &mut random);
                counts[((wait - 2_000) / tenth) as usize] += 1;
            }
            // 200 are expected; with this seed none is off by more than four deviations of 13.
            assert!(counts.iter().all(|count| (146..=254).contains(count)), "{counts:?}");
        }
    }

    #[test]
    fn satellites_that_fail_together_do_not_come_back_together() {
        let back = |seed| {
            let mut random = Random::new(seed);
            (1..6).map(|failures| after_failures(failures, None, &mut random)).sum::<u64>() / 1_000
        };
        let mut seconds: alloc::vec::Vec<u64> = (0..1_000).map(back).collect();
        seconds.sort_unstable();
        let busiest = seconds.chunk_by(|left, right| left == right).map(<[u64]>::len).max();
        // Five waits of 2 s to 64 s: the sum spreads over a minute and more.
        assert!(busiest.is_some_and(|busiest| busiest < 60), "{busiest:?} in one second");
    }

    #[test]
    fn the_first_waits_grow_as_stated() {
        assert_eq!(
            (0..9).map(longest_wait).collect::<alloc::vec::Vec<_>>(),
            [2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000, 256_000, 300_000]
        );
    }
}
