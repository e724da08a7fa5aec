//! `configure` in all its forms: fetching, single instances, tools, members, and the satellite's
//! own renewal.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::{Value, json};

use super::{Deed, Execution, lifecycle};
use crate::commands::{Outcome, Payload};
use crate::control::{Control, Effect};
use crate::exit::{Exit, RESTART_WANTED};
use crate::id::{CommandId, InstanceKey};
use crate::instance::Instance;
use crate::journal::ToolSwitch;
use crate::time::Timestamp;
use crate::view::{InstanceStatus, Transport};
use crate::{Refusal, configuration, instance};

impl Control {
    pub(super) fn configure(
        &mut self,
        now: Timestamp,
        id: CommandId,
        payload: Payload,
        out: &mut Vec<Effect>,
    ) {
        if payload.action.as_deref() == Some("update_tool_status") {
            return self.update_tool_status(now, id, &payload, out);
        }
        match payload.event.as_deref() {
            Some("mcp_recovery") => self.recovery(now, id, &payload, out),
            Some("mcp_redeploy") => {
                if payload.installation_id.is_none() {
                    let error = String::from("the payload names no installation to redeploy");
                    return self.refuse(now, id, Refusal::Unknown, error, out);
                }
                self.refresh(now, id, Deed::Redeploy, payload, out);
            }
            Some("team_member_removed") => self.remove_member(now, id, payload, out),
            Some("system_update") => self.system_update(now, id, out),
            _ => self.refresh(now, id, Deed::Refresh, payload, out),
        }
    }

    /// Fetches the configuration; what follows from it is done when it has come.
    fn refresh(
        &mut self,
        now: Timestamp,
        id: CommandId,
        deed: Deed,
        payload: Payload,
        out: &mut Vec<Effect>,
    ) {
        let mut execution = Execution::new(now, id, deed, payload);
        self.feed_configuration(now, configuration::Event::RefreshRequested, out);
        execution.awaits_configuration = Some(self.configuration.awaited());
        self.executions.running.push(execution);
    }

    /// A child process has no connection that could come back by itself: one that crashed is
    /// started again without being told. Servers that are reached over a network are asked anew.
    fn recovery(
        &mut self,
        now: Timestamp,
        id: CommandId,
        payload: &Payload,
        out: &mut Vec<Effect>,
    ) {
        let keys = match self.named(payload) {
            Ok(keys) => keys,
            // The Backend tells every satellite: that it concerns another is no failure.
            Err((Refusal::Unknown, error)) if payload.installation_id.is_some() => {
                let result = json!({
                    "installation_id": payload.installation_id, "skipped": true,
                    "reason": "not_configured", "message": error,
                });
                return self.complete(now, id, Outcome::completed(now, now, result), out);
            }
            Err((why, error)) => return self.refuse(now, id, why, error, out),
        };
        let is_remote = |key: &InstanceKey| {
            let instance = self.instances.get(key);
            instance.is_some_and(|it| it.lifecycle().spec.transport != Transport::Stdio)
        };
        if keys.iter().any(is_remote) {
            // Where one user is named, that user has connected, perhaps as somebody else.
            if payload.user_id.is_some() {
                out.extend(keys.iter().cloned().map(|key| Effect::ForgetTokens { key }));
            }
            return self.touch(now, id, Deed::Recover, payload.clone(), out);
        }
        let instances: Vec<&Instance> =
            keys.iter().filter_map(|key| self.instances.get(key)).collect();
        let shown: Vec<Value> =
            instances.iter().map(|it| Value::Object(lifecycle::shown(it))).collect();
        let server_name = instances.first().map(|it| it.lifecycle().spec.names.server.clone());
        let online = instances.iter().filter(|it| lifecycle::serves(it)).count();
        let message = format!(
            "nothing to reconnect: it runs as a child process, and {online} of {} instances \
             serve; send `restart` for the others",
            instances.len()
        );
        let result = json!({
            "installation_id": payload.installation_id, "server_name": server_name,
            "skipped": true, "reason": "stdio_transport", "message": message,
            "instances": shown,
        });
        self.complete(now, id, Outcome::completed(now, now, result), out);
    }

    /// A server elsewhere was asked anew, for each of its users.
    pub(super) fn recovered(&self, now: Timestamp, execution: &Execution) -> Outcome {
        let (mut result, errors) = self.report(execution);
        let instances = || execution.keys.iter().filter_map(|key| self.instances.get(key));
        let tools = instances().map(|it| it.lifecycle().inventory.tools.len()).max().unwrap_or(0);
        let worst = instances().map(Instance::status).find(|it| *it != InstanceStatus::Online);
        let mut about = json!({
            "installation_id": execution.payload.installation_id,
            "server_name": instances().next().map(|it| it.lifecycle().spec.names.server.clone()),
        });
        if let Some(status) = worst {
            about["resulting_status"] = json!(status);
        } else {
            about["tools_discovered"] = json!(tools);
            about["discovery_time_ms"] = json!(now.since(execution.started_at));
        }
        result.extend(about.as_object().cloned().unwrap_or_default());
        lifecycle::finish(now, execution, result, &errors)
    }

    /// Somebody has left a team: what runs for them there ends at once, whether or not the Backend
    /// can be asked for the configuration without them.
    fn remove_member(
        &mut self,
        now: Timestamp,
        id: CommandId,
        payload: Payload,
        out: &mut Vec<Effect>,
    ) {
        let (Some(team), Some(user)) = (payload.team_id.clone(), payload.user_id.clone()) else {
            let error = String::from("the payload must name `team_id` and `user_id`");
            return self.refuse(now, id, Refusal::Unknown, error, out);
        };
        let keys: Vec<InstanceKey> = self
            .instances
            .keys()
            .filter(|key| key.team == team && key.user == user)
            .cloned()
            .collect();
        let mut execution = Execution::new(now, id, Deed::RemoveMember, payload);
        execution.awaits_users = Some(self.ask_to_forget(user, Some(team), out));
        execution.keys = keys.iter().cloned().collect();
        self.do_to(now, &execution, &keys, out);
        self.feed_configuration(now, configuration::Event::RefreshRequested, out);
        execution.awaits_configuration = Some(self.configuration.awaited());
        self.executions.running.push(execution);
    }

    pub(super) fn member_removed(&self, now: Timestamp, execution: &Execution) -> Outcome {
        let left: Vec<InstanceKey> = execution
            .keys
            .iter()
            .filter(|key| self.instances.contains_key(*key))
            .cloned()
            .collect();
        let mut errors: Vec<String> = left
            .iter()
            .map(|key| format!("{key}: it is still configured, or has not ended in time"))
            .collect();
        if execution.awaits_users.is_some() {
            errors.push(String::from("the satellite's surface did not answer in time"));
        }
        let result = json!({
            "team_id": execution.payload.team_id, "user_id": execution.payload.user_id,
            "instances_ended": execution.keys.len() - left.len(),
            "instances": execution.keys.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "invalidated_count": execution.forgotten.identities,
            "sessions_ended": execution.forgotten.sessions,
            "configuration": execution.configured,
        });
        let result = result.as_object().cloned().unwrap_or_default();
        lifecycle::finish(now, execution, result, &errors)
    }

    /// The service manager starts the daemon again, perhaps another version of it. The result
    /// stands before the end begins: a command that is known to be done is not repeated by the
    /// next life, which would end it again.
    fn system_update(&mut self, now: Timestamp, id: CommandId, out: &mut Vec<Effect>) {
        let processes = self.instances.values().filter(|it| it.state().process().is_some()).count();
        let result = json!({
            "event": "system_update", "exit_code": RESTART_WANTED, "processes": processes,
            "message": "draining; the satellite ends and asks its service manager for a restart",
        });
        self.complete(now, id, Outcome::completed(now, now, result), out);
        let exit = Exit { code: RESTART_WANTED, error: String::new(), hint: String::new() };
        let verdict = self.begin_ending(now, exit, out);
        self.note(verdict, "system_update", out);
    }

    fn update_tool_status(
        &mut self,
        now: Timestamp,
        id: CommandId,
        payload: &Payload,
        out: &mut Vec<Effect>,
    ) {
        let (Some(tool), Some(disabled), Some(_)) =
            (&payload.tool_name, payload.is_disabled, &payload.installation_id)
        else {
            let error = "the payload must name `installation_id`, `tool_name` and `is_disabled`";
            return self.refuse(now, id, Refusal::Unknown, String::from(error), out);
        };
        let keys = match self.named(payload) {
            Ok(keys) => keys,
            Err((why, error)) => return self.refuse(now, id, why, error, out),
        };
        let in_force = self.configuration.version();
        if let Some((meant, version)) = payload.config_version.zip(in_force)
            && meant <= version
        {
            // It came late: the configuration in force was made after it, and perhaps after others.
            let message = format!(
                "nothing to do: the configuration in force, version {version}, was made after this"
            );
            let result = json!({
                "tool_name": tool, "is_disabled": disabled, "message": message,
                "installation_id": payload.installation_id, "superseded": true,
            });
            return self.complete(now, id, Outcome::completed(now, now, result), out);
        }
        if payload.config_version.is_some() {
            self.configuration.forget_tag();
        }
        if let Some(installation) = payload.installation_id.clone() {
            self.remember_switch(ToolSwitch {
                installation,
                team: payload.team_id.clone(),
                user: payload.user_id.clone(),
                tool: tool.clone(),
                disabled,
                config_version: payload.config_version,
                asked: self.configuration.requests(),
            });
        }
        let mut offered = false;
        for key in &keys {
            let tools = self.instances.get(key).map(|it| &it.lifecycle().inventory.tools);
            offered |= tools.is_some_and(|tools| tools.iter().any(|one| one.name == *tool));
            let event = instance::Event::ToolSwitched { tool: tool.clone(), disabled };
            self.feed(now, key, event, out);
        }
        let way = if disabled { "off" } else { "on" };
        let message = if offered {
            format!("tool switched {way} in {} instances", keys.len())
        } else {
            format!("tool switched {way}; no instance has offered a tool of this name so far")
        };
        let result = json!({
            "tool_name": tool, "is_disabled": disabled, "message": message,
            "installation_id": payload.installation_id, "instance_count": keys.len(),
        });
        self.complete(now, id, Outcome::completed(now, now, result), out);
    }

    pub(super) fn redeployed(&self, now: Timestamp, execution: &Execution) -> Outcome {
        let (mut result, errors) = self.report(execution);
        let names: Vec<&str> = execution
            .keys
            .iter()
            .filter_map(|key| self.instances.get(key))
            .map(|it| it.lifecycle().spec.names.process.as_str())
            .collect();
        let about = json!({
            "redeploy_triggered": true, "installation_id": execution.payload.installation_id,
            "instance_count": execution.keys.len(), "instance_names": names,
            "restart_time_ms": now.since(execution.started_at),
        });
        result.extend(about.as_object().cloned().unwrap_or_default());
        lifecycle::finish(now, execution, result, &errors)
    }

    /// Goes on with the commands that wait for a configuration. `refused` are entries of it that
    /// cannot be used.
    pub(in crate::control) fn configured(
        &mut self,
        now: Timestamp,
        refused: &[String],
        out: &mut Vec<Effect>,
    ) {
        let result = json!({
            "configuration_applied": true,
            "total_servers": self.servers.len(),
            "enabled_servers": self.servers.len(),
            "total_instances": self.instances.len(),
            "refused": refused,
            "startup_time_ms": 0,
        });
        for mut execution in self.take_waiting_for_configuration() {
            execution.awaits_configuration = None;
            execution.configured = Some(result.clone());
            if execution.deed == Deed::Redeploy {
                match self.named(&execution.payload) {
                    Ok(keys) => {
                        self.do_to(now, &execution, &keys, out);
                        execution.keys = keys.into_iter().collect::<BTreeSet<_>>();
                    }
                    Err((why, error)) => {
                        self.refuse(now, execution.id, why, error, out);
                        continue;
                    }
                }
            }
            self.executions.running.push(execution);
        }
    }

    pub(in crate::control) fn fetch_failed(
        &mut self,
        now: Timestamp,
        failure: configuration::FetchFailure,
        out: &mut Vec<Effect>,
    ) {
        let error = format!("the configuration could not be fetched: {}", failure.error_message);
        self.emit(now, failure.into_event(), out);
        for execution in self.take_waiting_for_configuration() {
            let outcome = Outcome::failed(execution.started_at, error.clone());
            let outcome = outcome.with_result(now, Value::Null);
            self.complete(now, execution.id, outcome, out);
        }
    }

    fn take_waiting_for_configuration(&mut self) -> Vec<Execution> {
        let answered = self.configuration.answered();
        let (waiting, others) =
            core::mem::take(&mut self.executions.running).into_iter().partition(|execution| {
                execution.awaits_configuration.is_some_and(|number| number <= answered)
            });
        self.executions.running = others;
        waiting
    }
}
