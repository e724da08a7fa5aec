//! The delegated directory as a hierarchy of `cgroups-rs`, whose own is fixed to `/sys/fs/cgroup` and
//! enables every controller of the machine there.

use std::path::PathBuf;

use cgroups_rs::cpu::CpuController;
use cgroups_rs::freezer::FreezerController;
use cgroups_rs::memory::MemController;
use cgroups_rs::pid::PidController;
use cgroups_rs::{Cgroup, Hierarchy, Subsystem};
use satellite_core::cgroup::Limit;

/// A directory of cgroup v2 with the controllers that its groups have.
#[derive(Clone, Debug)]
pub(super) struct Delegated {
    pub(super) directory: PathBuf,
    pub(super) controllers: Vec<Limit>,
}

/// The kernel's name of the controller of a resource.
pub(super) fn controller(limit: Limit) -> &'static str {
    match limit {
        Limit::Cpu => "cpu",
        Limit::Memory => "memory",
        Limit::Processes => "pids",
    }
}

impl Delegated {
    /// The group at `path` below the directory, whether it exists or not.
    pub(super) fn group(&self, path: &str) -> Cgroup {
        Cgroup::load(Box::new(self.clone()), path)
    }
}

impl Hierarchy for Delegated {
    fn subsystems(&self) -> Vec<Subsystem> {
        let root = || self.directory.clone();
        let controllers = self.controllers.iter().map(|limit| match limit {
            Limit::Cpu => Subsystem::Cpu(CpuController::new(root(), true)),
            Limit::Memory => Subsystem::Mem(MemController::new(root(), true)),
            Limit::Processes => Subsystem::Pid(PidController::new(root(), true)),
        });
        // Every group can be frozen and entered, with and without controllers.
        [Subsystem::Freezer(FreezerController::new(root(), true))]
            .into_iter()
            .chain(controllers)
            .collect()
    }

    fn root(&self) -> PathBuf {
        self.directory.clone()
    }

    fn root_control_group(&self) -> Cgroup {
        self.group("")
    }

    fn parent_control_group(&self, path: &str) -> Cgroup {
        self.group(path.rsplit_once('/').map_or("", |(parent, _)| parent))
    }

    fn v2(&self) -> bool {
        true
    }
}
