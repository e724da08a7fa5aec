//! Model processes: what a child does once it is started, as far as its lifecycle can tell.

use std::collections::BTreeMap;

use satellite_core::cgroup::LimitKill;
use satellite_core::id::{Incarnation, InstanceKey};
use satellite_core::random::Random;

use super::frost::Frost;

/// How a child behaves; its first argument says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Behaviour {
    /// Starts, serves, ends when told.
    Steady,
    /// As steady, but deaf to SIGTERM: it takes the whole grace.
    Stubborn,
    /// Serves, and dies by itself seconds later, again and again.
    Crashing,
    /// Dies now and then.
    Fragile,
    /// Starts and never answers `initialize`.
    Silent,
    /// Cannot be started.
    Missing,
}

impl Behaviour {
    /// Reads a behaviour's name.
    pub fn of(name: &str) -> Behaviour {
        match name {
            "stubborn" => Behaviour::Stubborn,
            "crashing" => Behaviour::Crashing,
            "fragile" => Behaviour::Fragile,
            "silent" => Behaviour::Silent,
            "missing" => Behaviour::Missing,
            _ => Behaviour::Steady,
        }
    }

    /// The name, as arguments carry it.
    pub fn name(self) -> &'static str {
        match self {
            Behaviour::Steady => "steady",
            Behaviour::Stubborn => "stubborn",
            Behaviour::Crashing => "crashing",
            Behaviour::Fragile => "fragile",
            Behaviour::Silent => "silent",
            Behaviour::Missing => "missing",
        }
    }

    /// Milliseconds after its start at which it dies by itself.
    pub fn dies_after(self, random: &mut Random) -> Option<u64> {
        match self {
            Behaviour::Crashing => Some(random.between(2_000, 9_000)),
            Behaviour::Fragile => Some(random.between(120_000, 3_600_000)),
            Behaviour::Steady | Behaviour::Stubborn | Behaviour::Silent | Behaviour::Missing => {
                None
            }
        }
    }
}

/// A process that runs.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its process id.
    pub pid: u32,
    /// Which start of the daemon it belongs to.
    pub boot: u64,
    /// How it behaves.
    pub behaviour: Behaviour,
    /// Whether it takes the whole grace to end: it ignores SIGTERM, or what it started does.
    pub is_slow: bool,
    /// Whether it was told to end.
    pub is_told: bool,
    /// Whether it stands still.
    pub frost: Frost,
    /// The limit that ends it.
    pub killed_by: Option<LimitKill>,
}

/// Every process of every satellite.
#[derive(Debug, Default)]
pub struct Processes {
    running: BTreeMap<(usize, InstanceKey, Incarnation), Vec<Process>>,
    pids: u32,
    changes: u64,
}

impl Processes {
    /// Starts one; returns its process id.
    pub fn start(
        &mut self,
        satellite: usize,
        key: &InstanceKey,
        incarnation: Incarnation,
        boot: u64,
        behaviour: Behaviour,
        is_slow: bool,
    ) -> u32 {
        self.pids += 1;
        self.changes += 1;
        let frost = Frost::default();
        let process = Process {
            pid: self.pids,
            boot,
            behaviour,
            is_slow,
            is_told: false,
            frost,
            killed_by: None,
        };
        self.running.entry((satellite, key.clone(), incarnation)).or_default().push(process);
        self.pids
    }

    /// How often processes have started or ended.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Ends the process with this id, if it runs; says whose it was.
    pub fn end(&mut self, pid: u32) -> Option<(InstanceKey, Incarnation, Process)> {
        let (place, processes) = self
            .running
            .iter_mut()
            .find(|(_, processes)| processes.iter().any(|process| process.pid == pid))?;
        let which = processes.iter().position(|process| process.pid == pid)?;
        let process = processes.remove(which);
        let is_last = processes.is_empty();
        let place = place.clone();
        if is_last {
            self.running.remove(&place);
        }
        self.changes += 1;
        Some((place.1, place.2, process))
    }

    /// The process of one incarnation started by one boot.
    pub fn find(
        &self,
        satellite: usize,
        key: &InstanceKey,
        incarnation: Incarnation,
        boot: u64,
    ) -> Option<&Process> {
        let processes = self.running.get(&(satellite, key.clone(), incarnation))?;
        processes.iter().find(|process| process.boot == boot)
    }

    /// The same, to change it.
    pub fn find_mut(
        &mut self,
        satellite: usize,
        key: &InstanceKey,
        incarnation: Incarnation,
        boot: u64,
    ) -> Option<&mut Process> {
        let processes = self.running.get_mut(&(satellite, key.clone(), incarnation))?;
        processes.iter_mut().find(|process| process.boot == boot)
    }

    /// The process with this id, to change it.
    pub fn with_pid(&mut self, pid: u32) -> Option<&mut Process> {
        self.running.values_mut().flatten().find(|process| process.pid == pid)
    }

    /// Process ids of a satellite, by instance.
    pub fn of(&self, satellite: usize) -> impl Iterator<Item = (&InstanceKey, &Process)> {
        self.running.iter().filter(move |((owner, _, _), _)| *owner == satellite).flat_map(
            |((_, key, _), processes)| processes.iter().map(move |process| (key, process)),
        )
    }

    /// The processes of one boot of a satellite.
    pub fn of_boot(
        &self,
        satellite: usize,
        boot: u64,
    ) -> impl Iterator<Item = (&InstanceKey, Incarnation, &Process)> {
        let own = self.running.iter().filter(move |((owner, ..), _)| *owner == satellite);
        own.flat_map(|((_, key, incarnation), processes)| {
            processes.iter().map(move |process| (key, *incarnation, process))
        })
        .filter(move |(.., process)| process.boot == boot)
    }

    /// Ends what earlier starts of a daemon left; returns how many.
    pub fn sweep(&mut self, satellite: usize, boot: u64) -> usize {
        let left: Vec<u32> = self
            .of(satellite)
            .filter(|(_, process)| process.boot < boot)
            .map(|(_, process)| process.pid)
            .collect();
        left.iter().filter_map(|pid| self.end(*pid)).count()
    }
}
