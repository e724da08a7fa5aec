//! Frozen processes: they hear and say nothing until they are thawed, and then everything.

use satellite_core::control::Event;
use satellite_core::id::{Incarnation, InstanceKey};
use satellite_core::time::{MINUTE, SECOND, Timestamp};

use super::faults::Fault;
use super::relays::Peering;
use super::{Due, Stage};

/// How a process stands to being frozen.
#[derive(Clone, Debug, Default)]
pub struct Frost {
    /// Whether it stands still.
    pub is_frozen: bool,
    /// Whether it was asked to go on since it was asked to stand still.
    pub is_asked_back: bool,
    /// When its host is done with what it was asked so far.
    busy_until: Timestamp,
}

/// What goes to a frozen process and waits there.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// What its relay wrote.
    heard: Vec<u8>,
    /// What it would have done.
    unsaid: Vec<Peering>,
}

impl Stage {
    /// Has the host freeze a process, or thaw it: one after the other.
    pub(super) fn frost(
        &mut self,
        satellite: usize,
        key: &InstanceKey,
        incarnation: Incarnation,
        freezes: bool,
    ) {
        let boot = self.boot_of(satellite);
        let (fault, most) = match freezes {
            true => (Fault::FreezeFails, 40),
            false => (Fault::ThawFails, 20),
        };
        let fails = self.strikes(satellite, fault);
        let mut takes = self.random.between(1, most);
        if self.dice.chance(1, 8) {
            // The machine is busy.
            takes = self.dice.between(1, 4 * SECOND);
        }
        if self.strikes(satellite, Fault::FrostSlow) {
            takes = self.dice.between(SECOND, 15 * SECOND);
        }
        self.meddle(satellite, key, takes);
        let now = self.now;
        let Some(process) = self.processes.find_mut(satellite, key, incarnation, boot) else {
            return;
        };
        process.frost.is_asked_back = !freezes;
        let at = now.max(process.frost.busy_until).after(takes);
        process.frost.busy_until = at;
        let pid = process.pid;
        let key = key.clone();
        self.may_hit_limit(satellite, pid, 0, if freezes { 4 * MINUTE } else { takes });
        if freezes && self.dice.chance(1, 3) {
            self.client_returns(satellite, &key, pid);
        }
        if freezes && self.dice.chance(1, 64) {
            // It is killed, or goes, as it is being frozen.
            let at = now.after(self.dice.between(0, takes));
            self.queue.put(at, Due::Death { pid, satellite, boot });
            self.at_peer(satellite, pid, 0, Peering::Closes);
        }
        if freezes && self.dice.chance(1, 16) {
            let says = b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n";
            let after = self.dice.between(0, takes);
            self.at_peer(satellite, pid, after, Peering::Says(says.to_vec()));
        }
        self.later(at.since(now), move |stage| {
            let Some(process) = stage.processes.find_mut(satellite, &key, incarnation, boot) else {
                return;
            };
            let error = String::from("the model says no");
            // Who has been told to end is not frozen any more.
            let fails = fails || freezes && process.is_told;
            if !fails {
                process.frost.is_frozen = freezes;
            }
            let event = match (freezes, fails) {
                (true, false) => Event::Frozen { key, incarnation },
                (true, true) => Event::FreezeFailed { key, incarnation, error },
                (false, false) => Event::Thawed { key, incarnation },
                (false, true) => Event::ThawFailed { key, incarnation, error },
            };
            if !freezes && !fails {
                stage.goes_on(satellite, pid);
            }
            if stage.is_boot(satellite, boot) {
                stage.word(satellite, 0, event);
            }
        });
    }

    /// A client comes back while the process is being frozen, or at last before it goes dormant, and
    /// perhaps somebody meddles at that moment.
    fn client_returns(&mut self, satellite: usize, key: &InstanceKey, pid: u32) {
        let most = if self.dice.chance(1, 2) { 100 } else { 4 * MINUTE };
        let after = self.dice.between(0, most);
        let (key, boot) = (key.clone(), self.boot_of(satellite));
        self.later(after, move |stage| {
            let now = stage.now;
            let subject = stage.satellites.get(satellite);
            let is_awake = subject.is_some_and(|it| it.asleep_until <= now);
            if !is_awake || !stage.is_boot(satellite, boot) {
                return;
            }
            stage.tell(satellite, Event::Wanted { key: key.clone() });
            stage.meddle(satellite, &key, 2 * SECOND);
            if stage.dice.chance(1, 8) {
                let at = stage.now.after(stage.dice.between(0, SECOND));
                stage.queue.put(at, Due::Death { pid, satellite, boot });
            }
        });
    }

    /// Whether the process with this id stands still.
    pub(super) fn is_frozen(&self, satellite: usize, pid: u32) -> bool {
        self.processes
            .of(satellite)
            .any(|(_, process)| process.pid == pid && process.frost.is_frozen)
    }

    /// Keeps what goes to a frozen process; says whether it is one.
    pub(super) fn holds_back(&mut self, satellite: usize, pid: u32, bytes: &[u8]) -> bool {
        let is_frozen = self.is_frozen(satellite, pid);
        let peer = self.satellites.get_mut(satellite).and_then(|it| it.peers.get_mut(&pid));
        if let Some(peer) = peer.filter(|_| is_frozen) {
            peer.held.heard.extend_from_slice(bytes);
        }
        is_frozen
    }

    /// Puts off what a frozen process would do; gives back what is not put off.
    pub(super) fn puts_off(
        &mut self,
        satellite: usize,
        pid: u32,
        what: Peering,
    ) -> Option<Peering> {
        let is_its_own = matches!(what, Peering::Says(_) | Peering::Closes);
        if !is_its_own || !self.is_frozen(satellite, pid) {
            return Some(what);
        }
        let peer = self.satellites.get_mut(satellite).and_then(|it| it.peers.get_mut(&pid))?;
        peer.held.unsaid.push(what);
        None
    }

    /// A process goes on: it does what it would have done, and hears what was said to it.
    pub(super) fn goes_on(&mut self, satellite: usize, pid: u32) {
        let peer = self.satellites.get_mut(satellite).and_then(|it| it.peers.get_mut(&pid));
        let Some(peer) = peer else { return };
        let Held { heard, unsaid } = std::mem::take(&mut peer.held);
        for what in unsaid {
            self.at_peer(satellite, pid, 0, what);
        }
        self.child_hears(satellite, pid, &heard);
    }

    /// A process that was told to end is thawed, such that it can.
    pub(super) fn thaw_to_end(
        &mut self,
        satellite: usize,
        key: &InstanceKey,
        incarnation: Incarnation,
    ) {
        let boot = self.boot_of(satellite);
        let process = self.processes.find_mut(satellite, key, incarnation, boot);
        let Some(process) = process.filter(|process| process.frost.is_frozen) else { return };
        process.frost.is_frozen = false;
        let pid = process.pid;
        self.goes_on(satellite, pid);
    }
}
