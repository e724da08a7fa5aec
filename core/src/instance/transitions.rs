//! What each state does with each event. A state answers what is its own; a group of states answers
//! what its members share; the root answers the rest, so that nothing is dropped silently.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use statig::Outcome;
use statig::blocking::{self, IntoStateMachine};

use super::frost::{Sleep, asleep};
use super::lifecycle::{Context, LOST_MS, Lifecycle};
use super::remote;
use super::spec::Launch;
use super::state::{Process, Purpose, State, StopReason, Then};
use super::stopping::stopping;
use super::{Effect, Event};
use crate::view::HealthStatus;
use crate::{Refusal, Verdict};

/// Groups of states.
pub enum Superstate<'state> {
    /// No process, and none wanted.
    Resting,
    /// No process, but one is due.
    Pending,
    /// A process that is meant to live.
    Alive {
        /// The process.
        process: &'state mut Process,
    },
    /// Everything else ends here.
    Root,
}

impl IntoStateMachine for Lifecycle {
    type Event<'event> = Event;
    type Context<'context> = Context<'context>;
    type State = State;
    type Superstate<'state> = Superstate<'state>;

    fn initial() -> State {
        State::Provisioned
    }
}

impl Context<'_> {
    pub(super) fn moved(&mut self, to: State) -> Outcome<State> {
        self.verdict = Some(Verdict::Moved);
        Outcome::Transition(to)
    }

    pub(super) fn handled(&mut self) -> Outcome<State> {
        self.verdict = Some(Verdict::Handled);
        Outcome::Handled
    }

    pub(super) fn ignored(&mut self, why: &'static str) -> Outcome<State> {
        self.verdict = Some(Verdict::Ignored(why));
        Outcome::Handled
    }

    pub(super) fn refused(&mut self, why: Refusal) -> Outcome<State> {
        self.verdict = Some(Verdict::Refused(why));
        Outcome::Handled
    }
}

impl blocking::State<Lifecycle> for State {
    fn call_handler(
        &mut self,
        life: &mut Lifecycle,
        event: &Event,
        cx: &mut Context<'_>,
    ) -> Outcome<State> {
        match self {
            State::Provisioned => match event {
                Event::Tick | Event::Wanted => match &life.spec.launch {
                    Ok(_) => {
                        let to = life.begin(Purpose::First, cx);
                        cx.moved(to)
                    }
                    Err(reason) => {
                        life.cannot_start(reason.clone());
                        cx.moved(State::Failed { since: cx.now })
                    }
                },
                _ => Outcome::Super,
            },
            State::Waiting { since, purpose, .. } => match event {
                Event::Placed => {
                    life.crashes.waited(cx.now.since(*since));
                    let to = life.connecting(*purpose, cx);
                    cx.moved(to)
                }
                Event::Wanted => {
                    life.wanted_at = cx.now;
                    cx.handled()
                }
                Event::Tick if life.unwanted_at(*since, purpose).is_some_and(|at| at <= cx.now) => {
                    let asleep_since = match purpose {
                        Purpose::Wake { asleep_since, .. } => *asleep_since,
                        _ => *since,
                    };
                    cx.moved(State::Dormant { since: asleep_since })
                }
                _ => Outcome::Super,
            },
            State::Connecting { process, purpose, until } => {
                connecting(process, *purpose, until, life, event, cx)
            }
            State::Discovering { process, purpose, until } => {
                discovering(process, *purpose, *until, life, event, cx)
            }
            State::Online { process, since } => match event {
                Event::Listed { incarnation, inventory } if *incarnation == process.incarnation => {
                    life.discovered(inventory, cx);
                    cx.handled()
                }
                Event::ListsStale { incarnation } if *incarnation == process.incarnation => {
                    if !life.lists_failed(cx.now) {
                        return cx.ignored("those known before stay");
                    }
                    cx.out.push(Effect::Relist { incarnation: process.incarnation });
                    cx.handled()
                }
                Event::Tick
                    if process.lost_until.is_none()
                        && life.idle_at(*since).is_some_and(|at| at <= cx.now) =>
                {
                    cx.moved(State::Stopping { process: *process, then: Then::Sleep })
                }
                Event::Tick
                    if process.lost_until.is_none()
                        && life.freeze_at(*since).is_some_and(|at| at <= cx.now) =>
                {
                    cx.moved(State::Freezing { process: *process, since: *since })
                }
                Event::Tick
                    if process.lost_until.is_none()
                        && life.ping_at(*since).is_some_and(|at| at <= cx.now) =>
                {
                    life.pings(cx.now);
                    cx.out.push(Effect::Probe { incarnation: process.incarnation });
                    cx.handled()
                }
                _ => Outcome::Super,
            },
            State::Freezing { process, since } => {
                asleep(Sleep::Freezing, process, *since, life, event, cx)
            }
            State::Frozen { process, since, .. } => {
                asleep(Sleep::Frozen, process, *since, life, event, cx)
            }
            State::Thawing { process, since, until } => {
                asleep(Sleep::Thawing { until: *until }, process, *since, life, event, cx)
            }
            State::Stopping { process, then } => stopping(process, then, life, event, cx),
            State::Dormant { since } => match event {
                Event::Wanted => {
                    let purpose = Purpose::Wake { asleep_since: *since, wanted_at: cx.now };
                    cx.moved(State::Waiting { since: cx.now, purpose, has_place: false })
                }
                _ => Outcome::Super,
            },
            State::Stopped { .. } => match event {
                Event::Wanted => {
                    let to = life.begin(Purpose::Revival, cx);
                    cx.moved(to)
                }
                _ => Outcome::Super,
            },
            State::Restarting { until, attempt, old_pid, reason } => match event {
                Event::Tick if *until <= cx.now => {
                    let (attempt, old_pid, reason) = (*attempt, *old_pid, *reason);
                    let purpose = Purpose::Recovery { attempt, old_pid, reason };
                    cx.moved(State::Waiting { since: cx.now, purpose, has_place: false })
                }
                _ => Outcome::Super,
            },
            State::Failed { .. } | State::PermanentlyFailed { .. } => match event {
                Event::Wanted => cx.ignored("only a restart command or a new configuration helps"),
                _ => Outcome::Super,
            },
            State::Remote(remote) => remote::handle(remote, life, event, cx),
            State::Removed => match event {
                Event::Wanted | Event::RestartRequested(_) | Event::KillRequested => {
                    cx.refused(Refusal::Unknown)
                }
                Event::RemoveRequested | Event::DrainRequested => cx.ignored("already removed"),
                _ => Outcome::Super,
            },
        }
    }

    fn call_entry_action(&mut self, life: &mut Lifecycle, cx: &mut Context<'_>) {
        match self {
            State::Waiting { .. } => cx.out.push(Effect::Claim),
            State::Connecting { process, .. } => {
                if let Some(spec) = life.process_spec() {
                    let incarnation = process.incarnation;
                    cx.out.push(Effect::Spawn { incarnation, process: spec });
                }
            }
            State::Freezing { process, .. } => {
                cx.out.push(Effect::Freeze { incarnation: process.incarnation });
            }
            State::Thawing { process, .. } => {
                cx.out.push(Effect::Thaw { incarnation: process.incarnation });
            }
            State::Stopping { process, .. } => {
                cx.out.push(Effect::Terminate { incarnation: process.incarnation });
            }
            State::Restarting { .. } => cx.out.push(Effect::Release),
            State::Removed => {
                cx.out.push(Effect::Release);
                cx.out.push(Effect::Removed);
            }
            State::Provisioned
            | State::Discovering { .. }
            | State::Online { .. }
            | State::Frozen { .. }
            | State::Dormant { .. }
            | State::Stopped { .. }
            | State::Failed { .. }
            | State::PermanentlyFailed { .. }
            | State::Remote(_) => {}
        }
    }

    fn superstate(&mut self) -> Option<Superstate<'_>> {
        Some(match self {
            State::Dormant { .. }
            | State::Stopped { .. }
            | State::Failed { .. }
            | State::PermanentlyFailed { .. } => Superstate::Resting,
            State::Provisioned | State::Waiting { .. } | State::Restarting { .. } => {
                Superstate::Pending
            }
            State::Connecting { process, .. }
            | State::Discovering { process, .. }
            | State::Online { process, .. }
            | State::Freezing { process, .. }
            | State::Frozen { process, .. }
            | State::Thawing { process, .. } => Superstate::Alive { process },
            State::Stopping { .. } | State::Remote(_) | State::Removed => Superstate::Root,
        })
    }
}

impl blocking::Superstate<Lifecycle> for Superstate<'_> {
    fn call_handler(
        &mut self,
        life: &mut Lifecycle,
        event: &Event,
        cx: &mut Context<'_>,
    ) -> Outcome<State> {
        match self {
            Superstate::Resting | Superstate::Pending => match event {
                Event::RestartRequested(restart) => {
                    life.start_afresh(restart);
                    if matches!(life.spec.launch, Ok(Launch::Remote(_))) {
                        // It may have been a process that asked for a place.
                        cx.out.push(Effect::Release);
                    }
                    let to = life.begin(restart.purpose(), cx);
                    cx.moved(to)
                }
                Event::RemoveRequested => cx.moved(State::Removed),
                Event::KillRequested | Event::DrainRequested => match self {
                    Superstate::Pending => cx.moved(State::Stopped { since: cx.now }),
                    _ => cx.ignored("no process"),
                },
                Event::Wanted => cx.ignored("a start is due"),
                _ => Outcome::Super,
            },
            Superstate::Alive { process } => alive(process, life, event, cx),
            Superstate::Root => root(life, event, cx),
        }
    }

    fn call_entry_action(&mut self, _life: &mut Lifecycle, cx: &mut Context<'_>) {
        if matches!(self, Superstate::Resting) {
            cx.out.push(Effect::Release);
        }
    }

    fn superstate(&mut self) -> Option<Superstate<'_>> {
        match self {
            Superstate::Resting | Superstate::Pending | Superstate::Alive { .. } => {
                Some(Superstate::Root)
            }
            Superstate::Root => None,
        }
    }
}

fn connecting(
    process: &mut Process,
    purpose: Purpose,
    until: &mut crate::time::Timestamp,
    life: &mut Lifecycle,
    event: &Event,
    cx: &mut Context<'_>,
) -> Outcome<State> {
    match event {
        Event::SpawnFailed { incarnation, failure } if *incarnation == process.incarnation => {
            let to = life.spawn_failed(failure, cx);
            cx.moved(to)
        }
        Event::Initialized { incarnation } if *incarnation == process.incarnation => {
            life.step = "tools/list";
            let until = Lifecycle::discovery_until(cx.now);
            cx.moved(State::Discovering { process: *process, purpose, until })
        }
        Event::Tick if *until <= cx.now => {
            let message = String::from("no answer to initialize in time");
            cx.moved(life.recover(process, "initialize", message))
        }
        _ => Outcome::Super,
    }
}

fn discovering(
    process: &mut Process,
    purpose: Purpose,
    until: crate::time::Timestamp,
    life: &mut Lifecycle,
    event: &Event,
    cx: &mut Context<'_>,
) -> Outcome<State> {
    match event {
        Event::Listed { incarnation, inventory } if *incarnation == process.incarnation => {
            life.message = None;
            life.failure = None;
            life.step = "run";
            life.last_activity = cx.now;
            // It answered the handshake and the lists: that is a health check like any other.
            life.set_health(HealthStatus::Healthy, Some(cx.now));
            life.discovered(inventory, cx);
            life.started(process, purpose, cx);
            cx.moved(State::Online { process: *process, since: cx.now })
        }
        Event::Tick if until <= cx.now => {
            let message = String::from("no answer to tools/list in time");
            cx.moved(life.recover(process, "tools/list", message))
        }
        _ => Outcome::Super,
    }
}

/// What every state with a process that is meant to live does.
fn alive(
    process: &mut Process,
    life: &mut Lifecycle,
    event: &Event,
    cx: &mut Context<'_>,
) -> Outcome<State> {
    match event {
        // Its relay may have been quicker to report than whoever started it.
        Event::Spawned { incarnation, pid } if *incarnation == process.incarnation => {
            process.pid = Some(*pid);
            life.spawn_ms = Some(cx.now.since(process.since));
            if life.step == "spawn" {
                life.step = "initialize";
            }
            cx.handled()
        }
        Event::Placed => cx.ignored("it has a place"),
        Event::Exited { incarnation, ended } if *incarnation == process.incarnation => {
            let to = life.crashed(process, ended, cx);
            cx.moved(to)
        }
        Event::Unusable { incarnation, step, reason } if *incarnation == process.incarnation => {
            let message = format!("{step}: {reason}");
            cx.moved(life.recover(process, step, message))
        }
        Event::PipesClosed { incarnation, reason } if *incarnation == process.incarnation => {
            if process.lost_until.is_some() {
                return cx.ignored("already known");
            }
            process.lost_until = Some(cx.now.after(LOST_MS));
            life.message = Some(reason.clone());
            cx.handled()
        }
        Event::Tick if process.lost_until.is_some_and(|until| until <= cx.now) => {
            let message = life.message.clone().unwrap_or_default();
            let step = life.step;
            cx.moved(life.recover(process, step, message))
        }
        Event::Used { incarnation, activity } if *incarnation == process.incarnation => {
            life.used(cx.now, *activity);
            cx.handled()
        }
        Event::Probed { incarnation, answered } if *incarnation == process.incarnation => {
            match life.probed(cx.now, process, *answered) {
                Some(to) => cx.moved(to),
                None => cx.handled(),
            }
        }
        Event::RestartRequested(restart) => {
            life.start_afresh(restart);
            let then = Then::Restart { purpose: restart.purpose() };
            cx.moved(State::Stopping { process: *process, then })
        }
        Event::KillRequested => {
            let then = Then::Stop { reason: StopReason::Killed };
            cx.moved(State::Stopping { process: *process, then })
        }
        Event::DrainRequested => {
            let then = Then::Stop { reason: StopReason::Shutdown };
            cx.moved(State::Stopping { process: *process, then })
        }
        Event::RemoveRequested => {
            cx.moved(State::Stopping { process: *process, then: Then::Remove })
        }
        Event::Wanted => cx.ignored("already started"),
        _ => Outcome::Super,
    }
}

fn root(life: &mut Lifecycle, event: &Event, cx: &mut Context<'_>) -> Outcome<State> {
    match event {
        Event::Placed => {
            // Nothing to start any more: let the next in the queue have the place.
            cx.out.push(Effect::Release);
            cx.ignored("no place is wanted")
        }
        Event::Tick => cx.ignored("nothing is due"),
        Event::Configured(spec) => {
            life.spec = spec.clone();
            cx.handled()
        }
        Event::ToolSwitched { tool, disabled } => {
            let tools = Arc::make_mut(&mut life.spec.disabled_tools);
            let changed =
                if *disabled { tools.insert(tool.clone()) } else { tools.remove(tool.as_str()) };
            if changed { cx.handled() } else { cx.ignored("it is so already") }
        }
        Event::Spawned { incarnation, .. }
        | Event::SpawnFailed { incarnation, .. }
        | Event::Initialized { incarnation }
        | Event::Listed { incarnation, .. }
        | Event::ListsStale { incarnation }
        | Event::Unusable { incarnation, .. }
        | Event::PipesClosed { incarnation, .. }
        | Event::Probed { incarnation, .. }
        | Event::Used { incarnation, .. }
        | Event::Reached { incarnation, .. }
        | Event::Failed { incarnation, .. }
        | Event::Frozen { incarnation }
        | Event::FreezeFailed { incarnation }
        | Event::Thawed { incarnation }
        | Event::ThawFailed { incarnation, .. }
        | Event::Exited { incarnation, .. } => {
            if *incarnation < life.incarnation {
                cx.ignored("late")
            } else {
                cx.refused(Refusal::IllegalTransition)
            }
        }
        Event::CheckRequested => cx.ignored("nobody is spoken to"),
        Event::RoomWanted => cx.ignored("it is not frozen"),
        Event::Wanted
        | Event::RestartRequested(_)
        | Event::KillRequested
        | Event::RemoveRequested
        | Event::DrainRequested => cx.refused(Refusal::IllegalTransition),
    }
}
