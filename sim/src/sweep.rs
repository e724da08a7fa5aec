//! Many seeds, on several threads, added up in the order of their seeds.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::coverage::Coverage;
use crate::scenario::{How, Run, Scenario};
use crate::stage::faults::Tally;
use crate::stage::invariants::Evaluations;

/// Of so many seeds one keeps its text, so that what is said in it is looked at too.
const SEEDS_PER_TEXT: u64 = 200;
/// Runs of the swarm after which every fault and every invariant must have had its turn.
pub const ENOUGH: u64 = 200;

/// What one run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What it was about.
    pub scenario: Scenario,
    /// Its seed.
    pub seed: u64,
    /// Its steps.
    pub steps: u64,
    /// The digest of its trace.
    pub digest: u64,
    /// What went wrong, and how to see it again.
    pub failure: Option<String>,
    /// Its text, if it kept one.
    pub text: Option<String>,
}

/// What all runs came to.
#[derive(Debug, Default)]
pub struct Sweep {
    /// Each run, by scenario and seed.
    pub outcomes: Vec<Outcome>,
    /// Faults of all runs.
    pub tally: Tally,
    /// Invariants of all runs.
    pub evaluations: Evaluations,
    /// What has met what in any run.
    pub coverage: Coverage,
    /// Simulated milliseconds of all satellites.
    pub satellite_ms: u64,
}

impl Sweep {
    /// Runs every one of `runs`, on `threads` threads.
    pub fn of(runs: &[(Scenario, u64)], threads: usize) -> Sweep {
        let next = AtomicUsize::new(0);
        let whole = Mutex::new(BTreeMap::new());
        let parts: Vec<Sweep> = std::thread::scope(|scope| {
            let work = || {
                let mut part = Sweep::default();
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some((scenario, seed)) = runs.get(place) else { return part };
                    let outcome = part.add(*scenario, *seed);
                    if let Ok(mut whole) = whole.lock() {
                        whole.insert(place, outcome);
                    }
                }
            };
            let started: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
            let ended = started.into_iter().map(std::thread::ScopedJoinHandle::join);
            // A run that panics has said why.
            ended
                .map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        });
        let mut sweep = Sweep::default();
        for part in parts {
            sweep.tally.merge(&part.tally);
            sweep.evaluations.merge(&part.evaluations);
            sweep.coverage.merge(&part.coverage);
            sweep.satellite_ms += part.satellite_ms;
        }
        sweep.outcomes = whole.into_inner().unwrap_or_default().into_values().collect();
        sweep
    }

    fn add(&mut self, scenario: Scenario, seed: u64) -> Outcome {
        let keeps_trace = seed % SEEDS_PER_TEXT == 1;
        let mut run = scenario.run_as(seed, How { keeps_trace, until: None });
        self.tally.merge(&run.stage.tally);
        self.evaluations.merge(&run.stage.watch.evaluations);
        self.coverage.merge(&run.stage.coverage);
        self.satellite_ms += run.satellite_ms();
        let failure = run.failure();
        if failure.is_some() && !keeps_trace {
            // Once more, for the text.
            run = scenario.run(seed);
        }
        let Run { stage, .. } = &run;
        let has_text = keeps_trace || failure.is_some();
        Outcome {
            scenario,
            seed,
            steps: stage.trace.steps(),
            digest: stage.trace.digest(),
            text: has_text.then(|| stage.trace.text().to_string()),
            failure,
        }
    }

    /// Faults and invariants that never had their turn, though there were runs enough.
    pub fn idle(&self) -> Vec<&'static str> {
        let swarms = self.outcomes.iter().filter(|it| it.scenario == Scenario::Swarm).count();
        if (swarms as u64) < ENOUGH {
            return Vec::new();
        }
        let faults = self.tally.counts().filter(|(_, count)| *count == 0);
        let invariants = self.evaluations.counts().filter(|(_, count)| *count == 0);
        let faults = faults.map(|(fault, _)| fault.name());
        faults.chain(invariants.map(|(invariant, _)| invariant.name())).collect()
    }

    /// A line for each scenario.
    pub fn by_scenario(&self) -> String {
        let mut text = String::new();
        for scenario in Scenario::ALL {
            let of_it = self.outcomes.iter().filter(|outcome| outcome.scenario == scenario);
            let (mut seeds, mut steps, mut failed) = (0, 0, 0);
            for outcome in of_it {
                seeds += 1;
                steps += outcome.steps;
                failed += u64::from(outcome.failure.is_some());
            }
            if seeds > 0 {
                let name = scenario.name();
                // Writing to a text has no way to fail.
                let _ = writeln!(
                    text,
                    "{name:<16} {seeds:>6} seeds {steps:>12} steps {failed:>4} failed"
                );
            }
        }
        text
    }

    /// Faults by kind and invariants by evaluations.
    pub fn counts(&self) -> String {
        let mut text = String::from("Faults by kind\n");
        for (fault, count) in self.tally.counts() {
            let _ = writeln!(text, "{count:>12}  {}", fault.name());
        }
        text.push_str("Invariants by evaluations\n");
        for (invariant, count) in self.evaluations.counts() {
            let _ = writeln!(text, "{count:>12}  {}", invariant.name());
        }
        text
    }

    /// A line for each run: what two sweeps of the same seeds must agree in.
    pub fn digests(&self) -> String {
        let mut text = String::new();
        for Outcome { scenario, seed, steps, digest, .. } in &self.outcomes {
            let _ = writeln!(text, "{} {seed} {steps} {digest:016x}", scenario.name());
        }
        text
    }
}
