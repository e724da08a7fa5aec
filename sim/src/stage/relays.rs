//! Relays: beside each process one as it ships, a child on its one side and clients on the other.

use std::collections::BTreeMap;

use satellite_core::Machine;
use satellite_core::id::{Incarnation, InstanceKey};
use satellite_core::relay::{self, Call, CallId, Effect, Relay, RelaySettings, Report};
use satellite_core::time::{SECOND, Timestamp};

use super::child::Child;
use super::faults::Fault;
use super::frost::Held;
use super::remotes::{Through, may_repeat};
use super::{Due, Stage, describe, invariants};
use crate::trace::{Digest, Words};

/// A relay and what it stands between.
pub struct Peer {
    key: InstanceKey,
    incarnation: Incarnation,
    relay: Relay,
    /// What the child is like.
    pub(super) child: Child,
    /// When the process is there.
    pub(super) opens_at: Timestamp,
    /// For when, by the true clock, it is to be told the time.
    alarm: Option<Timestamp>,
    /// What waits while the child stands still.
    pub(super) held: Held,
}

/// What happens at a relay.
#[derive(Debug)]
pub(super) enum Peering {
    /// Its pipes are open.
    Opens,
    /// The child says something.
    Says(Vec<u8>),
    /// The child closes its pipes.
    Closes,
    /// A client wants a call's answer no more.
    Cancels(CallId),
    /// Its alarm rings.
    Alarm,
}

/// A call that has not ended.
#[derive(Clone, Debug)]
pub struct OpenCall {
    /// The satellite through which it goes.
    pub satellite: usize,
    /// What it goes through.
    pub through: Through,
    /// What the child is to say in its answer.
    pub number: u64,
    /// When it began, by the daemon's clock.
    pub at: Timestamp,
    /// How long it may take, if the child is silent.
    pub timeout_ms: u64,
}

/// Calls of clients.
#[derive(Debug, Default)]
pub struct Calls {
    /// Those that have not ended.
    pub open: BTreeMap<CallId, OpenCall>,
    /// How many there were.
    pub count: u64,
    /// How many ended, by the word for how.
    pub ended: BTreeMap<&'static str, u64>,
}

impl Stage {
    /// Puts a relay beside a process; its pipes open `after_ms` from now.
    pub(super) fn open_relay(
        &mut self,
        satellite: usize,
        pid: u32,
        (key, incarnation): (&InstanceKey, Incarnation),
        child: Child,
        handshake_timeout_ms: u64,
        after_ms: u64,
    ) {
        let relay = Relay::new(RelaySettings { handshake_timeout_ms });
        let opens_at = self.now.after(after_ms);
        let (key, held) = (key.clone(), Held::default());
        let peer = Peer { key, incarnation, relay, child, opens_at, alarm: None, held };
        let Some(subject) = self.satellites.get_mut(satellite) else { return };
        subject.peers.insert(pid, peer);
        self.at_peer(satellite, pid, after_ms, Peering::Opens);
    }

    /// Has something happen at a relay later, if it is there by then.
    pub(super) fn at_peer(&mut self, satellite: usize, pid: u32, after_ms: u64, what: Peering) {
        let boot = self.boot_of(satellite);
        self.queue.put(self.now.after(after_ms), Due::Peer { satellite, boot, pid, what });
    }

    /// Something happens at a relay.
    pub(super) fn peering(&mut self, satellite: usize, pid: u32, what: Peering) {
        let Some(what) = self.puts_off(satellite, pid, what) else { return };
        let event = match what {
            Peering::Opens => relay::Event::Opened,
            Peering::Says(bytes) => relay::Event::Read(bytes),
            Peering::Closes => {
                let reason = String::from("the server closed its standard output");
                relay::Event::Closed { reason }
            }
            Peering::Cancels(call) => relay::Event::Cancelled { call, reason: None },
            Peering::Alarm => {
                let now = self.now;
                let peer = self.satellites.get_mut(satellite).and_then(|it| it.peers.get_mut(&pid));
                // One that was set for another moment rings in vain.
                let Some(peer) = peer.filter(|peer| peer.alarm.is_some_and(|at| at <= now)) else {
                    return;
                };
                peer.alarm = None;
                relay::Event::Tick
            }
        };
        self.relay(satellite, pid, event);
    }

    /// Gives a relay an event; what it reports is told at once, after all else that is under way.
    pub(super) fn relay(&mut self, satellite: usize, pid: u32, event: relay::Event) {
        let Some((key, incarnation, reports)) = self.relay_reports(satellite, pid, event) else {
            return;
        };
        for report in reports {
            self.report(satellite, &key, incarnation, 0, report);
        }
    }

    /// Gives a relay an event and performs what it asks for but its reports, which are returned.
    pub(super) fn relay_reports(
        &mut self,
        satellite: usize,
        pid: u32,
        event: relay::Event,
    ) -> Option<(InstanceKey, Incarnation, Vec<Report>)> {
        let described = self.trace.keeps().then(|| describe::relay_event(&event));
        let mut digest = Digest::default();
        describe::digest_relay_event(u64::from(pid), &event, &mut digest);
        let subject = self.satellites.get_mut(satellite)?;
        let now = subject.clock.show(self.now);
        let peer = subject.peers.get_mut(&pid)?;
        let mut effects = Vec::new();
        let verdict = peer.relay.handle(now, event, &mut effects);
        let (key, incarnation) = (peer.key.clone(), peer.incarnation);
        describe::digest_verdict(verdict, &mut digest);
        for effect in &effects {
            describe::digest_relay_effect(effect, &mut digest);
        }
        self.trace.step(self.now, digest, || Words {
            who: format!("{}/relay of process {pid}", subject.name),
            event: described.unwrap_or_default(),
            verdict: describe::verdict(verdict),
            effects: effects.iter().map(describe::relay_effect).collect(),
        });
        let mut reports = Vec::new();
        for effect in effects {
            match effect {
                Effect::Write(bytes) => self.child_hears(satellite, pid, &bytes),
                Effect::Answer { call, outcome } => invariants::answered(self, call, &outcome),
                Effect::NotifyCall { call, .. } => invariants::notified(self, call),
                Effect::NotifyAll { .. } => {}
                Effect::Report(report) => reports.push(report),
            }
        }
        self.arm(satellite, pid);
        Some((key, incarnation, reports))
    }

    /// Sets a relay's alarm. One that rings too early costs little, so it is only moved forward.
    fn arm(&mut self, satellite: usize, pid: u32) {
        let now = self.now;
        let Some(subject) = self.satellites.get_mut(satellite) else { return };
        let clock = subject.clock;
        let Some(peer) = subject.peers.get_mut(&pid) else { return };
        let Some(deadline) = peer.relay.next_deadline() else { return };
        let at = clock.when(deadline.at).max(now);
        if peer.alarm.is_none_or(|alarm| at < alarm) {
            peer.alarm = Some(at);
            self.at_peer(satellite, pid, at.since(now), Peering::Alarm);
        }
    }

    /// Sets the alarms of a satellite's relays and conversations anew, because its clock has changed.
    pub(super) fn arm_all(&mut self, satellite: usize) {
        self.arm_conversations(satellite);
        let Some(subject) = self.satellites.get_mut(satellite) else { return };
        let pids: Vec<u32> = subject.peers.keys().copied().collect();
        for peer in subject.peers.values_mut() {
            peer.alarm = None;
        }
        for pid in pids {
            self.arm(satellite, pid);
        }
    }

    /// The pipes of a process that has ended are closed, and its relay with them.
    pub(super) fn close_relay(
        &mut self,
        satellite: usize,
        pid: u32,
    ) -> Option<(InstanceKey, Incarnation, Vec<Report>)> {
        let event = relay::Event::Closed { reason: String::from("the process ended") };
        let closed = self.relay_reports(satellite, pid, event);
        if let Some(subject) = self.satellites.get_mut(satellite) {
            subject.peers.remove(&pid);
        }
        invariants::none_left(self, satellite, Through::Process(pid));
        closed
    }

    /// Nobody waits any more for what went through a daemon that is gone.
    pub(super) fn drop_calls(&mut self, satellite: usize) {
        self.calls.open.retain(|_, call| call.satellite != satellite);
    }

    /// Whose process one is.
    pub(super) fn key_of(&self, satellite: usize, pid: u32) -> Option<InstanceKey> {
        let peer = self.satellites.get(satellite)?.peers.get(&pid)?;
        Some(peer.key.clone())
    }

    /// The process of one incarnation that the present daemon started.
    pub(super) fn pid_of(
        &self,
        satellite: usize,
        key: &InstanceKey,
        incarnation: Incarnation,
    ) -> Option<u32> {
        let boot = self.boot_of(satellite);
        self.processes.find(satellite, key, incarnation, boot).map(|process| process.pid)
    }

    /// Has clients call every server of a satellite that has a process, ready or not.
    pub fn use_all(&mut self, satellite: usize) {
        let now = self.now;
        let Some(subject) = self.satellites.get(satellite).filter(|it| it.asleep_until <= now)
        else {
            return;
        };
        let pids: Vec<u32> = subject.peers.keys().copied().collect();
        for pid in pids {
            for _ in 0..self.dice.between(1, 4) {
                self.call(satellite, Through::Process(pid));
            }
        }
    }

    /// Has clients call every server elsewhere that takes calls.
    pub fn use_elsewhere(&mut self, satellite: usize) {
        let now = self.now;
        if self.satellites.get(satellite).is_none_or(|it| it.asleep_until > now) {
            return;
        }
        for number in self.callable(satellite) {
            for _ in 0..self.dice.between(1, 4) {
                self.call(satellite, Through::Conversation(number));
            }
        }
    }

    /// Has a client call a tool.
    fn call(&mut self, satellite: usize, through: Through) {
        let Some(subject) = self.satellites.get(satellite) else { return };
        let at = subject.clock.show(self.now);
        self.calls.count += 1;
        let number = self.calls.count;
        let call = CallId(number);
        let timeout_ms = self.dice.between(2, 60) * SECOND;
        let wants_progress = number.is_multiple_of(3);
        let meta = if wants_progress {
            format!(r#","_meta":{{"progressToken":"of {number}"}}"#)
        } else {
            String::new()
        };
        let params = format!(r#"{{"name":"echo","arguments":{{"number":{number}}}{meta}}}"#);
        let params = serde_json::value::RawValue::from_string(params).ok();
        self.calls.open.insert(call, OpenCall { satellite, through, number, at, timeout_ms });
        let method = String::from("tools/call");
        match through {
            Through::Process(pid) => {
                let call = Call { id: call, method, params, timeout_ms, repeatable: false };
                self.relay(satellite, pid, relay::Event::Called(call));
            }
            Through::Conversation(number) => {
                let repeatable = may_repeat(call.0);
                let call = Call { id: call, method, params, timeout_ms, repeatable };
                self.call_elsewhere(satellite, number, call);
            }
        }
        let after =
            self.strikes(satellite, Fault::CallCancelled).then(|| self.dice.between(0, 3 * SECOND));
        match (through, after) {
            (Through::Process(pid), Some(after)) => {
                self.at_peer(satellite, pid, after, Peering::Cancels(call));
            }
            (Through::Conversation(number), Some(after)) => {
                self.cancel_elsewhere(satellite, number, after, call);
            }
            (_, None) => {}
        }
    }
}
