//! The network between satellites and Backend, as far as a request can tell: whether it arrives,
//! when, whether more than once, and what comes back.

use satellite_core::random::Random;
use satellite_core::time::{MINUTE, SECOND};

use super::faults::{Fault, Rates};

/// What becomes of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nobody listens, or the way is blocked with a refusal.
    Refused {
        /// When the client knows, in milliseconds.
        after_ms: u64,
    },
    /// It never arrives.
    Lost,
    /// It arrives.
    Delivered {
        /// Milliseconds on the way there.
        there_ms: u64,
        /// Milliseconds after its arrival at which it arrives once more.
        again_ms: Option<u64>,
        /// The answer's fate.
        back: Back,
    },
}

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Back {
    /// It arrives.
    Whole {
        /// Milliseconds on the way back.
        back_ms: u64,
    },
    /// It breaks off.
    Cut {
        /// Milliseconds on the way back.
        back_ms: u64,
    },
    /// It never arrives.
    Lost,
}

/// The network.
#[derive(Debug)]
pub struct Network {
    random: Random,
    /// Whether satellites and Backend are cut off from each other: everything is lost.
    pub is_partitioned: bool,
}

impl Network {
    /// A network that is whole.
    pub fn new(random: Random) -> Network {
        Network { random, is_partitioned: false }
    }

    /// Decides about a request, and says which faults it met.
    pub fn fate(&mut self, rates: &Rates, mut met: impl FnMut(Fault)) -> Fate {
        let random = &mut self.random;
        let (mut there_ms, mut back_ms) = (random.between(1, 40), random.between(1, 40));
        let mut strikes = |random: &mut Random, fault| {
            let rate = rates.of(fault);
            let strikes = rate > 0 && random.chance(rate, 10_000);
            if strikes {
                met(fault);
            }
            strikes
        };
        if self.is_partitioned || strikes(random, Fault::Loss) {
            return Fate::Lost;
        }
        if strikes(random, Fault::Refused) {
            return Fate::Refused { after_ms: there_ms };
        }
        if strikes(random, Fault::Delay) {
            there_ms += random.between(200, 6_000);
            back_ms += random.between(200, 6_000);
        }
        let again_ms = if strikes(random, Fault::Duplicate) {
            Some(random.between(1, 50))
        } else if strikes(random, Fault::Reorder) {
            Some(random.between(5 * SECOND, 10 * MINUTE))
        } else {
            None
        };
        let back = if strikes(random, Fault::OneWay) {
            Back::Lost
        } else if strikes(random, Fault::CutAnswer) {
            Back::Cut { back_ms }
        } else {
            Back::Whole { back_ms }
        };
        Fate::Delivered { there_ms, again_ms, back }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_without_faults_delivers_everything_once() {
        let mut network = Network::new(Random::new(1));
        for _ in 0..1_000 {
            let fate = network.fate(&Rates::default(), |fault| panic!("{fault:?}"));
            assert!(
                matches!(fate, Fate::Delivered { again_ms: None, back: Back::Whole { .. }, .. }),
                "{fate:?}"
            );
        }
    }

    #[test]
    fn a_partition_loses_everything() {
        let mut network = Network::new(Random::new(1));
        network.is_partitioned = true;
        assert!((0..100).all(|_| network.fate(&Rates::default(), |_| {}) == Fate::Lost));
    }

    #[test]
    fn each_fault_comes_about_as_often_as_it_should() {
        let mut network = Network::new(Random::new(7));
        let mut rates = Rates::default();
        rates.set(Fault::Loss, 2_500);
        rates.set(Fault::CutAnswer, 2_500);
        let fates: Vec<Fate> = (0..10_000).map(|_| network.fate(&rates, |_| {})).collect();
        let lost = fates.iter().filter(|fate| **fate == Fate::Lost).count();
        let is_cut = |fate: &&Fate| matches!(fate, Fate::Delivered { back: Back::Cut { .. }, .. });
        let cut = fates.iter().filter(is_cut).count();
        assert!((2_300..2_700).contains(&lost) && (1_750..2_000).contains(&cut), "{lost}, {cut}");
    }
}
