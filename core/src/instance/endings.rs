//! How a process's life ends, and what follows: another start, sleep, or the end of trying.

use alloc::format;
use alloc::string::String;

use super::Effect;
use super::crashes::Answer;
use super::lifecycle::{Context, Lifecycle};
use super::spec::Launch;
use super::state::{Process, Purpose, State, Then};
use crate::process::{Ended, SpawnFailure};
use crate::view::HealthStatus;
use crate::wire::event::RestartReason;

impl Lifecycle {
    /// The process is of no use: it is ended, and that counts as a crash.
    pub(super) fn recover(&mut self, process: &Process, step: &str, message: String) -> State {
        self.failed(step, message.clone(), &[]);
        self.message = Some(message.clone());
        State::Stopping { process: *process, then: Then::Recover { message } }
    }

    pub(super) fn spawn_failed(&mut self, failure: &SpawnFailure, cx: &mut Context<'_>) -> State {
        let message = format!("{}: {}", failure.step, failure.error);
        self.failed(&failure.step, failure.error.clone(), &[]);
        if failure.retryable {
            self.failed_start(message, 0, None, cx)
        } else {
            self.message = Some(message);
            State::Failed { since: cx.now }
        }
    }

    pub(super) fn crashed(
        &mut self,
        process: &Process,
        ended: &Ended,
        cx: &mut Context<'_>,
    ) -> State {
        let uptime_ms = cx.now.since(process.since);
        let what = match &ended.limit {
            Some(limit) => limit.explain(&self.spec.names.slug),
            None => format!("{ended}"),
        };
        let message = match ended.last_stderr.last() {
            Some(line) if ended.limit.is_none() => format!("{what}: {line}"),
            _ => what.clone(),
        };
        self.set_health(HealthStatus::Unknown, None);
        self.failed(self.step, what, &ended.last_stderr);
        let answer = self.crashes.record(cx.now, uptime_ms, &mut self.random);
        let will_restart = matches!(answer, Answer::Restart { .. });
        cx.out.push(Effect::Emit(self.crash_event(process, ended, uptime_ms, will_restart)));
        self.after(answer, message, process.pid, RestartReason::Crash, cx)
    }

    /// What follows a start that failed without anything to report as crashed.
    fn failed_start(
        &mut self,
        message: String,
        uptime_ms: u64,
        old_pid: Option<u32>,
        cx: &mut Context<'_>,
    ) -> State {
        let answer = self.crashes.record(cx.now, uptime_ms, &mut self.random);
        self.after(answer, message, old_pid, RestartReason::HealthCheckFailed, cx)
    }

    fn after(
        &mut self,
        answer: Answer,
        message: String,
        old_pid: Option<u32>,
        reason: RestartReason,
        cx: &mut Context<'_>,
    ) -> State {
        self.message = Some(message);
        match answer {
            Answer::Restart { attempt, delay_ms } => {
                self.restarts = self.restarts.saturating_add(1);
                State::Restarting { until: cx.now.after(delay_ms), attempt, old_pid, reason }
            }
            Answer::GiveUp => {
                cx.out.push(Effect::Emit(self.permanently_failed_event(cx.now)));
                State::PermanentlyFailed { since: cx.now }
            }
        }
    }

    /// The state in which the process that has ended is followed by another. Its place is its own
    /// still, but there may be too many starts under way.
    fn again(&mut self, purpose: Purpose, cx: &mut Context<'_>) -> State {
        match &self.spec.launch {
            Ok(Launch::Process(_)) => State::Waiting { since: cx.now, purpose, has_place: true },
            Ok(Launch::Remote(_)) | Err(_) => self.connecting(purpose, cx),
        }
    }

    pub(super) fn ended(
        &mut self,
        process: &Process,
        then: &Then,
        ended: &Ended,
        cx: &mut Context<'_>,
    ) -> State {
        self.set_health(HealthStatus::Unknown, None);
        match then {
            Then::Restart { purpose } => {
                if !matches!(purpose, Purpose::Wake { .. }) {
                    cx.out.push(Effect::Emit(self.stopped_event(process, "restart")));
                }
                self.again(*purpose, cx)
            }
            Then::Sleep => {
                cx.out.push(Effect::Emit(self.dormant_event(process, cx.now)));
                State::Dormant { since: cx.now }
            }
            Then::Stop { reason } => {
                let reason = reason.as_str();
                self.message = Some(String::from(reason));
                cx.out.push(Effect::Emit(self.stopped_event(process, reason)));
                State::Stopped { since: cx.now }
            }
            Then::Recover { message } => {
                cx.out.push(Effect::Emit(self.stopped_event(process, self.fault())));
                if let Some(failure) = &mut self.failure {
                    failure.last_stderr.clone_from(&ended.last_stderr);
                }
                let message = match ended.last_stderr.last() {
                    Some(line) => format!("{message}; its last words: {line}"),
                    None => message.clone(),
                };
                let uptime_ms = cx.now.since(process.since);
                self.failed_start(message, uptime_ms, process.pid, cx)
            }
            Then::Remove => {
                cx.out.push(Effect::Emit(self.stopped_event(process, "no longer configured")));
                State::Removed
            }
        }
    }
}
