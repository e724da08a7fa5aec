//! One run of a scenario, and what came of it.

use super::Scenario;
use crate::stage::{EPOCH, Stage, Violation};

/// How a run is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    /// Whether the text of its trace is kept.
    pub keeps_trace: bool,
    /// The number of the step before which it stops.
    pub until: Option<u64>,
}

/// A run and what came of it.
pub struct Run {
    /// What it was about.
    pub scenario: Scenario,
    /// Its seed.
    pub seed: u64,
    /// The first thing that must not be.
    pub violation: Option<Violation>,
    /// The world as it was in the end.
    pub stage: Stage,
}

impl Run {
    /// What went wrong and how to see it again, or nothing.
    pub fn failure(&self) -> Option<String> {
        let Violation { invariant, detail } = self.violation.as_ref()?;
        let (scenario, seed) = (self.scenario.name(), self.seed);
        let step = self.stage.trace.steps();
        let at = self.stage.trace.last_at().unwrap_or_default().to_iso();
        Some(format!(
            "scenario={scenario} seed={seed} step={step} at={at}\n{invariant}: {detail}\n\
             replay: cargo sim run --seed {seed} --scenario {scenario} --until {step}"
        ))
    }

    /// Simulated milliseconds, added up over its satellites.
    pub fn satellite_ms(&self) -> u64 {
        self.stage.now().since(EPOCH).saturating_mul(self.stage.satellites.len() as u64)
    }
}
