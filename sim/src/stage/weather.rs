//! Faults that last: they come over the whole world now and then, and go again.

use satellite_core::time::{HOUR, MINUTE, SECOND, Timestamp};

use super::faults::Fault;
use super::{Stage, Violation};

/// How often the weather is looked at.
const EVERY_MS: u64 = 5 * MINUTE;

impl Stage {
    /// Begins the weather; it ends at `calm`.
    pub fn begin_weather(&mut self, calm: Timestamp) {
        self.later(EVERY_MS, move |stage| {
            if stage.now() < calm {
                stage.change_weather(calm);
                stage.begin_weather(calm);
            }
        });
    }

    /// Ends every fault.
    pub fn calm_down(&mut self) {
        self.rates = super::faults::Rates::default();
        self.network.is_partitioned = false;
        self.backend.is_down = false;
        self.backend.trouble = None;
        self.backend.in_maintenance = false;
        self.calm_remotes();
        for subject in &mut self.satellites {
            subject.disk_full_until = Timestamp(0);
            subject.read_only_until = Timestamp(0);
            subject.fuse = None;
        }
    }

    fn change_weather(&mut self, calm: Timestamp) {
        let left = calm.since(self.now);
        let lasting = |stage: &mut Stage, most: u64| stage.dice.between(SECOND, most).min(left);
        if self.strikes_all(Fault::Partition) {
            self.network.is_partitioned = true;
            let lasts = lasting(self, 20 * MINUTE);
            self.later(lasts, |stage| stage.network.is_partitioned = false);
        }
        if self.strikes_all(Fault::BackendDown) {
            self.backend_goes();
            let lasts = lasting(self, 20 * MINUTE);
            self.later(lasts, |stage| stage.backend.is_down = false);
        }
        if self.strikes_all(Fault::Maintenance) {
            self.backend.in_maintenance = true;
            let lasts = lasting(self, HOUR);
            self.later(lasts, |stage| stage.backend.in_maintenance = false);
        }
        self.trouble_remotes(calm);
        for satellite in 0..self.satellites.len() {
            let killed = self.strikes(satellite, Fault::DaemonKilled);
            let with_power = self.strikes(satellite, Fault::PowerCut);
            let effects = self.dice.between(1, 60);
            if (killed || with_power)
                && let Some(subject) = self.satellites.get_mut(satellite)
            {
                subject.fuse = Some((effects, with_power));
            }
            if self.strikes(satellite, Fault::DiskFull) {
                let lasts = lasting(self, 30 * MINUTE);
                let until = self.now.after(lasts);
                if let Some(subject) = self.satellites.get_mut(satellite) {
                    subject.disk_full_until = until;
                }
            }
            if self.strikes(satellite, Fault::DiskReadOnly) {
                let lasts = lasting(self, 30 * MINUTE);
                let until = self.now.after(lasts);
                if let Some(subject) = self.satellites.get_mut(satellite) {
                    subject.read_only_until = until;
                }
            }
            if self.strikes(satellite, Fault::Revoked) {
                self.revoke(satellite);
            }
            if self.strikes(satellite, Fault::HostSleep) {
                let lasts = lasting(self, 2 * HOUR);
                self.sleep(satellite, lasts);
            }
            if self.strikes(satellite, Fault::ClockJump) {
                self.jump(satellite);
            }
            if self.strikes(satellite, Fault::Shutdown) {
                self.shut_down(satellite);
            }
        }
    }

    /// What is wrong with the world, if it has not come right.
    pub fn has_converged(&mut self, outcome: Result<(), Violation>) {
        let outcome = outcome.map_err(|wrong| format!("{}: {}", wrong.invariant, wrong.detail));
        self.watch.holds(super::invariants::Invariant::Converges, outcome);
    }
}
