//! Daemons start, are told things, and die.

use std::collections::VecDeque;
use std::hash::Hasher;

use satellite_core::control::Event;
use satellite_core::time::{DAY, HOUR, SECOND, Timestamp};
use satellite_core::{Machine, Verdict, heartbeat};

use super::clock::Clock;
use super::faults::Fault;
use super::satellite::Satellite;
use super::{Due, SECRET, Stage, describe, invariants};
use crate::trace::{Digest, Words};

impl Stage {
    /// Adds a satellite with a registration token that is good once. It is not started.
    pub fn add_satellite(&mut self, name: &str) -> usize {
        let token = self.new_token(name, 1);
        self.satellites.push(Satellite::new(name, &token));
        self.satellites.len() - 1
    }

    fn new_token(&mut self, name: &str, number: u64) -> String {
        let token = format!("deploystack_satellite_global_{SECRET}-{name}-token-{number}");
        self.backend.tokens.insert(token.clone(), false);
        token
    }

    /// Starts a satellite's daemon: what an earlier one left is ended first.
    pub fn start(&mut self, satellite: usize) {
        let Some(subject) = self.satellites.get(satellite) else { return };
        if subject.control.is_some() {
            return;
        }
        if self.now < subject.asleep_until {
            // Nothing starts on a machine that sleeps.
            let left = subject.asleep_until.since(self.now);
            self.later(left, move |stage| stage.start(satellite));
            return;
        }
        let seed = self.random.next();
        let clock = self.set_clock(satellite);
        let Some(subject) = self.satellites.get_mut(satellite) else { return };
        let start = subject.boot(seed, clock);
        self.remotes.tokens.forget_all(satellite);
        let boot = subject.boot;
        self.watch.paces.remove(&satellite);
        let swept = self.processes.sweep(satellite, boot);
        self.note(satellite, &format!("daemon started, {swept} processes of earlier ones ended"));
        self.begin_badly(satellite);
        self.tell(satellite, Event::Started(start));
    }

    /// What may go wrong in a daemon's first seconds.
    fn begin_badly(&mut self, satellite: usize) {
        if self.strikes(satellite, Fault::Shutdown) {
            let after = self.dice.between(1, 3 * SECOND);
            self.later(after, move |stage| stage.shut_down(satellite));
        }
        if self.strikes(satellite, Fault::DiskFull) {
            let until = self.now.after(self.dice.between(1, 3 * SECOND));
            if let Some(subject) = self.satellites.get_mut(satellite) {
                subject.disk_full_until = until;
            }
        }
        if self.strikes(satellite, Fault::Revoked) {
            let after = self.dice.between(0, 2 * SECOND);
            self.later(after, move |stage| stage.revoke(satellite));
        }
    }

    /// The Backend ends a satellite's pairing.
    pub(super) fn revoke(&mut self, satellite: usize) {
        let deleted = self.dice.chance(1, 2);
        let why = if deleted { "satellite_deleted" } else { "api_key_revoked" };
        if let Some(subject) = self.satellites.get(satellite) {
            self.backend.end_pairing(&subject.name, why);
        }
    }

    /// The clock of a daemon that starts: right, or not.
    fn set_clock(&mut self, satellite: usize) -> Clock {
        let mut shown = self.now;
        if self.strikes(satellite, Fault::ClockSet) {
            let by = self.dice.between(SECOND, 2 * DAY);
            shown = if self.dice.chance(1, 2) {
                shown.after(by)
            } else {
                Timestamp(shown.0.saturating_sub(by))
            };
        }
        let drift = if self.strikes(satellite, Fault::ClockDrift) {
            i64::try_from(self.dice.below(1_001)).unwrap_or_default() - 500
        } else {
            0
        };
        Clock::new(self.now, shown, drift)
    }

    /// Kills a satellite's daemon; its processes go on. With the power of the machine, they go too.
    pub fn kill(&mut self, satellite: usize, with_power: bool) {
        let Some(subject) = self.satellites.get_mut(satellite) else { return };
        if subject.control.is_none() {
            return;
        }
        if let Some(control) = &subject.control {
            self.coverage.add(control.visits());
        }
        subject.drop_daemon();
        self.drop_held(satellite);
        self.drop_calls(satellite);
        if with_power {
            self.processes.sweep(satellite, u64::MAX);
            self.lose_power(satellite);
        }
        self.note(satellite, if with_power { "power cut" } else { "daemon killed" });
        if let Some(within) = self.restarts_within {
            let wait = self.random.between(SECOND, within.max(1) * SECOND);
            self.later(wait, move |stage| stage.start(satellite));
        }
    }

    /// What was not synced is lost, or a part of it is.
    fn lose_power(&mut self, satellite: usize) {
        let Some(subject) = self.satellites.get_mut(satellite) else { return };
        subject.machine_boots += 1;
        let unsynced = subject.disk.unsynced();
        if unsynced == 0 {
            return;
        }
        let is_torn = self.rates.of(Fault::TornWrite) > 0 && self.dice.chance(1, 2);
        let kept = if is_torn { self.dice.below(unsynced as u64) as usize } else { 0 };
        self.struck(satellite, if is_torn { Fault::TornWrite } else { Fault::LostWrite });
        if let Some(subject) = self.satellites.get_mut(satellite) {
            subject.disk.lose_power(kept);
        }
    }

    /// The daemon has ended by itself. Who runs it starts it again, with another token if it was
    /// refused.
    pub(super) fn ended(&mut self, satellite: usize, code: u8) {
        let Some(subject) = self.satellites.get_mut(satellite) else { return };
        subject.exited = Some(code);
        if let Some(control) = &subject.control {
            self.coverage.add(control.visits());
        }
        subject.drop_daemon();
        // Its supervisor ends what the daemon did not wait for.
        self.processes.sweep(satellite, u64::MAX);
        self.drop_held(satellite);
        self.drop_calls(satellite);
        if self.restarts_within.is_none() {
            return;
        }
        if code == 4 {
            let Some(subject) = self.satellites.get_mut(satellite) else { return };
            subject.tokens += 1;
            // Who hands out another withdraws this one: a late copy of a request would pair with it.
            self.backend.tokens.insert(subject.token.clone(), true);
            let (name, number) = (subject.name.clone(), subject.tokens);
            let token = self.new_token(&name, number);
            if let Some(subject) = self.satellites.get_mut(satellite) {
                subject.token = token;
            }
        }
        let wait = self.random.between(SECOND, 30 * SECOND);
        self.later(wait, move |stage| stage.start(satellite));
    }

    /// Asks a daemon to end, as its service manager does.
    pub fn shut_down(&mut self, satellite: usize) {
        let Some(subject) = self.satellites.get_mut(satellite) else { return };
        if subject.control.is_some() && subject.asleep_until <= self.now {
            subject.is_ending = true;
            self.watch.paces.entry(satellite).or_default().ends();
            self.tell(satellite, Event::ShutdownRequested);
        }
    }

    /// Has a client want every instance of a satellite, whether it sleeps or not.
    pub fn want_all(&mut self, satellite: usize) {
        let now = self.now;
        let subject = self.satellites.get(satellite).filter(|it| it.asleep_until <= now);
        let control = subject.and_then(|subject| subject.control.as_ref());
        let keys: Vec<_> = control
            .map_or_else(Vec::new, |control| control.view().instances.keys().cloned().collect());
        for key in keys {
            self.tell(satellite, Event::Wanted { key });
        }
    }

    /// Has a daemon hear of something at once.
    pub fn hear(&mut self, satellite: usize, event: Event) {
        self.tell(satellite, event);
    }

    /// Lets a machine sleep.
    pub(super) fn sleep(&mut self, satellite: usize, for_ms: u64) {
        let now = self.now;
        let Some(subject) = self.satellites.get_mut(satellite) else { return };
        if now < subject.asleep_until || subject.control.is_none() {
            return;
        }
        subject.asleep_until = now.after(for_ms);
        // Its clock stands still meanwhile.
        let shown = subject.clock.show(now);
        subject.clock = Clock::new(now.after(for_ms), shown, 0);
        subject.wind();
        self.arm_all(satellite);
    }

    /// Has a daemon's clock jump, as that of a machine that slept and counts it.
    pub(super) fn jump(&mut self, satellite: usize) {
        let by_ms = self.dice.between(SECOND, 8 * HOUR);
        let now = self.now;
        let Some(subject) = self.satellites.get_mut(satellite) else { return };
        if now < subject.asleep_until {
            return;
        }
        subject.clock.jump(now, by_ms);
        subject.wind();
        // Whether a relay or the control machine hears of it first is not said.
        let after = self.dice.between(0, 1);
        self.later(after, move |stage| stage.arm_all(satellite));
        self.watch.paces.entry(satellite).or_default().jumped(by_ms);
    }

    /// Gives a daemon an event and performs what it asks for, and so on with the answers that it
    /// has at once.
    pub(super) fn tell(&mut self, satellite: usize, event: Event) {
        let mut events = VecDeque::from([event]);
        let mut effects = Vec::new();
        while let Some(event) = events.pop_front() {
            let Some(subject) = self.satellites.get_mut(satellite) else { return };
            let boot = subject.boot;
            let now = subject.clock.show(self.now);
            let mut digest = Digest::default();
            digest.write_u64(satellite as u64);
            describe::digest_event(&event, &mut digest);
            let described = self.trace.keeps().then(|| describe::event(&event));
            if let Event::Answered { request, answer } = &event {
                self.watch_answered(satellite, request.channel, answer);
            }
            let Some(subject) = self.satellites.get_mut(satellite) else { return };
            let Some(control) = subject.control.as_mut() else { return };
            let verdict: Verdict = control.handle(now, event, &mut effects);
            if control.view().draining && !subject.is_ending {
                // Nobody asked it to: it decided so itself.
                subject.is_ending = true;
                self.watch.paces.entry(satellite).or_default().ends();
            }
            subject.wind();
            describe::digest_verdict(verdict, &mut digest);
            for effect in &effects {
                describe::digest_effect(effect, &mut digest);
            }
            self.trace.step(self.now, digest, || Words {
                who: subject.name.clone(),
                event: described.unwrap_or_default(),
                verdict: describe::verdict(verdict),
                effects: effects.iter().map(describe::effect).collect(),
            });
            for effect in effects.drain(..) {
                if !self.survives_effect(satellite, boot) {
                    return;
                }
                events.extend(self.perform(satellite, effect));
            }
            self.begin_heartbeat(satellite);
        }
    }

    /// Counts an effect that is about to be performed; says whether its daemon lives to do so.
    pub(super) fn survives_effect(&mut self, satellite: usize, boot: u64) -> bool {
        let Some(subject) = self.satellites.get_mut(satellite) else { return false };
        if subject.boot != boot || subject.control.is_none() {
            return false;
        }
        self.effects += 1;
        let mut death = None;
        if let Some((left, with_power)) = &mut subject.fuse {
            *left = left.saturating_sub(1);
            death = (*left == 0).then_some(*with_power);
        }
        if let Some((at, with_power)) = self.kill_at
            && at == self.effects
        {
            self.kill_at = None;
            death = Some(with_power);
        }
        if let Some(with_power) = death {
            self.kill(satellite, with_power);
        }
        death.is_none()
    }

    /// The heartbeat begins once the pairing is known and on disk.
    fn begin_heartbeat(&mut self, satellite: usize) {
        let Some(subject) = self.satellites.get_mut(satellite) else { return };
        if subject.is_beating {
            return;
        }
        let is_paired = subject.control.as_ref().is_some_and(|c| c.view().satellite.is_some());
        if let (true, Some(credentials)) = (is_paired, subject.disk.credentials.clone()) {
            subject.is_beating = true;
            self.beat(satellite, heartbeat::Event::Paired(credentials));
        }
    }

    /// Gives a daemon's heartbeat an event and performs what it asks for.
    pub(super) fn beat(&mut self, satellite: usize, event: heartbeat::Event) {
        let Some(subject) = self.satellites.get_mut(satellite) else { return };
        let Some(beating) = subject.heartbeat.as_mut() else { return };
        let (boot, now) = (subject.boot, subject.clock.show(self.now));
        let described = self.trace.keeps().then(|| describe::heartbeat_event(&event));
        let mut digest = Digest::default();
        digest.write_u64(satellite as u64);
        if let heartbeat::Event::Answered { answer, .. } = &event {
            describe::digest_answer(answer, &mut digest);
        }
        let mut effects = Vec::new();
        let verdict = beating.handle(now, event, &mut effects);
        subject.wind();
        describe::digest_verdict(verdict, &mut digest);
        for effect in &effects {
            if let heartbeat::Effect::Send { http, .. } = effect {
                describe::digest_request(http, &mut digest);
            }
        }
        self.trace.step(self.now, digest, || Words {
            who: format!("{}/heartbeat", subject.name),
            event: described.unwrap_or_default(),
            verdict: describe::verdict(verdict),
            effects: effects.iter().map(describe::heartbeat_effect).collect(),
        });
        for effect in effects {
            if !self.survives_effect(satellite, boot) {
                return;
            }
            self.perform_beat(satellite, effect);
        }
    }

    /// Kills one of a satellite's processes, as anybody might.
    pub fn kill_process(&mut self, satellite: usize) {
        let found =
            self.processes.of(satellite).next().map(|(_, process)| (process.pid, process.boot));
        if let Some((pid, boot)) = found {
            self.queue.put(self.now, Due::Death { pid, satellite, boot });
        }
    }

    /// Looks at the log lines of a daemon.
    pub(super) fn logged(&mut self, line: &satellite_core::log::LogLine) {
        invariants::logged(self, line);
        invariants::begun(self, line);
        invariants::moved(self, line);
        self.warned(line);
    }
}
