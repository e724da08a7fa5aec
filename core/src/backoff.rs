//! Exponential backoff with full jitter: a fleet that failed together does not return together.

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
