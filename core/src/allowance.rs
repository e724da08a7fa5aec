//! How often something may happen: so many times at once, and so many a second after that.

use crate::time::{SECOND, Timestamp};

/// A bucket of permissions that fills with time.
#[derive(Clone, Debug)]
pub struct Allowance {
    per_second: u64,
    burst: u64,
    /// What is left, in thousandths.
    left: u64,
    at: Option<Timestamp>,
}

impl Allowance {
    /// A full bucket: `burst` at once, `per_second` afterwards.
    pub fn new(per_second: u64, burst: u64) -> Self {
        Allowance { per_second, burst, left: burst.saturating_mul(SECOND), at: None }
    }

    /// Takes one permission, if there is one. A clock that is set back neither gives nor takes.
    pub fn take(&mut self, now: Timestamp) -> bool {
        let elapsed = self.at.map_or(0, |at| now.since(at));
        self.at = Some(now);
        let grown = self.left.saturating_add(elapsed.saturating_mul(self.per_second));
        self.left = grown.min(self.burst.saturating_mul(SECOND));
        let is_there = self.left >= SECOND;
        if is_there {
            self.left -= SECOND;
        }
        is_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(allowance: &mut Allowance, now: u64, tries: usize) -> usize {
        (0..tries).filter(|_| allowance.take(Timestamp(now))).count()
    }

    #[test]
    fn a_burst_passes_and_then_so_many_a_second() {
        let mut allowance = Allowance::new(2, 5);
        assert_eq!(taken(&mut allowance, 1_000, 9), 5);
        assert_eq!(taken(&mut allowance, 1_499, 9), 0);
        assert_eq!(taken(&mut allowance, 1_500, 9), 1);
        assert_eq!(taken(&mut allowance, 900_000, 9), 5, "no more than the burst is saved up");
        assert_eq!(taken(&mut allowance, 1_000, 9), 0, "a clock set back gives nothing");
        assert_eq!(taken(&mut allowance, 2_000, 9), 2);
    }
}
