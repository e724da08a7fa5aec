//! The table of the instance machine.

use std::collections::BTreeSet;
use std::sync::Arc;

use satellite_core::Machine;
use satellite_core::id::{Incarnation, InstanceKey};
use satellite_core::instance::{Effect, Event, Instance, Launch, Restart, Spec};
use satellite_core::limits::Settings;
use satellite_core::process::{Ended, ProcessSpec, SpawnFailure};
use satellite_core::random::Random;
use satellite_core::relay::Activity;
use satellite_core::remote::{Failure, Fault};
use satellite_core::time::{HOUR, Timestamp};
use satellite_core::view::{Inventory, ServerNames, Transport};
use satellite_core::wire::event::EventData;

use crate::{Named, Occurrence, Way, table};

/// When the way to each state begins, and when the event under test comes: everything is due.
pub(super) const START: Timestamp = Timestamp(HOUR);
pub(super) const NOW: Timestamp = Timestamp(2 * HOUR);
/// The process each state with a process has.
pub(super) const PRESENT: Incarnation = Incarnation(1);

impl Named for Instance {
    fn state_name(&self) -> &'static str {
        self.state().name()
    }

    fn describe(effect: &Effect) -> String {
        match effect {
            Effect::Claim => String::from("claim a place"),
            Effect::Release => String::from("release the place"),
            Effect::Spawn { incarnation, .. } => format!("spawn {}", incarnation.0),
            Effect::Terminate { incarnation } => format!("terminate {}", incarnation.0),
            Effect::Freeze { incarnation } => format!("freeze {}", incarnation.0),
            Effect::Thaw { incarnation } => format!("thaw {}", incarnation.0),
            Effect::Connect { incarnation, .. } => format!("connect {}", incarnation.0),
            Effect::Disconnect { incarnation } => format!("disconnect {}", incarnation.0),
            Effect::Reconnect { incarnation } => format!("reconnect {}", incarnation.0),
            Effect::Relist { incarnation } => format!("relist {}", incarnation.0),
            Effect::Probe { incarnation } => format!("probe {}", incarnation.0),
            Effect::Emit(EventData::StatusChanged(change)) => {
                format!("emit status {}", change.status.as_str())
            }
            Effect::Emit(data) => format!("emit {}", data.kind()),
            Effect::Moved { .. } => String::from("log"),
            Effect::Removed => String::from("forget"),
        }
    }
}

pub(super) fn spec(launch: Result<Launch, String>) -> Spec {
    let names = ServerNames {
        process: String::from("files-t-u-i"),
        server: String::from("Files"),
        slug: String::from("files"),
        team_slug: String::from("t"),
        installation: String::from("Files"),
    };
    Spec {
        key: InstanceKey { team: "t".into(), installation: "i".into(), user: "u".into() },
        instance_id: None,
        names: Arc::new(names),
        transport: Transport::Stdio,
        launch,
        address: None,
        disabled_tools: Arc::new(BTreeSet::new()),
        request_logging: true,
        redaction: Arc::default(),
        generation: 0,
        idle_ms: 300_000,
    }
}

fn startable() -> Spec {
    spec(Ok(Launch::Process(ProcessSpec {
        command: String::from("node"),
        args: Vec::new(),
        env: Vec::new(),
        handshake_timeout_ms: 30_000,
        limits: Default::default(),
    })))
}

pub(super) fn ended() -> Ended {
    Ended { code: Some(1), ..Ended::default() }
}

fn exited() -> Event {
    Event::Exited { incarnation: PRESENT, ended: ended() }
}

pub(super) fn listed() -> Event {
    Event::Listed { incarnation: PRESENT, inventory: Arc::new(Inventory::default()) }
}

pub(super) fn new(now: Timestamp) -> Instance {
    Instance::new(startable(), &Settings::default(), Random::new(1), now)
}

fn life(spec: Spec, events: Vec<Event>) -> Instance {
    let mut instance = Instance::new(spec, &Settings::default(), Random::new(1), START);
    for event in events {
        instance.handle(START, event, &mut Vec::new());
    }
    instance
}

fn way(name: &'static str, events: fn() -> Vec<Event>) -> Way<Instance> {
    (name, Box::new(move || life(startable(), events())))
}

fn to_online() -> Vec<Event> {
    vec![
        Event::Tick,
        Event::Placed,
        Event::Spawned { incarnation: PRESENT, pid: 7 },
        Event::Initialized { incarnation: PRESENT },
        listed(),
    ]
}

fn online_then(more: Vec<Event>) -> Vec<Event> {
    let mut events = to_online();
    events.extend(more);
    events
}

/// An instance whose idle time is over at once, so that sleep needs no clock.
fn drowsy(events: Vec<Event>) -> Instance {
    let settings = Settings { spawn_grace_ms: 0, ..Settings::default() };
    let spec = Spec { idle_ms: 1, ..startable() };
    let mut instance = Instance::new(spec, &settings, Random::new(1), START);
    let mut now = START;
    for event in events {
        now = now.after(1);
        instance.handle(now, event, &mut Vec::new());
    }
    instance
}

/// An instance that is frozen as soon as it is idle.
fn way_of_frost(name: &'static str, more: fn() -> Vec<Event>) -> Way<Instance> {
    let make = move || {
        let settings = Settings {
            spawn_grace_ms: 0,
            freeze_after_ms: 1,
            can_freeze: true,
            ..Settings::default()
        };
        let mut instance = Instance::new(startable(), &settings, Random::new(1), START);
        let events = online_then(vec![Event::Tick]).into_iter().chain(more());
        for (event, at) in events.zip(1..) {
            instance.handle(START.after(at), event, &mut Vec::new());
        }
        instance
    };
    (name, Box::new(make))
}

fn permanently_failed() -> Instance {
    let mut instance = life(startable(), to_online());
    let mut incarnation = PRESENT;
    let mut now = START;
    loop {
        instance.handle(now, Event::Exited { incarnation, ended: ended() }, &mut Vec::new());
        let Some(restart) = instance.next_deadline() else { return instance };
        now = restart.at;
        incarnation = incarnation.next();
        for event in [
            Event::Tick,
            Event::Placed,
            Event::Spawned { incarnation, pid: 7 },
            Event::Initialized { incarnation },
            Event::Listed { incarnation, inventory: Arc::new(Inventory::default()) },
        ] {
            instance.handle(now, event, &mut Vec::new());
        }
    }
}

fn states() -> Vec<Way<Instance>> {
    vec![
        way("provisioned", Vec::new),
        way("waiting", || vec![Event::Tick]),
        way("connecting", || vec![Event::Tick, Event::Placed]),
        way("discovering", || {
            vec![Event::Tick, Event::Placed, Event::Initialized { incarnation: PRESENT }]
        }),
        way("online", to_online),
        way("online with its pipes closed", || {
            let reason = String::from("closed");
            online_then(vec![Event::PipesClosed { incarnation: PRESENT, reason }])
        }),
        way_of_frost("freezing", Vec::new),
        way_of_frost("frozen", || vec![Event::Frozen { incarnation: PRESENT }]),
        way_of_frost("thawing", || vec![Event::Frozen { incarnation: PRESENT }, Event::Wanted]),
        (
            "stopping to sleep",
            Box::new(|| {
                let mut events = to_online();
                events.extend([Event::Tick, Event::Tick]);
                drowsy(events)
            }),
        ),
        way("stopping to restart", || {
            online_then(vec![Event::RestartRequested(Restart::Commanded("cmd_1".into()))])
        }),
        way("stopping by command", || online_then(vec![Event::KillRequested])),
        way("stopping for shutdown", || online_then(vec![Event::DrainRequested])),
        way("stopping for good", || online_then(vec![Event::RemoveRequested])),
        way("stopping as unusable", || {
            let reason = String::from("silent");
            vec![
                Event::Tick,
                Event::Placed,
                Event::Unusable { incarnation: PRESENT, step: "initialize", reason },
            ]
        }),
        (
            "dormant",
            Box::new(|| {
                let mut events = to_online();
                events.extend([Event::Tick, Event::Tick, exited()]);
                drowsy(events)
            }),
        ),
        way("restarting", || online_then(vec![exited()])),
        way("stopped", || online_then(vec![Event::KillRequested, exited()])),
        ("failed", Box::new(|| life(spec(Err(String::from("not allowed"))), vec![Event::Tick]))),
        ("permanently_failed", Box::new(permanently_failed)),
        way("removed", || vec![Event::RemoveRequested]),
    ]
}

pub(super) fn event(name: &'static str, make: fn() -> Event) -> Occurrence<Instance> {
    (name, Box::new(move |_| make()))
}

pub(super) fn failed(fault: Fault) -> Event {
    Event::Failed { incarnation: PRESENT, failure: Failure::new(fault, "it says no") }
}

fn failure(retryable: bool) -> SpawnFailure {
    let (step, error) = (String::from("exec"), String::from("no such file"));
    SpawnFailure { step, error, retryable }
}

pub(super) fn events() -> Vec<Occurrence<Instance>> {
    vec![
        event("placed", || Event::Placed),
        event("spawned", || Event::Spawned { incarnation: PRESENT, pid: 7 }),
        event("spawn failed for now", || Event::SpawnFailed {
            incarnation: PRESENT,
            failure: failure(true),
        }),
        event("spawn failed for good", || Event::SpawnFailed {
            incarnation: PRESENT,
            failure: failure(false),
        }),
        event("initialized", || Event::Initialized { incarnation: PRESENT }),
        event("listed", listed),
        event("lists stale", || Event::ListsStale { incarnation: PRESENT }),
        event("unusable", || Event::Unusable {
            incarnation: PRESENT,
            step: "initialize",
            reason: String::from("silent"),
        }),
        event("pipes closed", || Event::PipesClosed {
            incarnation: PRESENT,
            reason: String::from("closed"),
        }),
        event("probed", || Event::Probed { incarnation: PRESENT, answered: true }),
        event("used", || Event::Used { incarnation: PRESENT, activity: Activity::default() }),
        event("exited", exited),
        event("exited, an older process", || Event::Exited {
            incarnation: Incarnation(0),
            ended: ended(),
        }),
        event("reached", || Event::Reached { incarnation: PRESENT, discovers: false }),
        event("failed, unreachable", || failed(Fault::Unreachable)),
        event("failed, not authorised", || failed(Fault::AuthorisationNeeded)),
        event("failed, broken", || failed(Fault::Broken)),
        event("frozen", || Event::Frozen { incarnation: PRESENT }),
        event("freeze failed", || Event::FreezeFailed { incarnation: PRESENT }),
        event("thawed", || Event::Thawed { incarnation: PRESENT }),
        event("thaw failed", || Event::ThawFailed {
            incarnation: PRESENT,
            error: String::from("busy"),
        }),
        event("room wanted", || Event::RoomWanted),
        event("wanted", || Event::Wanted),
        event("check requested", || Event::CheckRequested),
        event("configured", || Event::Configured(startable())),
        event("tool switched off", || Event::ToolSwitched {
            tool: String::from("read"),
            disabled: true,
        }),
        event("restart requested", || Event::RestartRequested(Restart::Commanded("cmd_1".into()))),
        event("kill requested", || Event::KillRequested),
        event("remove requested", || Event::RemoveRequested),
        event("drain requested", || Event::DrainRequested),
        event("tick, all is due", || Event::Tick),
    ]
}

#[test]
fn every_state_of_an_instance_answers_every_event() {
    let text = table(NOW, &states(), &events());
    satellite_tests::golden::compare("tests/tables/instance.txt", &text);
}
