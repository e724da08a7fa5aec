//! Given, when, then: one life after another, told by the events that make it up.

mod configured;
mod crash_window;
mod ending;
mod frost;
mod health;
mod idle;
mod remote;
mod story;
mod story_elsewhere;
mod strangers;
mod turn;

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::id::InstanceKey;
use crate::time::{MINUTE, SECOND};
use crate::view::{ServerNames, Transport};
use crate::{Refusal, limits};

struct Life {
    instance: Instance,
    now: Timestamp,
    last: Vec<Effect>,
}

fn spec() -> Spec {
    Spec {
        key: InstanceKey { team: "t".into(), installation: "i".into(), user: "u".into() },
        instance_id: None,
        names: Arc::new(ServerNames {
            process: String::from("files-t-u-i"),
            server: String::from("Files"),
            slug: String::from("files"),
            team_slug: String::from("t"),
            installation: String::from("Files"),
        }),
        transport: Transport::Stdio,
        launch: Ok(Launch::Process(ProcessSpec {
            command: String::from("node"),
            args: vec![],
            env: vec![],
            handshake_timeout_ms: limits::HANDSHAKE_TIMEOUT_MS,
            limits: Default::default(),
        })),
        address: None,
        disabled_tools: Arc::new(BTreeSet::new()),
        request_logging: true,
        redaction: Arc::default(),
        generation: 0,
        idle_ms: 300_000,
    }
}

impl Life {
    fn new() -> Life {
        let now = Timestamp(MINUTE);
        let instance = Instance::new(spec(), &Settings::default(), Random::new(7), now);
        Life { instance, now, last: Vec::new() }
    }

    fn event(&mut self, event: Event) -> Verdict {
        self.last.clear();
        self.instance.handle(self.now, event, &mut self.last)
    }

    fn later(&mut self, milliseconds: u64) -> &mut Life {
        self.now = self.now.after(milliseconds);
        self
    }

    fn incarnation(&self) -> Incarnation {
        self.instance.state().process().map_or(Incarnation(0), |process| process.incarnation)
    }

    fn online() -> Life {
        let mut life = Life::new();
        life.event(Event::Tick);
        life.start();
        life
    }

    /// Nobody uses it for as long as it is let be.
    fn idle(&mut self) -> Verdict {
        self.later(spec().idle_ms).event(Event::Tick)
    }

    /// From waiting for a place to online.
    fn start(&mut self) {
        assert_eq!(self.event(Event::Placed), Verdict::Moved);
        let incarnation = self.incarnation();
        self.event(Event::Spawned { incarnation, pid: 100 + incarnation.0 as u32 });
        self.event(Event::Initialized { incarnation });
        let inventory = Arc::new(Inventory { discovered_at: self.now, ..Inventory::default() });
        self.event(Event::Listed { incarnation, inventory });
        assert_eq!(self.instance.state().name(), "online");
    }

    fn exit(&mut self) -> Verdict {
        let incarnation = self.incarnation();
        self.event(Event::Exited {
            incarnation,
            ended: Ended { code: Some(1), ..Ended::default() },
        })
    }

    /// What the last event called for, one word each.
    fn words(&self) -> Vec<String> {
        let word = |effect: &Effect| match effect {
            Effect::Claim => String::from("claim"),
            Effect::Release => String::from("release"),
            Effect::Spawn { incarnation, .. } => alloc::format!("spawn {}", incarnation.0),
            Effect::Terminate { incarnation } => alloc::format!("terminate {}", incarnation.0),
            Effect::Freeze { incarnation } => alloc::format!("freeze {}", incarnation.0),
            Effect::Thaw { incarnation } => alloc::format!("thaw {}", incarnation.0),
            Effect::Connect { incarnation, .. } => alloc::format!("connect {}", incarnation.0),
            Effect::Disconnect { incarnation } => alloc::format!("disconnect {}", incarnation.0),
            Effect::Reconnect { incarnation } => alloc::format!("reconnect {}", incarnation.0),
            Effect::Relist { incarnation } => alloc::format!("relist {}", incarnation.0),
            Effect::Probe { incarnation } => alloc::format!("probe {}", incarnation.0),
            Effect::Emit(EventData::StatusChanged(change)) => String::from(change.status.as_str()),
            Effect::Emit(data) => String::from(data.kind()),
            Effect::Moved { from, to } => alloc::format!("{from}->{to}"),
            Effect::Removed => String::from("removed"),
        };
        self.last.iter().map(word).collect()
    }
}

#[test]
fn a_first_start_asks_for_a_place_and_ends_online() {
    let mut life = Life::new();
    assert_eq!(life.instance.next_deadline().map(|next| next.at), Some(life.now));
    life.event(Event::Tick);
    assert_eq!(life.words(), ["provisioned->waiting", "claim"]);
    life.event(Event::Placed);
    assert_eq!(life.words(), ["waiting->connecting", "connecting", "spawn 1"]);
    let incarnation = life.incarnation();
    life.event(Event::Spawned { incarnation, pid: 7 });
    life.event(Event::Initialized { incarnation });
    assert_eq!(life.words(), ["connecting->discovering", "discovering_tools"]);
    let inventory = Arc::new(Inventory { discovered_at: life.now, ..Inventory::default() });
    life.event(Event::Listed { incarnation, inventory });
    assert_eq!(
        life.words(),
        ["discovering->online", "online", "mcp.tools.discovered", "mcp.server.started"]
    );
    assert_eq!(life.instance.view().ready, Some(incarnation));
}

#[test]
fn an_exit_not_asked_for_is_a_crash_and_the_restart_is_told_as_one() {
    let mut life = Life::online();
    life.later(SECOND).exit();
    assert_eq!(life.words(), ["online->restarting", "restarting", "mcp.server.crashed", "release"]);
    let due = life.instance.next_deadline().unwrap().at;
    assert!(due.since(life.now) >= SECOND);
    life.now = due;
    life.event(Event::Tick);
    assert_eq!(life.words(), ["restarting->waiting", "claim"]);
    life.start();
    assert!(life.words().contains(&String::from("mcp.server.restarted")));
    assert_eq!(life.instance.lifecycle().restarts, 1);
}

#[test]
fn the_fourth_crash_is_final_until_a_command_brings_it_back() {
    let mut life = Life::online();
    for _ in 0..3 {
        life.later(SECOND).exit();
        life.now = life.instance.next_deadline().unwrap().at;
        life.event(Event::Tick);
        life.start();
    }
    life.later(SECOND).exit();
    assert_eq!(
        life.words(),
        [
            "online->permanently_failed",
            "permanently_failed",
            "mcp.server.crashed",
            "mcp.server.permanently_failed",
            "release"
        ]
    );
    assert!(matches!(life.event(Event::Wanted), Verdict::Ignored(_)));
    assert_eq!(
        life.event(Event::RestartRequested(Restart::Commanded("cmd_1".into()))),
        Verdict::Moved
    );
    life.start();
    life.later(SECOND).exit();
    assert_eq!(life.instance.state().name(), "restarting");
}

#[test]
fn an_idle_instance_sleeps_unseen_and_wakes_on_the_next_call() {
    let mut life = Life::online();
    life.later(Settings::default().idle_timeout_ms - 1).event(Event::Tick);
    assert_eq!(life.words(), ["probe 1"], "it only has to say that it is there");
    let idle = life.instance.next_deadline().unwrap();
    assert_eq!((idle.why, idle.at), ("idle", life.now.after(1)));
    life.later(1).event(Event::Tick);
    assert_eq!(life.words(), ["online->stopping", "terminate 1"]);
    life.exit();
    assert_eq!(life.words(), ["stopping->dormant", "mcp.server.dormant", "release"]);
    assert_eq!(life.instance.status(), InstanceStatus::Online);
    life.later(MINUTE).event(Event::Wanted);
    assert_eq!(life.words(), ["dormant->waiting", "claim"]);
    life.start();
    assert_eq!(life.words(), ["discovering->online", "mcp.server.respawned"]);
}

#[test]
fn a_call_in_flight_keeps_it_awake() {
    let mut life = Life::online();
    let incarnation = life.incarnation();
    let activity = Activity { messages: 1, in_flight: 1, ..Activity::default() };
    life.event(Event::Used { incarnation, activity });
    assert_eq!(life.instance.next_deadline(), None);
    life.event(Event::Used { incarnation, activity: Activity { in_flight: 0, ..activity } });
    assert!(life.instance.next_deadline().is_some());
}

#[test]
fn a_call_while_it_falls_asleep_starts_it_again() {
    let mut life = Life::online();
    life.idle();
    assert_eq!(life.event(Event::Wanted), Verdict::Handled);
    life.exit();
    assert_eq!(life.words(), ["stopping->waiting", "claim"]);
    life.event(Event::Placed);
    assert_eq!(life.words(), ["waiting->connecting", "spawn 2"]);
}

#[test]
fn words_about_an_old_process_come_late() {
    let mut life = Life::online();
    life.later(SECOND).exit();
    life.now = life.instance.next_deadline().unwrap().at;
    life.event(Event::Tick);
    life.start();
    let old = Incarnation(1);
    let ended = Ended::default();
    assert_eq!(
        life.event(Event::Exited { incarnation: old, ended: ended.clone() }),
        Verdict::Ignored("late")
    );
    let future = Incarnation(9);
    assert_eq!(
        life.event(Event::Exited { incarnation: future, ended }),
        Verdict::Refused(Refusal::IllegalTransition)
    );
}

#[test]
fn what_cannot_be_started_says_why_and_waits_for_a_new_configuration() {
    let mut life = Life::new();
    let reason = String::from("command \"rm\" is not on the allow list");
    life.event(Event::Configured(Spec { launch: Err(reason.clone()), ..spec() }));
    life.event(Event::Tick);
    assert_eq!(life.words(), ["provisioned->failed", "error", "release"]);
    assert_eq!(life.instance.view().status_message, Some(reason));
    assert!(life.instance.needs_restart_for(&spec()));
    life.event(Event::Configured(spec()));
    life.event(Event::RestartRequested(Restart::Reconfigured));
    life.start();
}

#[test]
fn a_change_of_names_or_status_restarts_nothing() {
    let life = Life::online();
    let names = ServerNames { server: String::from("Renamed"), ..(*spec().names).clone() };
    let renamed = Spec { names: Arc::new(names), instance_id: Some("x".into()), ..spec() };
    assert!(!life.instance.needs_restart_for(&renamed));
}

#[test]
fn a_silent_child_is_ended_and_started_again() {
    let mut life = Life::new();
    life.event(Event::Tick);
    life.event(Event::Placed);
    let incarnation = life.incarnation();
    let reason = String::from("no answer within 30 s");
    life.event(Event::Unusable { incarnation, step: "initialize", reason });
    assert_eq!(life.words(), ["connecting->stopping", "error", "terminate 1"]);
    life.exit();
    assert_eq!(
        life.words(),
        ["stopping->restarting", "restarting", "mcp.server.stopped", "release"]
    );
}

#[test]
fn a_process_that_hung_up_and_is_told_to_end_wants_no_more_time() {
    let mut life = Life::online();
    let incarnation = life.incarnation();
    let reason = String::from("closed");
    life.event(Event::PipesClosed { incarnation, reason });
    life.now = life.instance.next_deadline().unwrap().at;
    life.event(Event::Tick);
    assert_eq!(life.words(), ["online->stopping", "error", "terminate 1"]);
    assert_eq!(life.instance.next_deadline(), None, "its end is all that is awaited");
}

#[test]
fn removal_leaves_nothing_and_reports_the_end() {
    let mut life = Life::online();
    life.event(Event::RemoveRequested);
    life.exit();
    assert_eq!(life.words(), ["stopping->removed", "mcp.server.stopped", "release", "removed"]);
    assert_eq!(life.event(Event::Wanted), Verdict::Refused(Refusal::Unknown));
}

#[test]
fn a_commanded_process_knows_its_command_and_the_next_one_does_not() {
    let mut life = Life::online();
    life.event(Event::RestartRequested(Restart::Commanded("cmd_7".into())));
    life.exit();
    life.event(Event::Placed);
    let command = |life: &Life| {
        life.last.iter().find_map(|effect| match effect {
            Effect::Spawn { process, .. } => {
                Some(process.env.iter().find(|(name, _)| name == COMMAND_ID).cloned())
            }
            _ => None,
        })
    };
    let told = command(&life).expect("a process is started").expect("it is told the command");
    assert_eq!(told.1.expose(), "cmd_7");
    life.exit();
    life.later(MINUTE).event(Event::Tick);
    assert_eq!(life.event(Event::Placed), Verdict::Moved);
    assert_eq!(command(&life), Some(None), "it is started because the other crashed");
}
