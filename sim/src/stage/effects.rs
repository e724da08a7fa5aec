//! What a daemon asks for, performed on models.

use satellite_core::control::{Effect, Event, Record};
use satellite_core::heartbeat::{self, HostSample};
use satellite_core::id::{Incarnation, InstanceKey};
use satellite_core::relay::{self, Report};
use satellite_core::remote;
use satellite_core::time::SECOND;

use super::faults::Fault;
use super::satellite::Room;
use super::{Due, Stage, invariants};

/// How the model machine is.
const SAMPLE: HostSample = HostSample {
    cpu_percent: 12.5,
    memory_mb: 14.0,
    disk_percent: 40.0,
    uptime_seconds: 0.0,
    network_rx_bytes: 1_000,
    network_tx_bytes: 1_000,
    response_time_ms: None,
};

impl Stage {
    /// Performs one effect; the answer, if it has one at once, is told after the other effects.
    pub(super) fn perform(&mut self, satellite: usize, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Persist(record) => return self.persist(satellite, record),
            Effect::Send { request, http } => self.send(satellite, request, http),
            Effect::Spawn { key, incarnation, process } => {
                self.spawn(satellite, &key, incarnation, &process);
            }
            Effect::Terminate { key, incarnation, grace_ms } => {
                self.terminate(satellite, &key, incarnation, grace_ms);
            }
            Effect::Freeze { key, incarnation } => self.frost(satellite, &key, incarnation, true),
            Effect::Thaw { key, incarnation } => self.frost(satellite, &key, incarnation, false),
            Effect::Relist { key, incarnation } => {
                if let Some(pid) = self.pid_of(satellite, &key, incarnation) {
                    self.relay(satellite, pid, relay::Event::Relist);
                }
                self.have_conversation(satellite, &key, incarnation, remote::Event::Relist);
            }
            Effect::Probe { key, incarnation } => {
                if let Some(pid) = self.pid_of(satellite, &key, incarnation) {
                    self.relay(satellite, pid, relay::Event::Probed);
                }
                self.have_conversation(satellite, &key, incarnation, remote::Event::Probed);
            }
            Effect::Connect { key, incarnation, remote } => {
                self.connect(satellite, &key, incarnation, remote);
            }
            Effect::Disconnect { key, incarnation } => {
                self.disconnect(satellite, &key, incarnation);
            }
            Effect::Reconnect { key, incarnation } => {
                self.have_conversation(satellite, &key, incarnation, remote::Event::Reconnect);
                self.meddle(satellite, &key, 2 * SECOND);
                // Who is asked again whether access is back may be asked across a jump of the clock.
                if self.remotes.refused.contains(&(satellite, key))
                    && self.strikes(satellite, Fault::ClockJump)
                {
                    let after = self.dice.between(0, 20);
                    self.later(after, move |stage| stage.jump(satellite));
                }
            }
            Effect::ForgetTokens { key } => self.remotes.tokens.forget(satellite, &key.user),
            Effect::ForgetUser { request, .. } => {
                return Some(Event::UserForgotten { request, identities: 0, sessions: 0 });
            }
            Effect::Log(line) => self.logged(&line),
            Effect::Exit(exit) => self.ended(satellite, exit.code),
        }
        None
    }

    fn persist(&mut self, satellite: usize, record: Record) -> Option<Event> {
        if let Record::Journal { bytes, .. } | Record::JournalRewrite(bytes) = &record {
            invariants::journalled(self, bytes);
        }
        let now = self.now;
        let subject = self.satellites.get_mut(satellite)?;
        let name = record.name();
        let room = if now < subject.read_only_until {
            Room::ReadOnly
        } else if now < subject.disk_full_until {
            Room::Full
        } else {
            Room::Free
        };
        let lost = match &record {
            Record::Journal { bytes, .. } | Record::JournalRewrite(bytes) if room != Room::Free => {
                bytes.clone()
            }
            _ => Vec::new(),
        };
        let outcome = subject.disk.write(record, room);
        invariants::not_journalled(self, &lost);
        Some(Event::Persisted { record: name, outcome })
    }

    pub(super) fn perform_beat(&mut self, satellite: usize, effect: heartbeat::Effect) {
        match effect {
            heartbeat::Effect::Sample => {
                self.measure(satellite);
                let now = self.now;
                let Some(subject) = self.satellites.get_mut(satellite) else { return };
                let Some(control) = &subject.control else { return };
                let view = control.view();
                subject.sampled = view.clone();
                let uptime_seconds = now.since(super::EPOCH) as f64 / 1_000.0;
                let sample = HostSample { uptime_seconds, ..SAMPLE };
                self.beat(satellite, heartbeat::Event::Sampled { view, sample });
            }
            heartbeat::Effect::Send { request, http } => {
                let body = http.body.as_deref().unwrap_or_default();
                invariants::heartbeat(self, satellite, request.number, body);
                self.send(satellite, request, http);
            }
            heartbeat::Effect::Answered(answer) => {
                self.tell(satellite, Event::HeartbeatAnswered { answer });
            }
            heartbeat::Effect::Log(line) => self.logged(&line),
        }
    }

    pub(super) fn boot_of(&self, satellite: usize) -> u64 {
        self.satellites.get(satellite).map_or(0, |subject| subject.boot)
    }

    /// Has a daemon hear of something, unless it is another one by then.
    pub(super) fn word(&mut self, satellite: usize, after_ms: u64, event: Event) {
        let boot = self.boot_of(satellite);
        self.queue.put(self.now.after(after_ms), Due::Word { satellite, boot, event });
    }

    pub(super) fn report(
        &mut self,
        satellite: usize,
        key: &InstanceKey,
        incarnation: Incarnation,
        after_ms: u64,
        report: Report,
    ) {
        self.word(satellite, after_ms, Event::Relay { key: key.clone(), incarnation, report });
    }
}
