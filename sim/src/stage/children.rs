//! What processes do: they start or not, shake hands or not, live for a while, and end.

use std::sync::{Arc, OnceLock};

use satellite_core::control::Event;
use satellite_core::id::{Incarnation, InstanceKey};
use satellite_core::process::{Ended, ProcessSpec, SpawnFailure, StderrLine};
use satellite_core::relay::{Activity, Report};
use satellite_core::time::{HOUR, MINUTE, SECOND};
use satellite_core::view::{Inventory, Tool};

use super::faults::Fault;
use super::processes::Behaviour;
use super::{Due, Stage};

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
        let wait = self.random.between(2, 60);
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
        let ready = wait + self.random.between(50, 1_500);
        let listed = ready + self.random.between(1, 300);
        let timeout = process.handshake_timeout_ms;
        if behaviour == Behaviour::Silent || self.strikes(satellite, Fault::ChildHang) {
            let reason = format!("no answer within {timeout} ms");
            let report = Report::Unusable { step: "initialize", reason };
            self.report(satellite, key, incarnation, wait + timeout, report);
        } else if self.strikes(satellite, Fault::ChildUnusable) {
            let reason = String::from("the answer is no list");
            self.report(satellite, key, incarnation, ready, Report::Initialized);
            let report = Report::Unusable { step: "tools/list", reason };
            self.report(satellite, key, incarnation, listed, report);
        } else {
            self.report(satellite, key, incarnation, ready, Report::Initialized);
            self.report(satellite, key, incarnation, listed, Report::Listed(inventory()));
            self.misbehave(satellite, key, incarnation, listed, pid);
        }
        let mut dies_after = behaviour.dies_after(&mut self.random).map(|after| wait + after);
        if self.strikes(satellite, Fault::ChildExit) {
            dies_after = Some(self.dice.between(listed, 6 * HOUR));
        }
        if self.strikes(satellite, Fault::ChildExitEarly) {
            dies_after = Some(self.dice.between(wait, listed));
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
            let reason = String::from("standard output was closed");
            self.report(satellite, key, incarnation, at, Report::Closed { reason });
            if self.dice.chance(1, 2) {
                let boot = self.boot_of(satellite);
                let at = self.now.after(at + self.dice.between(1, 3 * SECOND));
                self.queue.put(at, Due::Death { pid, satellite, boot });
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
            let report = Report::Violation { what: "not JSON", count: 3 };
            self.report(satellite, key, incarnation, at, report);
        }
    }

    /// Has clients use what runs, and probes go through it.
    pub fn use_all(&mut self, satellite: usize) {
        let Some(control) = self.satellites.get(satellite).and_then(|it| it.control.as_ref())
        else {
            return;
        };
        let view = control.view();
        for (key, instance) in &view.instances {
            let Some(incarnation) = instance.ready else { continue };
            let messages = instance.message_count + 1;
            let activity = Activity { messages, errors: 0, late: 0, in_flight: 0 };
            let answered = self.dice.chance(9, 10);
            self.report(satellite, key, incarnation, 1, Report::Activity(activity));
            self.report(satellite, key, incarnation, 2, Report::Probe { answered });
        }
    }

    pub(super) fn terminate(
        &mut self,
        satellite: usize,
        key: &InstanceKey,
        incarnation: Incarnation,
        grace_ms: u64,
    ) {
        let boot = self.boot_of(satellite);
        let Some(process) = self.processes.find_mut(satellite, key, incarnation, boot) else {
            return;
        };
        process.is_told = true;
        let (pid, is_slow) = (process.pid, process.is_slow);
        let wait = if is_slow { grace_ms } else { self.random.between(1, 400) };
        self.queue.put(self.now.after(wait), Due::Gone { pid, satellite, boot });
    }

    pub(super) fn end_process(
        &mut self,
        satellite: usize,
        boot: u64,
        pid: u32,
        signal: Option<&str>,
    ) {
        let Some((key, incarnation, process)) = self.processes.end(pid) else { return };
        let subject = self.satellites.get_mut(satellite);
        let Some(subject) =
            subject.filter(|subject| subject.boot == boot && subject.control.is_some())
        else {
            return;
        };
        if !process.is_told {
            *subject.crashes.entry(key.installation.clone()).or_default() += 1;
        }
        let ended = Ended {
            code: signal.is_none().then_some(0),
            signal: signal.map(String::from),
            last_stderr: Vec::new(),
        };
        self.tell(satellite, Event::Exited { key, incarnation, ended });
    }
}

/// What every model process offers.
pub(super) fn inventory() -> Arc<Inventory> {
    static OFFER: OnceLock<Arc<Inventory>> = OnceLock::new();
    let make = || {
        let raw = serde_json::value::RawValue::from_string(String::from(
            r#"{"name":"echo","inputSchema":{"type":"object"}}"#,
        ));
        let tool = raw.ok().map(|raw| Tool {
            name: String::from("echo"),
            description: String::from("says it again"),
            repeatable: true,
            raw,
        });
        Arc::new(Inventory { tools: tool.into_iter().collect(), ..Inventory::default() })
    };
    Arc::clone(OFFER.get_or_init(make))
}
