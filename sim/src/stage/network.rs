//! The network between satellites and Backend, as far as a request can tell: whether it arrives,
//! when, whether more than once, and what comes back.

use satellite_core::random::Random;

/// How likely each fault is, in thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Nothing arrives; the client waits for its time-out.
    pub lost: u64,
    /// The connection is refused at once.
    pub refused: u64,
    /// The Backend acts on the request, the answer is lost.
    pub unanswered: u64,
    /// The Backend acts on the request, the answer breaks off.
    pub cut: u64,
    /// A proxy on the way sends the request twice.
    pub doubled: u64,
    /// Most extra milliseconds each way, beyond the ordinary 1 to 40.
    pub delay_max_ms: u64,
}

impl Faults {
    /// A bad day, drawn anew for each run: which faults occur, and how often.
    pub fn draw(random: &mut Random) -> Faults {
        let mut rate = || if random.chance(1, 2) { random.below(120) } else { 0 };
        Faults {
            lost: rate(),
            refused: rate(),
            unanswered: rate(),
            cut: rate(),
            doubled: rate(),
            delay_max_ms: if random.chance(1, 3) { 12_000 } else { 200 },
        }
    }
}

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
        /// Whether it arrives twice.
        twice: bool,
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
    /// The faults of this run.
    pub faults: Faults,
    /// Whether satellites and Backend are cut off from each other: everything is lost.
    pub is_partitioned: bool,
}

impl Network {
    /// A network without faults.
    pub fn new(random: Random) -> Network {
        Network { random, faults: Faults::default(), is_partitioned: false }
    }

    /// Decides about a request.
    pub fn fate(&mut self) -> Fate {
        // Every request draws the same number of times, so that one fault does not shift others.
        let (there, back) = (self.random.between(1, 40), self.random.between(1, 40));
        let slow = self.random.below(self.faults.delay_max_ms.saturating_add(1));
        let draw = self.random.below(1_000);
        let twice = self.random.chance(self.faults.doubled, 1_000);
        if self.is_partitioned {
            return Fate::Lost;
        }
        let faults = self.faults;
        let mut bound = faults.lost;
        if draw < bound {
            return Fate::Lost;
        }
        bound += faults.refused;
        if draw < bound {
            return Fate::Refused { after_ms: there };
        }
        let there_ms = there + slow / 2;
        let back_ms = back + slow / 2;
        bound += faults.unanswered;
        if draw < bound {
            return Fate::Delivered { there_ms, twice, back: Back::Lost };
        }
        bound += faults.cut;
        let back = if draw < bound { Back::Cut { back_ms } } else { Back::Whole { back_ms } };
        Fate::Delivered { there_ms, twice, back }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_without_faults_delivers_everything_once() {
        let mut network = Network::new(Random::new(1));
        for _ in 0..1_000 {
            let fate = network.fate();
            assert!(
                matches!(fate, Fate::Delivered { twice: false, back: Back::Whole { .. }, .. }),
                "{fate:?}"
            );
        }
    }

    #[test]
    fn a_partition_loses_everything() {
        let mut network = Network::new(Random::new(1));
        network.is_partitioned = true;
        assert!((0..100).all(|_| network.fate() == Fate::Lost));
    }

    #[test]
    fn each_fault_comes_about_as_often_as_it_should() {
        let mut network = Network::new(Random::new(7));
        network.faults = Faults { lost: 250, cut: 250, ..Faults::default() };
        let fates: Vec<Fate> = (0..10_000).map(|_| network.fate()).collect();
        let lost = fates.iter().filter(|fate| **fate == Fate::Lost).count();
        let is_cut = |fate: &&Fate| matches!(fate, Fate::Delivered { back: Back::Cut { .. }, .. });
        let cut = fates.iter().filter(is_cut).count();
        assert!((2_300..2_700).contains(&lost) && (2_300..2_700).contains(&cut), "{lost}, {cut}");
    }
}
