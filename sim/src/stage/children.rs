//! What processes do: they start or not, shake hands or not, live for a while, and end.

use satellite_core::cgroup::{Limit, LimitKill, MIB, Owner};
use satellite_core::control::Event;
use satellite_core::id::{Incarnation, InstanceKey};
use satellite_core::process::{Ended, ProcessSpec, SpawnFailure, StderrLine};
use satellite_core::random::Random;
use satellite_core::time::{HOUR, MINUTE, SECOND};

use super::child::Child;
use super::faults::Fault;
use super::processes::Behaviour;
use super::relays::Peering;
use super::{Due, Stage, invariants};

impl Stage {
    pub(super) fn spawn(
        &mut self,
        satellite: usize,
        key: &InstanceKey,
        incarnation: Incarnation,
        process: &ProcessSpec,
    ) {
        let behaviour = Behaviour::of(process.args.first().map_or("steady", String::as_str));
        let boot = self.boot_of(satellite);
        let mut wait = self.random.between(2, 60);
        if self.strikes(satellite, Fault::SpawnSlow) {
            wait = self.dice.between(SECOND, 8 * MINUTE);
        }
        // While it starts, or while its handshake hangs.
        let within = if self.dice.chance(1, 2) { 2 * SECOND } else { 40 * SECOND };
        self.meddle(satellite, key, within);
        let fails = self.strikes(satellite, Fault::SpawnFailure);
        if fails || behaviour == Behaviour::Missing {
            let (step, retryable) = if fails && self.dice.chance(9, 10) {
                ("clone", true)
            } else {
                ("resolve executable", false)
            };
            let error = format!("{} is not installed; install it", process.command);
            let failure = SpawnFailure { step: String::from(step), error, retryable };
            let event = Event::SpawnFailed { key: key.clone(), incarnation, failure };
            self.word(satellite, wait, event);
            return;
        }
        let is_slow = behaviour == Behaviour::Stubborn
            || self.strikes(satellite, Fault::ChildDeaf)
            || self.strikes(satellite, Fault::ChildFork);
        let pid = self.processes.start(satellite, key, incarnation, boot, behaviour, is_slow);
        self.word(satellite, wait, Event::Spawned { key: key.clone(), incarnation, pid });
        invariants::started_for(self, key, process);
        let child = Child {
            is_silent: behaviour == Behaviour::Silent || self.strikes(satellite, Fault::ChildHang),
            lists_never: self.strikes(satellite, Fault::ChildHang),
            is_unusable: self.strikes(satellite, Fault::ChildUnusable),
            is_deaf: false,
        };
        let timeout = process.handshake_timeout_ms;
        self.open_relay(satellite, pid, (key, incarnation), child, timeout, wait);
        // By then its handshake is over.
        let serves = wait + 2 * SECOND;
        self.misbehave(satellite, key, incarnation, serves, pid);
        let mut dies_after = behaviour.dies_after(&mut self.random).map(|after| wait + after);
        if self.strikes(satellite, Fault::ChildExit) {
            dies_after = Some(self.dice.between(serves, 6 * HOUR));
        }
        if self.strikes(satellite, Fault::ChildExitEarly) {
            dies_after = Some(self.dice.between(wait, serves));
        }
        if let Some(after_ms) = dies_after {
            self.queue.put(self.now.after(after_ms), Due::Death { pid, satellite, boot });
        }
    }

    /// What a process that serves does that it should not.
    fn misbehave(
        &mut self,
        satellite: usize,
        key: &InstanceKey,
        incarnation: Incarnation,
        from: u64,
        pid: u32,
    ) {
        if self.strikes(satellite, Fault::ChildClosesPipes) {
            let at = from + self.dice.between(1, 10 * MINUTE);
            self.at_peer(satellite, pid, at, Peering::Closes);
            if self.dice.chance(1, 2) {
                let boot = self.boot_of(satellite);
                let at = self.now.after(at + self.dice.between(1, 3 * SECOND));
                self.queue.put(at, Due::Death { pid, satellite, boot });
            }
        }
        self.may_hit_limit(satellite, pid, from, 10 * MINUTE);
        if self.strikes(satellite, Fault::ListChange) {
            let at = from + self.dice.between(1, 10 * MINUTE);
            let says = b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n";
            for _ in 0..self.dice.between(1, 5) {
                self.at_peer(satellite, pid, at, Peering::Says(says.to_vec()));
            }
        }
        if self.strikes(satellite, Fault::ChildFlood) {
            let at = from + self.dice.between(1, 10 * MINUTE);
            for second in 0..self.dice.between(2, 20) {
                let line = |number| StderrLine {
                    text: format!("still flooding, second {second}, line {number}"),
                    truncated: false,
                };
                let lines = (0..20).map(line).collect();
                let dropped = self.dice.between(1, 100_000);
                let (key, dropped_over_ms) = (key.clone(), SECOND);
                let event = Event::Stderr { key, incarnation, lines, dropped, dropped_over_ms };
                self.word(satellite, at + second * SECOND, event);
            }
        }
        if self.strikes(satellite, Fault::ChildViolation) {
            let at = from + self.dice.between(1, 10 * MINUTE);
            let noise =
                b"Server running on stdio\n{\"jsonrpc\":\"2.0\",\"id\":999999,\"result\":{}}\n";
            self.at_peer(satellite, pid, at, Peering::Says(noise.to_vec()));
        }
    }

    pub(super) fn terminate(
        &mut self,
        satellite: usize,
        key: &InstanceKey,
        incarnation: Incarnation,
        grace_ms: u64,
    ) {
        self.thaw_to_end(satellite, key, incarnation);
        let boot = self.boot_of(satellite);
        let Some(process) = self.processes.find_mut(satellite, key, incarnation, boot) else {
            return;
        };
        process.is_told = true;
        let (pid, is_slow) = (process.pid, process.is_slow);
        // Its input is closed first of all, and what is being started is there before it is ended.
        let mut from = self.now;
        let subject = self.satellites.get_mut(satellite);
        if let Some(peer) = subject.and_then(|subject| subject.peers.get_mut(&pid)) {
            peer.child.is_deaf = true;
            from = from.max(peer.opens_at);
        }
        self.meddle(satellite, key, if is_slow { grace_ms } else { 300 });
        let wait = if is_slow { grace_ms } else { self.random.between(1, 400) };
        self.queue.put(from.after(wait), Due::Gone { pid, satellite, boot });
    }

    pub(super) fn end_process(
        &mut self,
        satellite: usize,
        boot: u64,
        pid: u32,
        signal: Option<&str>,
    ) {
        let Some((key, incarnation, process)) = self.processes.end(pid) else { return };
        if self.is_boot(satellite, boot)
            && let Some((key, incarnation, reports)) = self.close_relay(satellite, pid)
        {
            // Its last words come before its end.
            for report in reports {
                self.tell(satellite, Event::Relay { key: key.clone(), incarnation, report });
            }
        }
        let subject = self.satellites.get_mut(satellite);
        let Some(subject) =
            subject.filter(|subject| subject.boot == boot && subject.control.is_some())
        else {
            return;
        };
        if !process.is_told {
            *subject.crashes.entry(key.installation.clone()).or_default() += 1;
        }
        // Of one that was told to end nobody asks what ended it.
        let limit = process.killed_by.filter(|_| !process.is_told);
        let ended = Ended {
            code: signal.is_none().then_some(0),
            signal: signal.map(String::from),
            limit,
            last_stderr: Vec::new(),
        };
        let within = if self.dice.chance(1, 2) { 10 * SECOND } else { 3 * MINUTE };
        self.meddle(satellite, &key, within);
        let counted = invariants::limit_kills(self, satellite, &key);
        self.tell(satellite, Event::Exited { key: key.clone(), incarnation, ended });
        if let Some(kill) = limit
            && self.is_boot(satellite, boot)
        {
            invariants::limit_kill_told(self, satellite, &key, &kill, counted);
        }
    }

    /// Has a limit end a process within so many milliseconds, now and then.
    pub(super) fn may_hit_limit(&mut self, satellite: usize, pid: u32, from: u64, within: u64) {
        let rate = self.rates.of(Fault::LimitKill);
        // Its own source: where it does not happen, all is as it would be without.
        let mut random = Random::new(u64::from(pid) ^ self.now.0.rotate_left(24));
        if rate == 0 || !random.chance(rate, 10_000) {
            return;
        }
        let value = 100 * MIB;
        let kill = match random.below(4) {
            0 => LimitKill { limit: Limit::Memory, owner: Owner::Team, value: 5 * value },
            1 => LimitKill { limit: Limit::Processes, owner: Owner::Process, value: 256 },
            _ => LimitKill { limit: Limit::Memory, owner: Owner::Process, value },
        };
        let boot = self.boot_of(satellite);
        self.later(from + random.between(0, within), move |stage| {
            let now = stage.now;
            let is_awake = stage.satellites.get(satellite).is_some_and(|it| it.asleep_until <= now);
            let process = stage.processes.with_pid(pid).filter(|process| !process.is_told);
            let occurs = stage.rates.of(Fault::LimitKill) > 0;
            let Some(process) = process.filter(|_| is_awake && occurs) else { return };
            process.killed_by = Some(kill);
            stage.struck(satellite, Fault::LimitKill);
            stage.end_process(satellite, boot, pid, Some("SIGKILL"));
        });
    }
}
