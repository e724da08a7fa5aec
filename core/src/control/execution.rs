//! Commands of the Backend and what they do. Each ends in one outcome.
//!
//! | file | which commands |
//! |---|---|
//! | `configure` | `configure`, whatever its event or action |
//! | `lifecycle` | `spawn`, `kill`, `restart` |
//! | `health` | `health_check` |
//! | `users` | `invalidate_user_token_cache` |
//! | `target` | which instances a payload names |

mod configure;
mod health;
mod lifecycle;
mod target;
mod users;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::Value;

use super::{Control, Effect};
use crate::commands::{self, Outcome, Payload};
use crate::id::{CommandId, InstanceKey};
use crate::instance::{self, State};
use crate::log::{Level, LogLine};
use crate::time::{MINUTE, Timestamp};
use crate::wire::command::{Command, CommandType};
use crate::{Deadline, Refusal};

use health::Probe;
use users::Forgotten;

/// How long a command waits for the instances it touched before it reports them as they are.
const SETTLE_MS: u64 = 2 * MINUTE;

/// Commands that have begun and not ended.
#[derive(Debug, Default)]
pub(super) struct Executions {
    running: Vec<Execution>,
    /// Questions to the surface so far.
    questions: u64,
}

/// A command under way, and what it waits for.
#[derive(Debug)]
struct Execution {
    id: CommandId,
    deed: Deed,
    payload: Payload,
    started_at: Timestamp,
    until: Timestamp,
    /// The instances it is about.
    keys: BTreeSet<InstanceKey>,
    /// The request for the configuration whose answer is awaited: an answer to an earlier one may
    /// be from before what the command is about.
    awaits_configuration: Option<u64>,
    /// What the configuration brought, for the result.
    configured: Option<Value>,
    /// The question about a user's sessions that is not answered yet.
    awaits_users: Option<u64>,
    forgotten: Forgotten,
    probes: BTreeMap<InstanceKey, Probe>,
}

/// What a command does, beyond what its payload says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Refresh,
    Redeploy,
    Recover,
    RemoveMember,
    Spawn,
    Kill,
    Restart,
    HealthCheck,
    ForgetUser,
}

/// When a command's instances have settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goal {
    /// Online, or failed.
    Started,
    /// Without a process.
    Ended,
    /// No longer here, or wanted again.
    Gone,
    /// Asked, and each has answered or ended.
    Probed,
    /// At once: it is not about instances.
    Nothing,
}

impl Deed {
    fn goal(self) -> Goal {
        match self {
            Deed::Spawn | Deed::Restart | Deed::Redeploy | Deed::Recover => Goal::Started,
            Deed::Kill => Goal::Ended,
            Deed::RemoveMember => Goal::Gone,
            Deed::HealthCheck => Goal::Probed,
            Deed::Refresh | Deed::ForgetUser => Goal::Nothing,
        }
    }
}

impl Execution {
    /// A command that begins; it ends when what it waits for has come, or in two minutes.
    fn new(now: Timestamp, id: CommandId, deed: Deed, payload: Payload) -> Self {
        Execution {
            id,
            deed,
            payload,
            started_at: now,
            until: now.after(SETTLE_MS),
            keys: BTreeSet::new(),
            awaits_configuration: None,
            configured: None,
            awaits_users: None,
            forgotten: Forgotten::default(),
            probes: BTreeMap::new(),
        }
    }
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
        let Command { id, command_type, payload, .. } = command;
        let payload = match Payload::read(&payload) {
            Ok(payload) => payload,
            Err(error) => {
                return self.complete(now, id, Outcome::failed(now, error), out);
            }
        };
        match &command_type {
            CommandType::Configure => self.configure(now, id, payload, out),
            CommandType::Spawn => self.touch(now, id, Deed::Spawn, payload, out),
            CommandType::Restart => self.touch(now, id, Deed::Restart, payload, out),
            CommandType::Kill => self.touch(now, id, Deed::Kill, payload, out),
            CommandType::HealthCheck => self.health_check(now, id, payload, out),
            CommandType::InvalidateUserTokenCache => self.forget_user(now, id, payload, out),
            CommandType::Unknown(name) => {
                let error = format!("this satellite does not execute {name} commands");
                self.refuse(now, id, Refusal::Unknown, error, out);
            }
        }
    }

    fn complete(&mut self, now: Timestamp, id: CommandId, outcome: Outcome, out: &mut Vec<Effect>) {
        self.feed_commands(now, commands::Event::Completed { id, outcome }, out);
    }

    /// Ends a command that may not be executed here, and counts it.
    fn refuse(
        &mut self,
        now: Timestamp,
        id: CommandId,
        why: Refusal,
        error: String,
        out: &mut Vec<Effect>,
    ) {
        self.count(why);
        self.complete(now, id, Outcome::failed(now, error), out);
    }

    /// Ends the commands for which everything they wait for has come, or that waited long enough.
    pub(super) fn settle_executions(&mut self, now: Timestamp, out: &mut Vec<Effect>) {
        let (ended, running): (Vec<Execution>, Vec<Execution>) =
            core::mem::take(&mut self.executions.running)
                .into_iter()
                .partition(|execution| execution.until <= now || self.settled(execution));
        self.executions.running = running;
        for execution in ended {
            let outcome = self.outcome(now, &execution);
            self.complete(now, execution.id, outcome, out);
        }
    }

    fn settled(&self, execution: &Execution) -> bool {
        if execution.awaits_configuration.is_some() || execution.awaits_users.is_some() {
            return false;
        }
        let state = |key| self.instances.get(key).map(instance::Instance::state);
        match execution.deed.goal() {
            Goal::Nothing => true,
            Goal::Started => execution.keys.iter().all(|key| match state(key) {
                None => true,
                Some(State::Remote(remote)) => !remote.is_busy(),
                Some(
                    State::Failed { .. }
                    | State::PermanentlyFailed { .. }
                    | State::Restarting { .. }
                    | State::Stopped { .. },
                ) => true,
                Some(state) => state.is_online(),
            }),
            Goal::Ended => {
                let mut keys = execution.keys.iter();
                keys.all(|key| state(key).is_none_or(|state| state.incarnation().is_none()))
            }
            Goal::Gone => {
                let mut left = execution.keys.iter().filter_map(|key| self.instances.get(key));
                !left.any(instance::Instance::is_leaving)
            }
            Goal::Probed => execution.probes.iter().all(|(key, probe)| !probe.is_open(state(key))),
        }
    }

    fn outcome(&self, now: Timestamp, execution: &Execution) -> Outcome {
        if execution.awaits_configuration.is_some() {
            let error = "the Backend did not send a configuration in time; it is asked again";
            return Outcome::failed(execution.started_at, error);
        }
        match execution.deed {
            Deed::Refresh => {
                let result = execution.configured.clone().unwrap_or_default();
                Outcome::completed(execution.started_at, now, result)
            }
            Deed::Redeploy => self.redeployed(now, execution),
            Deed::Recover => self.recovered(now, execution),
            Deed::RemoveMember => self.member_removed(now, execution),
            Deed::Spawn | Deed::Kill | Deed::Restart => self.touched(now, execution),
            Deed::HealthCheck => self.checked(now, execution),
            Deed::ForgetUser => users::forgotten(now, execution),
        }
    }

    /// How many results and events are still to be delivered.
    pub(super) fn undelivered(&self) -> usize {
        self.executions.running.len() + self.outbox.view().waiting + self.commands.unconfirmed()
    }
}
