//! Instances, their servers, and the places for their processes.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Control, Effect, Event, Installed};
use crate::id::{Incarnation, InstallationId, InstanceKey, TeamId};
use crate::instance::{self, Instance, Spec};
use crate::log::{Level, LogLine};
use crate::reconcile;
use crate::relay::Report;
use crate::server;
use crate::time::Timestamp;
use crate::wire::event::EventData;
use crate::{Machine, Refusal, Verdict, limits};

impl Control {
    /// An event of one instance, as the host tells it.
    pub(super) fn fleet_event(
        &mut self,
        now: Timestamp,
        event: Event,
        out: &mut Vec<Effect>,
    ) -> Verdict {
        self.tally(&event);
        let (key, event) = match event {
            Event::Spawned { key, incarnation, pid } => {
                (key, instance::Event::Spawned { incarnation, pid })
            }
            Event::SpawnFailed { key, incarnation, failure } => {
                self.errors += 1;
                (key, instance::Event::SpawnFailed { incarnation, failure })
            }
            Event::Exited { key, incarnation, ended } => {
                self.flush_log(now, &key, out);
                (key, instance::Event::Exited { incarnation, ended })
            }
            Event::Frozen { key, incarnation } => (key, instance::Event::Frozen { incarnation }),
            Event::FreezeFailed { key, incarnation, error } => {
                let msg = "process could not be frozen; it runs on and is not tried again";
                let line = self.line(&key, Level::Warn, msg).with("operation", "freeze");
                out.push(Effect::Log(line.with("error", error)));
                (key, instance::Event::FreezeFailed { incarnation })
            }
            Event::Thawed { key, incarnation } => (key, instance::Event::Thawed { incarnation }),
            Event::ThawFailed { key, incarnation, error } => {
                self.errors += 1;
                (key, instance::Event::ThawFailed { incarnation, error })
            }
            Event::Wanted { key } => (key, instance::Event::Wanted),
            Event::Relay { key, incarnation, report } => {
                if let Err(verdict) = self.check_incarnation(&key, incarnation, out) {
                    return verdict;
                }
                let event = match report {
                    Report::Initialized => instance::Event::Initialized { incarnation },
                    Report::Listed(inventory) => {
                        self.lists_checked(now, &key, incarnation);
                        instance::Event::Listed { incarnation, inventory }
                    }
                    Report::Unusable { step, reason } => {
                        self.errors += 1;
                        instance::Event::Unusable { incarnation, step, reason }
                    }
                    Report::Closed { reason } => {
                        instance::Event::PipesClosed { incarnation, reason }
                    }
                    Report::ListsStale { step, reason } => {
                        let line = self
                            .line(
                                &key,
                                Level::Warn,
                                "lists could not be renewed; the old ones stay",
                            )
                            .with("operation", step)
                            .with("error", reason);
                        out.push(Effect::Log(line));
                        instance::Event::ListsStale { incarnation }
                    }
                    Report::Probe { answered } => {
                        self.probe_ended(now, &key, incarnation, answered);
                        instance::Event::Probed { incarnation, answered }
                    }
                    Report::Activity(activity) => instance::Event::Used { incarnation, activity },
                    Report::Violation { what, count } => {
                        return self.violated(&key, what, count, out);
                    }
                    Report::Reached { discovers, .. } => {
                        instance::Event::Reached { incarnation, discovers }
                    }
                    Report::Failed(failure) => {
                        self.errors += 1;
                        self.check_failed(now, &key, incarnation);
                        instance::Event::Failed { incarnation, failure }
                    }
                };
                (key, event)
            }
            Event::Stderr { key, lines, dropped, dropped_over_ms, .. } => {
                return self.wrote_to_stderr(now, &key, &lines, dropped, dropped_over_ms, out);
            }
            Event::Started(_)
            | Event::Answered { .. }
            | Event::Persisted { .. }
            | Event::HeartbeatAnswered { .. }
            | Event::Measured { .. }
            | Event::Used { .. }
            | Event::UserForgotten { .. }
            | Event::ShutdownRequested
            | Event::Tick => return Verdict::Refused(Refusal::IllegalTransition),
        };
        self.feed(now, &key, event, out)
    }

    /// A process, or a conversation, that was replaced has no say in its instance's life any more.
    fn check_incarnation(
        &self,
        key: &InstanceKey,
        incarnation: Incarnation,
        out: &mut Vec<Effect>,
    ) -> Result<(), Verdict> {
        let Some(instance) = self.instances.get(key) else { return Err(Verdict::Ignored("late")) };
        let present = instance.lifecycle().incarnation();
        if incarnation >= present {
            return Ok(());
        }
        let line = self
            .line(key, Level::Warn, "report of a process that was replaced; it is not used")
            .with("operation", "relay")
            .with("incarnation", incarnation.0)
            .with("present", present.0);
        out.push(Effect::Log(line));
        Err(Verdict::Refused(Refusal::Stale))
    }

    /// Gives an event to an instance and carries out what it asks for.
    pub(super) fn feed(
        &mut self,
        now: Timestamp,
        key: &InstanceKey,
        event: instance::Event,
        out: &mut Vec<Effect>,
    ) -> Verdict {
        let Some(instance) = self.instances.get_mut(key) else {
            return Verdict::Refused(Refusal::Unknown);
        };
        #[cfg(feature = "coverage")]
        {
            use super::visits;
            let cell = (instance.state().name(), visits::instance(&event, instance));
            let is_remote = matches!(instance.state(), instance::State::Remote(_));
            let lifecycle = match is_remote {
                true => visits::Lifecycle::Remote,
                false => visits::Lifecycle::Instance,
            };
            *self.visits.entry((lifecycle, cell.0, cell.1)).or_default() += 1;
        }
        let (mut asked, before) = (Vec::new(), instance.status());
        let verdict = instance.handle(now, event, &mut asked);
        let is_other = verdict == Verdict::Moved || instance.status() != before;
        if !instance.state().is_starting() {
            self.places.settled(key);
        }
        if !matches!(verdict, Verdict::Ignored(_)) {
            self.changed.insert(key.clone());
        }
        for effect in asked {
            self.instance_asks(now, key, effect, out);
        }
        if is_other {
            self.update_server(now, &key.installation, out);
        }
        verdict
    }

    fn instance_asks(
        &mut self,
        now: Timestamp,
        key: &InstanceKey,
        effect: instance::Effect,
        out: &mut Vec<Effect>,
    ) {
        match effect {
            instance::Effect::Claim => self.places.claim(key),
            instance::Effect::Release => self.places.release(key),
            instance::Effect::Spawn { incarnation, process } => {
                self.record_environment(now, key, incarnation, &process, out);
                out.push(Effect::Spawn { key: key.clone(), incarnation, process });
            }
            instance::Effect::Terminate { incarnation } => out.push(Effect::Terminate {
                key: key.clone(),
                incarnation,
                grace_ms: limits::TERMINATE_GRACE_MS,
            }),
            instance::Effect::Freeze { incarnation } => {
                out.push(Effect::Freeze { key: key.clone(), incarnation });
            }
            instance::Effect::Thaw { incarnation } => {
                out.push(Effect::Thaw { key: key.clone(), incarnation });
            }
            instance::Effect::Connect { incarnation, remote } => {
                self.record_requests(now, key, incarnation, &remote, out);
                out.push(Effect::Connect { key: key.clone(), incarnation, remote });
            }
            instance::Effect::Disconnect { incarnation } => {
                out.push(Effect::Disconnect { key: key.clone(), incarnation });
            }
            instance::Effect::Reconnect { incarnation } => {
                out.push(Effect::Reconnect { key: key.clone(), incarnation });
            }
            instance::Effect::Relist { incarnation } => {
                out.push(Effect::Relist { key: key.clone(), incarnation });
            }
            instance::Effect::Probe { incarnation } => {
                out.push(Effect::Probe { key: key.clone(), incarnation });
            }
            instance::Effect::Emit(data) => self.emit(now, data, out),
            instance::Effect::Moved { from, to } => {
                let message = self.instances.get(key).and_then(|i| i.lifecycle().message.clone());
                let level = match to {
                    "failed" | "permanently_failed" | "error" => Level::Error,
                    "restarting" | "offline" | "requires_reauth" => Level::Warn,
                    _ => Level::Info,
                };
                let line =
                    self.line(key, level, "instance moved").with("from", from).with("to", to);
                out.push(Effect::Log(match message {
                    Some(message) if level > Level::Info => line.with("error", message),
                    _ => line,
                }));
                if level > Level::Info {
                    self.errors += 1;
                }
            }
            instance::Effect::Removed => {
                self.measuring.forget(key);
                if let Some(gone) = self.instances.remove(key) {
                    self.last_incarnation =
                        self.last_incarnation.max(gone.lifecycle().incarnation());
                }
                let another = self.instances.keys().any(|k| k.installation == key.installation);
                if !another && let Some(mut gone) = self.servers.remove(&key.installation) {
                    #[cfg(feature = "coverage")]
                    {
                        use super::visits::Lifecycle::Server;
                        let cell = (Server, gone.machine.state().name(), "removed");
                        *self.visits.entry(cell).or_default() += 1;
                    }
                    gone.machine.handle(now, server::Event::Removed, &mut Vec::new());
                }
            }
        }
    }

    /// A log line with the fields that name an instance.
    pub(super) fn line(&self, key: &InstanceKey, level: Level, msg: &'static str) -> LogLine {
        LogLine::new(level, msg)
            .with("teamId", key.team.as_str())
            .with("serverId", key.installation.as_str())
            .with("userId", key.user.as_str())
    }

    fn update_server(&mut self, now: Timestamp, id: &InstallationId, out: &mut Vec<Effect>) {
        let best = self
            .instances
            .iter()
            .filter(|(key, _)| key.installation == *id)
            .map(|(_, instance)| server::contribution(instance.status()))
            .min();
        let Some(installed) = self.servers.get_mut(id) else { return };
        #[cfg(feature = "coverage")]
        {
            use super::visits;
            let cell = (installed.machine.state().name(), visits::server(best));
            *self.visits.entry((visits::Lifecycle::Server, cell.0, cell.1)).or_default() += 1;
        }
        let mut moves = Vec::new();
        installed.machine.handle(now, server::Event::BestChanged(best), &mut moves);
        for server::Effect::Moved { from, to } in moves {
            out.push(Effect::Log(
                LogLine::new(Level::Info, "server moved")
                    .with("teamId", installed.team.as_str())
                    .with("serverId", id.as_str())
                    .with("from", from)
                    .with("to", to),
            ));
        }
    }

    /// Makes the fleet what the configuration asks for. Returns what it refused, with reasons.
    pub(super) fn reconcile(
        &mut self,
        now: Timestamp,
        desired: Vec<Spec>,
        out: &mut Vec<Effect>,
    ) -> Vec<(String, String)> {
        let team = self.identity.as_ref().and_then(|identity| identity.team.clone());
        let plan = reconcile::plan(desired, self.instances.keys(), team.as_ref());
        for key in plan.remove {
            let verdict = self.feed(now, &key, instance::Event::RemoveRequested, out);
            self.note(verdict, "remove", out);
        }
        for spec in plan.keep {
            self.know_server(&spec);
            let key = spec.key.clone();
            let Some(instance) = self.instances.get(&key) else { continue };
            let restart = instance.needs_restart_for(&spec);
            self.feed(now, &key, instance::Event::Configured(spec), out);
            if restart {
                let event = instance::Event::RestartRequested(instance::Restart::Reconfigured);
                let verdict = self.feed(now, &key, event, out);
                self.note(verdict, "reconfigure", out);
            }
        }
        for spec in plan.create {
            self.know_server(&spec);
            let key = spec.key.clone();
            let random = self.random.fork("instance");
            let last = self.last_incarnation;
            let instance = Instance::following(last, spec, &self.settings, random, now);
            let first = instance.status_changed(now);
            self.instances.insert(key.clone(), instance);
            self.changed.insert(key.clone());
            self.emit(now, first, out);
            self.feed(now, &key, instance::Event::Tick, out);
            self.update_server(now, &key.installation, out);
        }
        plan.refused
    }

    fn know_server(&mut self, spec: &Spec) {
        let installed =
            self.servers.entry(spec.key.installation.clone()).or_insert_with(|| Installed {
                names: Arc::clone(&spec.names),
                team: spec.key.team.clone(),
                machine: server::Server::new(),
            });
        installed.names = Arc::clone(&spec.names);
    }

    /// Hands free places to those that wait for one.
    pub(super) fn fill_places(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        while self.ending.is_none()
            && let Some(key) = self.places.next()
        {
            let verdict = self.feed(now, &key, instance::Event::Placed, out);
            self.note(verdict, "place", out);
            if !self.instances.contains_key(&key) {
                self.places.release(&key);
            }
            self.watch_processes(now, &key, out);
        }
        self.make_room(now, out);
        self.processes.fell_to(self.places.held(), self.places.capacity());
    }

    /// Where starts wait for a place, the longest frozen instances go dormant, unless as many
    /// places are about to be given back anyway: no more of them than can be started at once. A team
    /// that has all it may have makes room itself.
    fn make_room(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        if self.ending.is_some() || !self.places.is_waited_for() {
            return;
        }
        let mut leaving: BTreeMap<&TeamId, usize> = BTreeMap::new();
        let mut frozen: Vec<(Timestamp, &InstanceKey)> = Vec::new();
        for (key, instance) in &self.instances {
            if instance.gives_place_back() {
                *leaving.entry(&key.team).or_default() += 1;
            }
            frozen.extend(instance.frozen_at().map(|at| (at, key)));
        }
        frozen.sort();
        let given: usize = leaving.values().sum();
        let mut lacking = self.places.lacking().saturating_sub(given);
        let most = self.places.free_starts().saturating_sub(given);
        let mut go = Vec::new();
        for (_, key) in frozen {
            let given = leaving.entry(&key.team).or_default();
            if *given < self.places.lacking_of(&key.team) {
                *given += 1;
            } else if lacking > 0 {
                lacking -= 1;
            } else {
                continue;
            }
            go.push(key.clone());
        }
        go.truncate(most);
        for key in go {
            let verdict = self.feed(now, &key, instance::Event::RoomWanted, out);
            self.note(verdict, "make room", out);
        }
    }

    pub(super) fn tick_fleet(&mut self, now: Timestamp, out: &mut Vec<Effect>) -> bool {
        let due: Vec<InstanceKey> = self
            .instances
            .iter()
            .filter(|(_, instance)| instance.next_deadline().is_some_and(|next| next.at <= now))
            .map(|(key, _)| key.clone())
            .collect();
        for key in &due {
            self.feed(now, key, instance::Event::Tick, out);
        }
        !due.is_empty()
    }

    fn violated(
        &mut self,
        key: &InstanceKey,
        what: &'static str,
        count: u64,
        out: &mut Vec<Effect>,
    ) -> Verdict {
        if !self.instances.contains_key(key) {
            return Verdict::Ignored("late");
        }
        self.errors = self.errors.saturating_add(count);
        let line = self
            .line(key, Level::Warn, "server broke the protocol; the message was skipped")
            .with("operation", what)
            .with("count", count);
        out.push(Effect::Log(line));
        Verdict::Handled
    }

    /// Puts an event in the outbox.
    pub(super) fn emit(&mut self, now: Timestamp, data: EventData, out: &mut Vec<Effect>) {
        self.feed_outbox(now, crate::outbox::Event::Emitted { data, at: now }, out);
    }
}
