//! `health_check`: each instance is asked, in a round trip of its own, and reported as it answers.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::{Map, Value, json};

use super::{Deed, Execution, lifecycle};
use crate::commands::{Outcome, Payload};
use crate::control::{Control, Effect};
use crate::id::{CommandId, Incarnation, InstanceKey};
use crate::instance::remote::Remote;
use crate::instance::{self, Instance, State};
use crate::limits::{DISCOVERY_TIMEOUT_MS, HANDSHAKE_TIMEOUT_MS, PROBE_TIMEOUT_MS};
use crate::time::{SECOND, Timestamp};
use crate::view::{HealthStatus, InstanceStatus, Transport};

/// The relay gives a probe up by itself; after this it is not believed.
const MARGIN_MS: u64 = SECOND;
/// How long lists may take, and how long a server that is down may take to be discovered anew.
const LISTS_MS: u64 = DISCOVERY_TIMEOUT_MS + MARGIN_MS;
const DISCOVERY_MS: u64 = HANDSHAKE_TIMEOUT_MS + LISTS_MS;
/// The `check_type` that asks whether credentials are good.
const CREDENTIALS: &str = "credential_validation";

/// A question to an instance's process, or to its server elsewhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe {
    incarnation: Incarnation,
    /// What is asked.
    question: Question,
    asked: Timestamp,
    /// Whether it was answered, and after how many milliseconds that was known.
    answer: Option<(bool, u64)>,
}

impl Probe {
    /// Whether an answer may still come from the instance, given its state.
    pub(super) fn is_open(&self, state: Option<&State>) -> bool {
        self.answer.is_none() && state.and_then(State::incarnation) == Some(self.incarnation)
    }
}

/// What an instance is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    /// For a sign of life.
    Ping,
    /// For its lists: servers that let anybody ping may let few see what they offer.
    Lists,
    /// For everything: it is down.
    Discovery,
}

impl Control {
    pub(super) fn health_check(
        &mut self,
        now: Timestamp,
        id: CommandId,
        payload: Payload,
        out: &mut Vec<Effect>,
    ) {
        let keys: Vec<InstanceKey> = if payload.installation_id.is_some() {
            match self.named(&payload) {
                Ok(keys) => keys,
                Err((why, error)) => return self.refuse(now, id, why, error, out),
            }
        } else {
            let team = payload.team_id.as_ref();
            let keys = self.instances.keys();
            keys.filter(|key| team.is_none_or(|team| *team == key.team)).cloned().collect()
        };
        let mut execution = Execution::new(now, id, Deed::HealthCheck, payload);
        execution.until = now.after(PROBE_TIMEOUT_MS + MARGIN_MS);
        let is_about_credentials = execution.payload.check_type.as_deref() == Some(CREDENTIALS);
        for key in &keys {
            let state = self.instances.get(key).map(Instance::state);
            let question = match state {
                Some(State::Online { .. }) => Question::Ping,
                Some(State::Remote(Remote::Online { .. })) if is_about_credentials => {
                    Question::Lists
                }
                Some(State::Remote(Remote::Online { .. })) => Question::Ping,
                Some(State::Remote(Remote::Disconnecting { .. })) => continue,
                Some(State::Remote(_)) => Question::Discovery,
                _ => continue,
            };
            let Some(incarnation) = state.and_then(State::incarnation) else { continue };
            let probe = Probe { incarnation, question, asked: now, answer: None };
            execution.probes.insert(key.clone(), probe);
            match question {
                Question::Ping => out.push(Effect::Probe { key: key.clone(), incarnation }),
                Question::Lists => out.push(Effect::Relist { key: key.clone(), incarnation }),
                Question::Discovery => {
                    execution.until = now.after(DISCOVERY_MS);
                    let verdict = self.feed(now, key, instance::Event::CheckRequested, out);
                    self.note(verdict, "health_check", out);
                }
            }
            if question == Question::Lists {
                execution.until = execution.until.max(now.after(LISTS_MS));
            }
        }
        execution.keys = keys.into_iter().collect();
        self.executions.running.push(execution);
    }

    /// An instance answered a probe, or did not in time.
    pub(in crate::control) fn probe_ended(
        &mut self,
        now: Timestamp,
        key: &InstanceKey,
        incarnation: Incarnation,
        answered: bool,
    ) {
        let is_ping = |question| question == Question::Ping;
        self.answer(now, key, incarnation, answered, is_ping);
    }

    /// A server elsewhere listed what it offers.
    pub(in crate::control) fn lists_checked(
        &mut self,
        now: Timestamp,
        key: &InstanceKey,
        incarnation: Incarnation,
    ) {
        let is_listed = |question| question != Question::Ping;
        self.answer(now, key, incarnation, true, is_listed);
    }

    /// A server elsewhere could not be reached, or refused to serve.
    pub(in crate::control) fn check_failed(
        &mut self,
        now: Timestamp,
        key: &InstanceKey,
        incarnation: Incarnation,
    ) {
        self.answer(now, key, incarnation, false, |_| true);
    }

    fn answer(
        &mut self,
        now: Timestamp,
        key: &InstanceKey,
        incarnation: Incarnation,
        is_good: bool,
        answers: impl Fn(Question) -> bool,
    ) {
        for execution in &mut self.executions.running {
            if let Some(probe) = execution.probes.get_mut(key)
                && probe.incarnation == incarnation
                && probe.answer.is_none()
                && answers(probe.question)
            {
                probe.answer = Some((is_good, now.since(probe.asked)));
            }
        }
    }

    pub(super) fn checked(&self, now: Timestamp, execution: &Execution) -> Outcome {
        let mut healthy = 0;
        let mut results = Vec::new();
        for key in &execution.keys {
            let Some(instance) = self.instances.get(key) else { continue };
            let (shown, is_healthy) = result(now, instance, execution.probes.get(key));
            healthy += u64::from(is_healthy);
            results.push(Value::Object(shown));
        }
        let mut all = Map::new();
        if let Some(installation) = &execution.payload.installation_id
            && execution.payload.check_type.as_deref() == Some(CREDENTIALS)
        {
            let validations: Vec<Value> = execution
                .keys
                .iter()
                .filter_map(|key| self.instances.get(key))
                .map(|instance| {
                    let probe = execution.probes.get(&instance.lifecycle().spec.key);
                    Value::Object(validation(instance, probe))
                })
                .collect();
            let invalid = validations.iter().find(|one| one["valid"] == false);
            let mut overall = invalid
                .or(validations.first())
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default();
            overall.insert(String::from("installation_id"), json!(installation));
            overall.insert(String::from("instances"), Value::Array(validations));
            all.insert(String::from("credential_validation"), Value::Object(overall));
        }
        let total = results.len();
        all.insert(String::from("health_check_results"), Value::Array(results));
        all.insert(String::from("total_servers"), Value::from(total));
        all.insert(String::from("healthy_servers"), Value::from(healthy));
        Outcome::completed(execution.started_at, now, Value::Object(all))
    }
}

/// An instance's part of the result, and whether it is healthy.
fn result(
    now: Timestamp,
    instance: &Instance,
    probe: Option<&Probe>,
) -> (Map<String, Value>, bool) {
    let life = instance.lifecycle();
    let mut shown = lifecycle::shown(instance);
    let mut health = life.health;
    let state = instance.state();
    let is_remote = matches!(state, State::Remote(_));
    // They are well, as far as is known; a check is no reason to wake them, and one that was under
    // way as they fell asleep cannot be answered.
    let is_asleep = state.is_asleep();
    let answer = probe.map(|probe| (probe.answer, probe.is_open(Some(state))));
    let error = match answer {
        None | Some((Some((false, _)) | None, _)) if is_asleep => None,
        Some((Some((true, response_time_ms)), _)) => {
            shown.insert(String::from("response_time_ms"), Value::from(response_time_ms));
            None
        }
        Some((Some((false, _)), _)) if is_remote => life.message.clone(),
        Some((None, true)) if is_remote => Some(String::from("no answer in time")),
        Some((Some((false, waited_ms)), _)) => {
            Some(format!("no answer to ping after {waited_ms} ms; restart it if it stays so"))
        }
        Some((None, false)) => Some(String::from("its process ended while it was asked")),
        Some((None, true)) => Some(format!("no answer to ping within {PROBE_TIMEOUT_MS} ms")),
        None => life
            .message
            .clone()
            .or_else(|| Some(format!("it is {}, so it was not asked", state.name()))),
    };
    if probe.is_some() && error.is_some() {
        health = HealthStatus::Unhealthy;
    }
    shown.insert(String::from("health_status"), json!(health));
    shown.insert(String::from("checked"), Value::from(probe.is_some()));
    let age = life.health_at.map(|at| now.since(at));
    shown.insert(String::from("health_age_ms"), json!(age));
    if let Some(error) = error {
        shown.insert(String::from("error"), Value::from(error));
    }
    (shown, health == HealthStatus::Healthy)
}

/// What can be said of an instance's credentials.
fn validation(instance: &Instance, probe: Option<&Probe>) -> Map<String, Value> {
    let spec = &instance.lifecycle().spec;
    let is_shut = instance.status() == InstanceStatus::RequiresReauth;
    let mut shown = Map::new();
    shown.insert(String::from("team_id"), json!(spec.key.team));
    shown.insert(String::from("user_id"), json!(spec.key.user));
    shown.insert(String::from("needs_reauth"), Value::from(is_shut));
    if spec.transport == Transport::Stdio {
        // A child process holds its credentials itself; there is nobody to ask about them.
        shown.insert(String::from("valid"), Value::from(true));
        shown.insert(String::from("skipped"), Value::from(true));
        shown.insert(String::from("reason"), Value::from("stdio_transport"));
    } else {
        let answered = probe.is_some_and(|probe| probe.answer.is_some_and(|(is_good, _)| is_good));
        shown.insert(String::from("valid"), Value::from(answered && !is_shut));
        if !answered || is_shut {
            let error = instance.lifecycle().message.as_deref();
            let error = error.unwrap_or("the server could not be asked in time");
            shown.insert(String::from("error"), json!(error));
        }
    }
    shown
}
