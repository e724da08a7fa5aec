//! Random bytes that follow from the seed.

use std::sync::{Mutex, PoisonError};

use satellite_core::random::Random;
use satellite_io::entropy::Entropy;

/// The same bytes in every run of a seed.
#[derive(Debug)]
pub(super) struct Seeded(Mutex<Random>);

impl Seeded {
    /// `who` keeps the bytes of two apart that share a seed.
    pub(super) fn new(seed: u64, who: &str) -> Seeded {
        Seeded(Mutex::new(Random::new(seed).fork(who)))
    }
}

impl Entropy for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        let mut random = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bytes.fill_with(|| random.next().to_le_bytes()[0]);
    }
}
