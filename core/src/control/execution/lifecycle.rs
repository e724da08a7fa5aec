//! `spawn`, `kill` and `restart`, and how instances are reported in results.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::{Map, Value, json};

use super::{Deed, Execution};
use crate::commands::{Outcome, Payload};
use crate::control::{Control, Effect};
use crate::id::{CommandId, InstanceKey};
use crate::instance::remote::Remote;
use crate::instance::state::Then;
use crate::instance::{self, Failure, Instance, Restart, State};
use crate::time::Timestamp;
use crate::view::Transport;

/// Last words of an instance that are part of a result, unless it is the first that failed.
const WORDS_OF_OTHERS: usize = 3;

impl Control {
    /// Gives each instance a payload names what the command means for it, then waits until they
    /// have settled.
    pub(super) fn touch(
        &mut self,
        now: Timestamp,
        id: CommandId,
        deed: Deed,
        payload: Payload,
        out: &mut Vec<Effect>,
    ) {
        let keys = match self.named(&payload) {
            Ok(keys) => keys,
            Err((why, error)) => return self.refuse(now, id, why, error, out),
        };
        let mut execution = Execution::new(now, id, deed, payload);
        self.do_to(now, &execution, &keys, out);
        execution.keys = keys.into_iter().collect();
        self.executions.running.push(execution);
    }

    pub(super) fn do_to(
        &mut self,
        now: Timestamp,
        execution: &Execution,
        keys: &[InstanceKey],
        out: &mut Vec<Effect>,
    ) {
        for key in keys {
            let Some(instance) = self.instances.get(key) else { continue };
            let event = match execution.deed {
                Deed::Kill => instance::Event::KillRequested,
                Deed::RemoveMember => instance::Event::RemoveRequested,
                Deed::Spawn if is_starting(instance.state()) => continue,
                Deed::Recover if instance.lifecycle().spec.transport == Transport::Stdio => {
                    continue;
                }
                Deed::Recover => instance::Event::RestartRequested(Restart::Recovered),
                _ => instance::Event::RestartRequested(Restart::Commanded(execution.id.clone())),
            };
            let verdict = self.feed(now, key, event, out);
            self.note(verdict, "command", out);
        }
    }

    pub(super) fn touched(&self, now: Timestamp, execution: &Execution) -> Outcome {
        let took = now.since(execution.started_at);
        let (mut result, errors) = self.report(execution);
        let time = match execution.deed {
            Deed::Spawn => "startup_time_ms",
            Deed::Kill => "shutdown_time_ms",
            _ => "restart_time_ms",
        };
        result.entry(String::from(time)).or_insert_with(|| Value::from(took));
        finish(now, execution, result, &errors)
    }

    /// The instances of a command, the first one's fields once more by themselves, and the errors.
    pub(super) fn report(&self, execution: &Execution) -> (Map<String, Value>, Vec<String>) {
        let starts = execution.deed.goal() == super::Goal::Started;
        let (mut result, mut errors) = (Map::new(), Vec::new());
        let mut instances = Vec::new();
        for key in &execution.keys {
            let Some(instance) = self.instances.get(key) else {
                if starts {
                    errors.push(format!("{key}: it is no longer configured"));
                }
                continue;
            };
            let state = instance.state();
            let good = if starts { state.is_online() } else { state.incarnation().is_none() };
            let mut shown = shown(instance);
            if !good {
                let words = if errors.is_empty() { usize::MAX } else { WORDS_OF_OTHERS };
                let (failure, error) = failure(instance, words);
                if errors.is_empty() {
                    result.extend(failure.clone());
                }
                shown.extend(failure);
                errors.push(format!("{key}: {error}"));
            }
            if instances.is_empty() {
                for name in ["process_id", "server_type", "server_name", "pid", "startup_time_ms"] {
                    if let Some(value) = shown.get(name).filter(|value| !value.is_null()) {
                        result.insert(String::from(name), value.clone());
                    }
                }
            }
            instances.push(Value::Object(shown));
        }
        result.insert(String::from("instances"), Value::Array(instances));
        (result, errors)
    }
}

/// The outcome with these errors, if there are any.
pub(super) fn finish(
    now: Timestamp,
    execution: &Execution,
    result: Map<String, Value>,
    errors: &[String],
) -> Outcome {
    let result = Value::Object(result);
    if errors.is_empty() {
        Outcome::completed(execution.started_at, now, result)
    } else {
        Outcome::failed(execution.started_at, errors.join("; ")).with_result(now, result)
    }
}

/// Whether a process runs or is on its way, so that a start would be one too many.
fn is_starting(state: &State) -> bool {
    let is_on_its_way = matches!(
        state,
        State::Waiting { .. }
            | State::Stopping { then: Then::Restart { .. }, .. }
            | State::Remote(
                Remote::Connecting { .. }
                    | Remote::Discovering { .. }
                    | Remote::Disconnecting { then: Then::Restart { .. }, .. },
            )
    );
    is_on_its_way || state.is_starting() || state.is_online()
}

/// Whether calls reach it, waking it if need be.
pub(super) fn serves(instance: &Instance) -> bool {
    instance.state().is_online() || matches!(instance.state(), State::Dormant { .. })
}

/// An instance as results show it.
pub(super) fn shown(instance: &Instance) -> Map<String, Value> {
    let life = instance.lifecycle();
    let (spec, state) = (&life.spec, instance.state());
    let process = state.process();
    let startup = match state {
        State::Remote(Remote::Online { link, since, .. }) => Some(since.since(link.since)),
        _ => state.online_since().zip(process).map(|(since, process)| since.since(process.since)),
    };
    let shown = json!({
        "installation_id": spec.key.installation, "team_id": spec.key.team,
        "user_id": spec.key.user, "instance_id": spec.instance_id,
        "process_id": spec.names.process, "server_name": spec.names.server,
        "server_type": spec.transport, "status": instance.status(),
        "pid": process.and_then(|process| process.pid),
        "generation": spec.generation,
        "spawn_outcome": state.name(), "spawn_duration_ms": life.spawn_ms,
        "startup_time_ms": startup, "message": life.message,
    });
    match shown {
        Value::Object(shown) => shown,
        _ => Map::new(),
    }
}

/// What is known of why an instance is not as it was meant to be, and that in one sentence.
fn failure(instance: &Instance, words: usize) -> (Map<String, Value>, String) {
    let (life, state) = (instance.lifecycle(), instance.state().name());
    let unsettled = Failure {
        step: life.step.to_string(),
        error: format!("not settled in time; it is {state}"),
        last_stderr: Vec::new(),
    };
    let known = life.failure.as_ref().filter(|_| !matches!(state, "stopping"));
    let Failure { step, error, last_stderr } = known.unwrap_or(&unsettled);
    let from = last_stderr.len().saturating_sub(words);
    let shown = json!({
        "step": step, "error": error, "last_stderr": last_stderr.get(from..),
        "spawn_outcome": state, "spawn_duration_ms": life.spawn_ms,
    });
    let shown = match shown {
        Value::Object(shown) => shown,
        _ => Map::new(),
    };
    (shown, format!("{step}: {error}"))
}
