//! What model processes use, and whether a daemon that is told so warns of it once each time.

use std::collections::BTreeMap;

use satellite_core::cgroup::{Limit, MIB, Usage};
use satellite_core::control::Event;
use satellite_core::id::{Incarnation, InstanceKey};
use satellite_core::process::Sample;
use satellite_core::random::Random;

use super::Stage;
use super::invariants::Invariant;

/// The memory that each model process may use, as every process by default.
const MEMORY_MB: u64 = 100;

/// What was seen of all satellites' warnings.
#[derive(Debug, Default)]
pub(super) struct Warned {
    /// Which process of which satellite's boots has been near its limit of memory, and not gone far from it since.
    near: BTreeMap<(usize, u64, InstanceKey, Incarnation), bool>,
    /// How many warnings were logged.
    count: u64,
}

impl Stage {
    /// A daemon logs that a server is near a limit.
    pub(super) fn warned(&mut self, line: &satellite_core::log::LogLine) {
        if line.msg == "a server is near a limit" {
            self.warned.count += 1;
        }
    }

    /// A host measures the processes of its daemon.
    pub(super) fn measure(&mut self, satellite: usize) {
        let Some(subject) = self.satellites.get(satellite) else { return };
        let (boot, at) = (subject.boot, subject.clock.show(self.now));
        let Some(view) = subject.control.as_ref().map(satellite_core::control::Control::view)
        else {
            return;
        };
        let mut samples = Vec::new();
        for (key, incarnation, process) in self.processes.of_boot(satellite, boot) {
            // Its own source: the others decide as they would without measuring.
            let mut random = Random::new(u64::from(process.pid) ^ self.now.0.rotate_left(20));
            let memory_bytes = random.between(40, MEMORY_MB) * MIB;
            let usage = Usage { memory_bytes, processes: 5, ..Usage::default() };
            samples.push(Sample { key: key.clone(), incarnation, usage });
        }
        if samples.is_empty() {
            return;
        }
        let mut crossings = 0;
        for Sample { key, incarnation, usage } in &samples {
            let process = view.instances.get(key).and_then(|it| it.process);
            if process.map(|process| process.incarnation) != Some(*incarnation) {
                continue;
            }
            let percent = usage.memory_bytes * 100 / (MEMORY_MB * MIB);
            let place = (satellite, boot, key.clone(), *incarnation);
            let near = self.warned.near.entry(place).or_default();
            let is_near = percent >= if *near { 70 } else { 80 };
            crossings += u64::from(is_near && !*near);
            *near = is_near;
        }
        let before = self.warned.count;
        self.tell(satellite, Event::Measured { at, samples, teams: Vec::new() });
        let Some(subject) = self.satellites.get(satellite) else { return };
        let Some(control) = subject.control.as_ref().filter(|_| subject.boot == boot) else {
            return;
        };
        let view = control.view();
        let told = self.warned.count - before;
        let mut outcome = match told == crossings {
            true => Ok(()),
            false => Err(format!("{told} warnings of {crossings} crossings")),
        };
        for (key, figures) in view.figures.iter() {
            let Some(measured) = &figures.measured else { continue };
            let place = (satellite, boot, key.clone(), measured.incarnation);
            let near = self.warned.near.get(&place).copied().unwrap_or_default();
            if near != measured.near.contains(&Limit::Memory) {
                outcome = Err(format!("{key} near its limit: {near}, and the view says not so"));
            }
        }
        self.watch.holds(Invariant::OneWarningPerCrossing, outcome);
    }
}
