//! A fleet that returns: many satellites, one Backend that is away for a while, and how many
//! requests a second reach it before, and once it listens again.
//!
//! Each satellite is the control machine and the heartbeat that ship, without servers. The Backend
//! knows of nothing but answers; while it is away its port refuses.

mod curve;
mod exchange;

pub use curve::{Curve, Second};

use std::collections::BTreeMap;

use satellite_core::random::Random;
use satellite_core::time::{MINUTE, SECOND, Timestamp};

use crate::edge::{Due, Edge};
use crate::stage::EPOCH;
use exchange::{answered, cut, paired, refused};

/// What a fleet goes through.
#[derive(Clone, Copy, Debug)]
pub struct Fleet {
    /// How many satellites there are.
    pub satellites: usize,
    /// How long the Backend is away, in milliseconds.
    pub outage_ms: u64,
    /// Decides when each satellite was started and everything it draws.
    pub seed: u64,
    /// Whether the Backend holds polls (addition `poll-wait`).
    pub holds_polls: bool,
}

/// The satellites are started over so long: a fleet grows, it is not switched on.
const STARTED_OVER_MS: u64 = 5 * MINUTE;
/// From the last start to the outage: by then the traffic is even.
const CALM_MS: u64 = 5 * MINUTE;
/// From the return to the end: the longest back-off, and twice that.
const AFTER_MS: u64 = 10 * MINUTE;
/// Each way between a satellite and the Backend.
const WAY_MS: (u64, u64) = (1, 40);

impl Fleet {
    /// Simulates it.
    pub fn run(&self) -> Curve {
        let mut random = Random::new(self.seed);
        let starts: Vec<u64> =
            (0..self.satellites).map(|_| random.below(STARTED_OVER_MS)).collect();
        let mut edges: Vec<Edge> =
            (0..self.satellites).map(|number| Edge::new(paired(number), random.next())).collect();
        let away_from = EPOCH.after(STARTED_OVER_MS + CALM_MS);
        let away_until = away_from.after(self.outage_ms);
        let end = away_until.after(AFTER_MS);
        let mut curve = Curve::new(self.satellites, away_from, away_until);

        // What is due, by time; of equal times, in the order in which they were asked for.
        let mut queue: BTreeMap<(Timestamp, u64), (usize, Due)> = BTreeMap::new();
        let mut order = 0;
        let mut put = |queue: &mut BTreeMap<_, _>, at: Timestamp, of: usize, due: Due| {
            order += 1;
            queue.insert((at, order), (of, due));
        };
        for (number, start) in starts.into_iter().enumerate() {
            put(&mut queue, EPOCH.after(start), number, Due::Start);
        }
        while let Some(((now, _), (number, due))) = queue.pop_first() {
            if now > end {
                break;
            }
            let Some(edge) = edges.get_mut(number) else { continue };
            if matches!(due, Due::Look(at) if edge.looks_at() != Some(at)) {
                continue;
            }
            let requests = edge.happen(now, due);
            edge.take_lines();
            for request in requests {
                let there = now.after(random.between(WAY_MS.0, WAY_MS.1));
                let away = away_from <= there && there < away_until;
                curve.count(there, number, request.key.channel);
                let (after, due) = if away {
                    (there, refused(&request))
                } else {
                    let (held_ms, due) = answered(&request, self.holds_polls);
                    let back = there.after(held_ms).after(random.between(WAY_MS.0, WAY_MS.1));
                    // A held poll ends when the Backend goes away, and not with an answer.
                    if there < away_from && away_from < back {
                        (away_from.after(WAY_MS.1), cut(due))
                    } else {
                        (back, due)
                    }
                };
                put(&mut queue, after, number, due);
            }
            if let Some(at) = edge.look_again() {
                put(&mut queue, at, number, Due::Look(at));
            }
        }
        curve
    }
}

/// Reads a duration: `90s`, `10m` or `1h`. In milliseconds.
pub fn duration(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = number.parse().ok()?;
    let unit = match unit {
        "s" => SECOND,
        "m" => MINUTE,
        "h" => 60 * MINUTE,
        _ => return None,
    };
    number.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_unit() {
        assert_eq!(duration("10m"), Some(600_000));
        assert_eq!(duration("90s"), Some(90_000));
        assert_eq!(duration("1h"), Some(3_600_000));
        for text in ["", "m", "10", "10d", "-1m", "µ"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    /// In the busiest second after the return at most an eighth of the fleet asks for something.
    ///
    /// Even traffic is a thirtieth (heartbeats) and, where polls are held, a twenty-fifth: 7 %. The
    /// return adds each satellite's first poll, spread over half a minute: 3 %. What is left of the
    /// eighth is for chance, since seconds of 1,000 independent satellites differ.
    #[test]
    fn a_fleet_that_was_cut_off_does_not_return_as_one() {
        for holds_polls in [true, false] {
            let fleet = Fleet { satellites: 1_000, outage_ms: 10 * MINUTE, seed: 7, holds_polls };
            let curve = fleet.run();
            assert_eq!(curve.back(), 1_000, "all of them are back");
            let peak = curve.peak_after();
            assert!(peak * 8 <= 1_000, "{peak} requests in one second\n{curve}");
            // Nor does any have to wait for the rest of a long back-off.
            assert!(curve.last_return_seconds() <= 65, "{curve}");
        }
    }

    #[test]
    fn a_seed_gives_one_curve() {
        let fleet = Fleet { satellites: 50, outage_ms: MINUTE, seed: 3, holds_polls: true };
        assert_eq!(fleet.run().to_string(), fleet.run().to_string());
        let other = Fleet { seed: 4, ..fleet };
        assert_ne!(fleet.run().to_string(), other.run().to_string());
    }
}
