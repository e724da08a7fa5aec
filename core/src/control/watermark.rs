//! How near the satellite is to a limit: told when it passes 80 % and when it is reached, once each
//! until the use falls below 80 % again.

use alloc::vec::Vec;

use super::{Control, Effect};
use crate::id::InstanceKey;
use crate::time::Timestamp;
use crate::wire::event::{EventData, LimitExceeded, ResourceType};

/// The highest mark that has been told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Watermark {
    /// None.
    #[default]
    Below,
    /// 80 %.
    Near,
    /// The limit.
    Reached,
}

/// Whether `used` is 80 % of `limit` or more.
pub(super) fn is_near(used: usize, limit: usize) -> bool {
    used.saturating_mul(5) >= limit.saturating_mul(4)
}

impl Watermark {
    fn of(used: usize, limit: usize) -> Self {
        if used >= limit {
            Watermark::Reached
        } else if is_near(used, limit) {
            Watermark::Near
        } else {
            Watermark::Below
        }
    }

    /// Whether the use has risen past a mark that has not been told.
    fn rose_to(&mut self, used: usize, limit: usize) -> bool {
        let mark = Watermark::of(used, limit);
        let is_passed = mark > *self;
        *self = mark.max(*self);
        is_passed
    }

    /// Forgets what was told once the use is below every mark.
    pub(super) fn fell_to(&mut self, used: usize, limit: usize) {
        if Watermark::of(used, limit) == Watermark::Below {
            *self = Watermark::Below;
        }
    }
}

impl Control {
    /// Tells of a mark that the process of `key` has made the satellite pass.
    pub(super) fn watch_processes(
        &mut self,
        now: Timestamp,
        key: &InstanceKey,
        out: &mut Vec<Effect>,
    ) {
        let (held, capacity) = (self.places.held(), self.places.capacity());
        if self.processes.rose_to(held, capacity) {
            let exceeded = LimitExceeded {
                team_id: key.team.clone(),
                resource_type: ResourceType::Processes,
                current_value: held as f64,
                limit_value: capacity as f64,
                installation_id: None,
                user_id: None,
                percent: None,
                message: None,
            };
            self.emit(now, EventData::LimitExceeded(exceeded), out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mark_is_told_once_until_the_use_falls_below_all() {
        let mut mark = Watermark::default();
        let mut told = Vec::new();
        for used in (1..=50).chain([49, 45, 50, 40, 39, 40, 50]) {
            if mark.rose_to(used, 50) {
                told.push(used);
            }
            mark.fell_to(used, 50);
        }
        assert_eq!(told, [40, 50, 40, 50]);
    }
}
