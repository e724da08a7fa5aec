//! Commands of the Backend and what they do to the fleet. Each ends in one outcome.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::{Value, json};

use super::{Control, Effect};
use crate::Deadline;
use crate::commands::{self, Outcome, Payload};
use crate::configuration;
use crate::id::{CommandId, InstanceKey};
use crate::instance::{self, Restart, Spec, State};
use crate::journal::ToolSwitch;
use crate::log::{Level, LogLine};
use crate::time::{MINUTE, Timestamp};
use crate::view::Transport;
use crate::wire::command::{Command, CommandType};
use crate::wire::event::EventData;

/// How long a command waits for the instances it touched before it reports them as they are.
const SETTLE_MS: u64 = 2 * MINUTE;

/// Commands that have begun and not ended.
#[derive(Debug, Default)]
pub(super) struct Executions {
    running: Vec<Execution>,
}

#[derive(Debug)]
struct Execution {
    id: CommandId,
    started_at: Timestamp,
    until: Timestamp,
    awaits: Awaits,
}

#[derive(Debug)]
enum Awaits {
    /// The next configuration of the Backend.
    Configuration,
    /// These instances to be online or to have failed.
    Started(BTreeSet<InstanceKey>),
    /// These instances to have no process.
    Ended(BTreeSet<InstanceKey>),
}

impl Executions {
    pub(super) fn next_deadline(&self) -> Option<Deadline> {
        let until = self.running.iter().map(|execution| execution.until).min()?;
        Some(Deadline::new(until, "command result"))
    }
}

impl Control {
    pub(super) fn execute(&mut self, now: Timestamp, command: Command, out: &mut Vec<Effect>) {
        out.push(Effect::Log(
            LogLine::new(Level::Info, "command begun")
                .with("operation", command.command_type.as_str())
                .with("commandId", command.id.as_str()),
        ));
        let payload = match Payload::read(&command.payload) {
            Ok(payload) => payload,
            Err(error) => {
                let outcome = Outcome::failed(now, error);
                self.complete(now, command.id, outcome, out);
                return;
            }
        };
        match &command.command_type {
            CommandType::Configure if payload.action.as_deref() == Some("update_tool_status") => {
                self.update_tool_status(now, command.id, &payload, out);
            }
            CommandType::Configure => {
                self.begin(now, command.id, Awaits::Configuration);
                self.feed_configuration(now, configuration::Event::RefreshRequested, out);
            }
            CommandType::Restart | CommandType::Spawn => {
                let event =
                    instance::Event::RestartRequested(Restart::Commanded(command.id.clone()));
                let spawn = command.command_type == CommandType::Spawn;
                self.touch(now, command.id, &payload, out, |instance| {
                    (!spawn || instance.state().process().is_none()).then(|| event.clone())
                });
            }
            CommandType::Kill => {
                self.touch(now, command.id, &payload, out, |_| {
                    Some(instance::Event::KillRequested)
                });
            }
            CommandType::HealthCheck => self.health_check(now, command.id, &payload, out),
            CommandType::InvalidateUserTokenCache | CommandType::Unknown(_) => {
                let name = command.command_type.as_str();
                let error = format!("this satellite does not execute {name} commands");
                self.complete(now, command.id, Outcome::failed(now, error), out);
            }
        }
    }

    fn begin(&mut self, now: Timestamp, id: CommandId, awaits: Awaits) {
        let until = now.after(SETTLE_MS);
        self.executions.running.push(Execution { id, started_at: now, until, awaits });
    }

    fn complete(&mut self, now: Timestamp, id: CommandId, outcome: Outcome, out: &mut Vec<Effect>) {
        self.feed_commands(now, commands::Event::Completed { id, outcome }, out);
    }

    /// The instances a payload names: those of an installation, or of one user of it.
    fn named(&self, payload: &Payload) -> Result<Vec<InstanceKey>, String> {
        let Some(installation) = &payload.installation_id else {
            return Err(String::from("installation_id is missing"));
        };
        let keys: Vec<InstanceKey> = self
            .instances
            .keys()
            .filter(|key| key.installation == *installation)
            .filter(|key| payload.team_id.as_ref().is_none_or(|team| *team == key.team))
            .filter(|key| payload.user_id.as_ref().is_none_or(|user| *user == key.user))
            .cloned()
            .collect();
        if keys.is_empty() {
            return Err(format!(
                "no instance of installation {installation} with that team and user runs here"
            ));
        }
        Ok(keys)
    }

    /// Gives an event to each instance a payload names, then waits until they have settled.
    fn touch(
        &mut self,
        now: Timestamp,
        id: CommandId,
        payload: &Payload,
        out: &mut Vec<Effect>,
        event: impl Fn(&instance::Instance) -> Option<instance::Event>,
    ) {
        let keys = match self.named(payload) {
            Ok(keys) => keys,
            Err(error) => return self.complete(now, id, Outcome::failed(now, error), out),
        };
        let mut ends = false;
        for key in &keys {
            let Some(event) = self.instances.get(key).and_then(&event) else { continue };
            ends |= matches!(event, instance::Event::KillRequested);
            let verdict = self.feed(now, key, event, out);
            self.note(verdict, "command", out);
        }
        let keys = keys.into_iter().collect();
        self.begin(now, id, if ends { Awaits::Ended(keys) } else { Awaits::Started(keys) });
    }

    fn update_tool_status(
        &mut self,
        now: Timestamp,
        id: CommandId,
        payload: &Payload,
        out: &mut Vec<Effect>,
    ) {
        let (Some(tool), Some(disabled)) = (&payload.tool_name, payload.is_disabled) else {
            let error = String::from("tool_name and is_disabled are needed");
            return self.complete(now, id, Outcome::failed(now, error), out);
        };
        let keys = match self.named(payload) {
            Ok(keys) => keys,
            Err(error) => return self.complete(now, id, Outcome::failed(now, error), out),
        };
        if let Some(installation) = payload.installation_id.clone() {
            self.remember_switch(ToolSwitch {
                installation,
                team: payload.team_id.clone(),
                user: payload.user_id.clone(),
                tool: tool.clone(),
                disabled,
            });
        }
        for key in keys {
            let event = instance::Event::ToolSwitched { tool: tool.clone(), disabled };
            self.feed(now, &key, event, out);
        }
        let message = if disabled { "tool switched off" } else { "tool switched on" };
        let result = json!({"tool_name": tool, "is_disabled": disabled, "message": message});
        self.complete(now, id, Outcome::completed(now, now, result), out);
    }

    fn health_check(
        &mut self,
        now: Timestamp,
        id: CommandId,
        payload: &Payload,
        out: &mut Vec<Effect>,
    ) {
        let credentials = payload.check_type.as_deref() == Some("credential_validation");
        let installation = payload.installation_id.as_ref();
        let mut healthy = 0;
        let mut results = Vec::new();
        for (key, instance) in &self.instances {
            if installation.is_some_and(|installation| key.installation != *installation) {
                continue;
            }
            let life = instance.lifecycle();
            if credentials && life.spec.transport == Transport::Stdio {
                // A child process holds its credentials itself; there is nothing to ask.
                results.push(json!({
                    "installation_id": key.installation, "user_id": key.user,
                    "valid": true, "skipped": true, "reason": "stdio_transport",
                }));
                healthy += 1;
                continue;
            }
            let online = matches!(instance.state(), State::Online { .. } | State::Dormant { .. });
            healthy += u64::from(online);
            results.push(json!({
                "installation_id": key.installation, "user_id": key.user,
                "server_name": life.spec.names.server,
                "status": instance.status(), "health_status": life.health,
                "error": life.message,
            }));
        }
        let total = results.len();
        let name = if credentials { "credential_validation" } else { "health_check_results" };
        let result = json!({name: results, "total_servers": total, "healthy_servers": healthy});
        self.complete(now, id, Outcome::completed(now, now, result), out);
    }

    pub(super) fn apply(
        &mut self,
        now: Timestamp,
        applied: configuration::Applied,
        out: &mut Vec<Effect>,
    ) {
        let mut refused = Vec::new();
        let mut desired: Vec<Spec> = Vec::new();
        for rejected in &applied.rejected {
            refused.push((rejected.key.clone(), rejected.reason.clone()));
        }
        desired.extend(
            applied.servers.iter().filter_map(|s| Spec::from_configuration(s, &self.settings)),
        );
        for spec in &mut desired {
            self.switch_tools(spec);
        }
        if applied.fresh {
            self.configuration_fresh = true;
            self.emit(now, EventData::ConfigRefreshed(applied.in_brief()), out);
            out.push(Effect::Persist(super::Record::Configuration(applied.raw)));
        }
        refused.extend(self.reconcile(now, desired, out));
        for (entry, reason) in &refused {
            self.errors += 1;
            out.push(Effect::Log(
                LogLine::new(Level::Error, "configuration entry refused; the others apply")
                    .with("operation", "configure")
                    .with("entry", entry)
                    .with("error", reason),
            ));
        }
        if applied.fresh {
            let refused = refused.into_iter().map(|(entry, reason)| format!("{entry}: {reason}"));
            let refused: Vec<String> = refused.collect();
            self.configured(now, if refused.is_empty() { Ok(()) } else { Err(refused) }, out);
        }
    }

    /// Ends the commands that wait for a configuration.
    pub(super) fn configured(
        &mut self,
        now: Timestamp,
        applied: Result<(), Vec<String>>,
        out: &mut Vec<Effect>,
    ) {
        let result = json!({
            "configuration_applied": true,
            "total_servers": self.servers.len(),
            "enabled_servers": self.servers.len(),
            "total_instances": self.instances.len(),
            "refused": applied.err().unwrap_or_default(),
            "startup_time_ms": 0,
        });
        for (id, started_at) in self.take_waiting_for_configuration() {
            let outcome = Outcome::completed(started_at, now, result.clone());
            self.complete(now, id, outcome, out);
        }
    }

    pub(super) fn fetch_failed(
        &mut self,
        now: Timestamp,
        failure: configuration::FetchFailure,
        out: &mut Vec<Effect>,
    ) {
        let error = format!("the configuration could not be fetched: {}", failure.error_message);
        self.emit(now, failure.into_event(), out);
        for (id, started_at) in self.take_waiting_for_configuration() {
            self.complete(now, id, Outcome::failed(started_at, error.clone()), out);
        }
    }

    fn take_waiting_for_configuration(&mut self) -> Vec<(CommandId, Timestamp)> {
        let (waiting, others): (Vec<Execution>, Vec<Execution>) =
            core::mem::take(&mut self.executions.running)
                .into_iter()
                .partition(|execution| matches!(execution.awaits, Awaits::Configuration));
        self.executions.running = others;
        waiting.into_iter().map(|execution| (execution.id, execution.started_at)).collect()
    }

    /// Ends the commands whose instances have settled, or that have waited long enough.
    pub(super) fn settle_executions(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        let (ended, running): (Vec<Execution>, Vec<Execution>) =
            core::mem::take(&mut self.executions.running)
                .into_iter()
                .partition(|execution| execution.until <= now || self.settled(&execution.awaits));
        self.executions.running = running;
        for execution in ended {
            let outcome = self.settled_outcome(now, &execution);
            self.complete(now, execution.id, outcome, out);
        }
    }

    fn settled(&self, awaits: &Awaits) -> bool {
        let state = |key| self.instances.get(key).map(instance::Instance::state);
        match awaits {
            Awaits::Configuration => false,
            Awaits::Started(keys) => keys.iter().all(|key| {
                matches!(
                    state(key),
                    None | Some(
                        State::Online { .. }
                            | State::Failed { .. }
                            | State::PermanentlyFailed { .. }
                            | State::Restarting { .. }
                    )
                )
            }),
            Awaits::Ended(keys) => {
                keys.iter().all(|key| state(key).is_none_or(|state| state.process().is_none()))
            }
        }
    }

    fn settled_outcome(&self, now: Timestamp, execution: &Execution) -> Outcome {
        let (keys, starts) = match &execution.awaits {
            Awaits::Configuration => {
                let error = String::from("the Backend did not send a configuration in time");
                return Outcome::failed(execution.started_at, error);
            }
            Awaits::Started(keys) => (keys, true),
            Awaits::Ended(keys) => (keys, false),
        };
        let mut errors = Vec::new();
        let instances: Vec<Value> = keys
            .iter()
            .filter_map(|key| {
                let instance = self.instances.get(key)?;
                let life = instance.lifecycle();
                let state = instance.state();
                let process = state.process();
                let good =
                    if starts { matches!(state, State::Online { .. }) } else { process.is_none() };
                if !good {
                    let message = life.message.as_deref().unwrap_or("not settled in time");
                    errors.push(format!("{key}: {message}"));
                }
                Some(json!({
                    "installation_id": key.installation, "team_id": key.team, "user_id": key.user,
                    "process_id": life.spec.names.process, "server_name": life.spec.names.server,
                    "server_type": life.spec.transport, "status": instance.status(),
                    "pid": process.and_then(|process| process.pid),
                    "message": life.message,
                }))
            })
            .collect();
        let result = json!({"instances": instances});
        if errors.is_empty() {
            Outcome::completed(execution.started_at, now, result)
        } else {
            Outcome::failed(execution.started_at, errors.join("; ")).with_result(now, result)
        }
    }

    /// How many results and events are still to be delivered.
    pub(super) fn undelivered(&self) -> usize {
        self.executions.running.len() + self.outbox.view().waiting + self.commands.unconfirmed()
    }
}
