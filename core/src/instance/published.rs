//! What an instance shows and tells: its published view, and its events for the Backend.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::Deserialize;
use serde_json::Value;

use super::lifecycle::{Context, Lifecycle};
use super::spec::Launch;
use super::state::{Process, Purpose, State};
use super::{Effect, Instance};
use crate::limits::CALL_TIMEOUT_MS;
use crate::process::{Ended, StderrLine};
use crate::time::{IsoTime, SECOND, Timestamp};
use crate::view::{InstanceStatus, InstanceView, Inventory, ProcessStatus, ProcessView, Tool};
use crate::wire::event::{self, EventData};

impl Instance {
    /// The instance as the outside sees it.
    pub fn view(&self) -> InstanceView {
        let life = self.lifecycle();
        let spec = &life.spec;
        let process = self.state().process().map(|process| ProcessView {
            incarnation: process.incarnation,
            pid: process.pid,
            status: match self.state() {
                state if state.online_since().is_some() => ProcessStatus::Running,
                State::Stopping { .. } => ProcessStatus::Terminating,
                _ => ProcessStatus::Starting,
            },
            since: process.since,
        });
        let totals = life.totals();
        InstanceView {
            key: spec.key.clone(),
            instance_id: spec.instance_id.clone(),
            names: Arc::clone(&spec.names),
            transport: spec.transport,
            call_timeout_ms: match &spec.launch {
                Ok(Launch::Remote(remote)) => remote.call_timeout_ms,
                Ok(Launch::Process(_)) | Err(_) => CALL_TIMEOUT_MS,
            },
            status: self.status(),
            status_message: life.message.clone(),
            process,
            dormant_since: match self.state() {
                State::Dormant { since } => Some(*since),
                _ => None,
            },
            frozen_since: self.frozen_at(),
            waits_since: match self.state() {
                State::Waiting { since, .. } => Some(*since),
                _ => None,
            },
            ready: match self.state() {
                State::Online { process, .. } if process.lost_until.is_none() => {
                    Some(process.incarnation)
                }
                State::Remote(remote) if remote.takes_calls() => Some(remote.link().incarnation),
                _ => None,
            },
            inventory: Arc::clone(&life.inventory),
            disabled_tools: Arc::clone(&spec.disabled_tools),
            address: spec.address.clone(),
            request_logging: spec.request_logging,
            redaction: Arc::clone(&spec.redaction),
            message_count: totals.messages,
            error_count: totals.errors,
            last_activity: life.last_activity,
            health: life.health,
            health_at: life.health_at,
            restarts: life.restarts,
        }
    }

    /// The event that tells its present status.
    pub fn status_changed(&self, now: Timestamp) -> EventData {
        let life = self.lifecycle();
        let key = &life.spec.key;
        let status = self.status();
        // Who is on the way up has not failed: the last failure is told already.
        let is_rising =
            matches!(status, InstanceStatus::Connecting | InstanceStatus::DiscoveringTools);
        EventData::StatusChanged(event::StatusChanged {
            installation_id: key.installation.clone(),
            team_id: key.team.clone(),
            user_id: key.user.clone(),
            status,
            status_message: life.message.clone().filter(|_| !is_rising),
            timestamp: IsoTime(now),
        })
    }

    /// What a line of its standard error is in a log.
    pub fn log_entry(&self, now: Timestamp, line: &StderrLine) -> event::LogEntry {
        event::LogEntry {
            level: level_of(&line.text),
            message: if line.truncated {
                line.text.clone() + " [truncated]"
            } else {
                line.text.clone()
            },
            metadata: None,
            timestamp: IsoTime(now),
        }
    }

    /// The event that tells that it wrote more than it may: `dropped` lines too many within the
    /// last `over_ms` milliseconds.
    pub fn rate_limit_exceeded(&self, dropped: u64, over_ms: u64) -> EventData {
        let life = self.lifecycle();
        EventData::LogRateLimitExceeded(event::LogRateLimitExceeded {
            installation_id: life.spec.key.installation.clone(),
            dropped_count: dropped,
            time_window_seconds: over_ms.div_ceil(SECOND).max(1),
            rate_limit: u64::from(life.timing.stderr_lines_per_second),
        })
    }
}

/// A line's level, guessed from its words, as servers write free text.
fn level_of(text: &str) -> event::LogLevel {
    let lower = text.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if has(&["error", "fatal", "exception", "failed"]) {
        event::LogLevel::Error
    } else if has(&["warn"]) {
        event::LogLevel::Warn
    } else if has(&["debug", "trace"]) {
        event::LogLevel::Debug
    } else {
        event::LogLevel::Info
    }
}

impl Lifecycle {
    /// Takes over what it offers, and tells the Backend if that is different from before.
    pub(super) fn discovered(&mut self, inventory: &Arc<Inventory>, cx: &mut Context<'_>) {
        let same = self.inventory.discovered_at != Timestamp::default()
            && self.inventory.tools.len() == inventory.tools.len()
            && self
                .inventory
                .tools
                .iter()
                .zip(&inventory.tools)
                .all(|(old, new)| old.raw.get() == new.raw.get());
        let before = core::mem::replace(&mut self.inventory, Arc::clone(inventory));
        if same {
            return;
        }
        if before.discovered_at != Timestamp::default() {
            cx.out.extend(self.tools_updated(&before).map(Effect::Emit));
        }
        let key = &self.spec.key;
        let tools: Vec<event::DiscoveredTool> = inventory
            .tools
            .iter()
            .map(|tool| event::DiscoveredTool {
                tool_name: tool.name.clone(),
                description: tool.description.clone(),
                input_schema: input_schema(tool),
                token_count: tokens(tool.raw.get()),
            })
            .collect();
        cx.out.push(Effect::Emit(EventData::ToolsDiscovered(event::ToolsDiscovered {
            installation_id: key.installation.clone(),
            installation_name: self.spec.names.process.clone(),
            team_id: key.team.clone(),
            user_id: Some(key.user.clone()),
            server_slug: self.spec.names.slug.clone(),
            tool_count: tools.len() as u64,
            total_tokens: tools.iter().map(|tool| tool.token_count).sum(),
            tools,
            discovered_at: IsoTime(cx.now),
        })));
    }

    /// The event that tells which names came and went since `before`, if any did.
    fn tools_updated(&self, before: &Inventory) -> Option<EventData> {
        let names = |inventory: &Inventory| -> BTreeSet<String> {
            inventory.tools.iter().map(|tool| tool.name.clone()).collect()
        };
        let (old, new) = (names(before), names(&self.inventory));
        if old == new {
            return None;
        }
        let key = &self.spec.key;
        Some(EventData::ToolsUpdated(event::ToolsUpdated {
            server_id: key.installation.clone(),
            server_slug: self.spec.names.process.clone(),
            team_id: key.team.clone(),
            added_tools: new.difference(&old).cloned().collect(),
            removed_tools: old.difference(&new).cloned().collect(),
            total_tools: new.len() as u64,
        }))
    }

    /// Tells the Backend that it serves, in the words that fit what the start was for.
    pub(super) fn started(&mut self, process: &Process, purpose: Purpose, cx: &mut Context<'_>) {
        let key = &self.spec.key;
        let pid = u64::from(process.pid.unwrap_or_default());
        let server_id = key.installation.clone();
        let server_slug = self.spec.names.process.clone();
        let team_id = key.team.clone();
        let user_id = Some(key.user.clone());
        let data = match purpose {
            // What never ran cannot have been restarted.
            Purpose::First
            | Purpose::Commanded
            | Purpose::Revival
            | Purpose::Recovery { old_pid: None, .. } => {
                EventData::ServerStarted(event::ServerStarted {
                    server_id,
                    server_slug,
                    team_id,
                    user_id,
                    process_id: pid,
                    transport: self.spec.transport,
                    tool_count: self.inventory.tools.len() as u64,
                    spawn_duration_ms: cx.now.since(process.since),
                })
            }
            Purpose::Recovery { attempt, old_pid: Some(old_pid), reason } => {
                EventData::ServerRestarted(event::ServerRestarted {
                    server_id,
                    server_slug,
                    team_id,
                    user_id,
                    old_process_id: old_pid.into(),
                    new_process_id: pid,
                    restart_reason: reason,
                    attempt_number: attempt.into(),
                })
            }
            Purpose::Wake { asleep_since, wanted_at } => {
                EventData::ServerRespawned(event::ServerRespawned {
                    server_id,
                    server_slug,
                    team_id,
                    user_id,
                    process_id: pid,
                    dormant_duration_seconds: wanted_at.since(asleep_since) / SECOND,
                    respawn_duration_ms: cx.now.since(wanted_at),
                })
            }
        };
        cx.out.push(Effect::Emit(data));
    }

    pub(super) fn crash_event(
        &self,
        process: &Process,
        ended: &Ended,
        uptime_ms: u64,
        will_restart: bool,
    ) -> EventData {
        let key = &self.spec.key;
        EventData::ServerCrashed(event::ServerCrashed {
            server_id: key.installation.clone(),
            server_slug: self.spec.names.process.clone(),
            team_id: key.team.clone(),
            user_id: Some(key.user.clone()),
            process_id: process.pid.unwrap_or_default().into(),
            exit_code: ended.code.unwrap_or(-1),
            signal: ended.signal.clone().unwrap_or_else(|| "none".to_owned()),
            uptime_seconds: uptime_ms / SECOND,
            crash_count: self.crashes.in_window(),
            will_restart,
        })
    }

    pub(super) fn permanently_failed_event(&self, now: Timestamp) -> EventData {
        let key = &self.spec.key;
        EventData::ServerPermanentlyFailed(event::ServerPermanentlyFailed {
            server_id: key.installation.clone(),
            server_slug: self.spec.names.process.clone(),
            team_id: key.team.clone(),
            user_id: Some(key.user.clone()),
            total_crashes: self.crashes.total(),
            last_error: self.message.clone().unwrap_or_default(),
            failed_at: IsoTime(now),
        })
    }

    pub(super) fn dormant_event(&self, process: &Process, now: Timestamp) -> EventData {
        let key = &self.spec.key;
        EventData::ServerDormant(event::ServerDormant {
            server_id: key.installation.clone(),
            server_slug: self.spec.names.process.clone(),
            team_id: key.team.clone(),
            user_id: Some(key.user.clone()),
            process_id: process.pid.unwrap_or_default().into(),
            idle_duration_seconds: now.since(self.last_activity) / SECOND,
            last_activity_at: IsoTime(self.last_activity),
        })
    }

    pub(super) fn stopped_event(&self, process: &Process, reason: &str) -> EventData {
        let key = &self.spec.key;
        EventData::ServerStopped(event::ServerStopped {
            server_id: key.installation.clone(),
            server_name: self.spec.names.process.clone(),
            team_id: key.team.clone(),
            user_id: Some(key.user.clone()),
            process_id: process.pid.map(u64::from),
            reason: reason.to_string(),
        })
    }
}

/// The input schema of a definition; `null` if it states none.
fn input_schema(tool: &Tool) -> Value {
    #[derive(Deserialize)]
    struct Definition {
        #[serde(rename = "inputSchema", default)]
        input_schema: Value,
    }
    let definition: Result<Definition, _> = serde_json::from_str(tool.raw.get());
    definition.map(|definition| definition.input_schema).unwrap_or_default()
}

/// A rough count of what a definition costs a model: four bytes to a token.
fn tokens(text: &str) -> u64 {
    (text.len() as u64).div_ceil(4)
}
