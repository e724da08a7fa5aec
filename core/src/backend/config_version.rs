//! The version of a satellite's configuration: a number that grows with every change.

/// Numbers from here on are not exact for every JSON reader.
const END: u64 = 1 << 53;

/// The version to count on from, where the count stands at `own` and the satellite says that
/// `in_force` is in force there.
///
/// A satellite that knows a later version than its Backend was told it before the Backend was
/// restored from a backup. Whatever the Backend has is the truth, so it is given a number that the
/// satellite follows.
pub fn counted_on(own: u64, in_force: Option<u64>) -> u64 {
    match in_force {
        Some(in_force) if own < in_force && in_force < END => in_force + 1,
        _ => own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_that_lost_count_goes_on_above_what_its_satellite_knows() {
        assert_eq!(counted_on(40, Some(57)), 58);
        for in_force in [None, Some(0), Some(40), Some(END), Some(u64::MAX)] {
            assert_eq!(counted_on(40, in_force), 40, "{in_force:?}");
        }
    }
}
