//! The table of instances that are reached over a network.

use satellite_core::Machine;
use satellite_core::instance::{Event, Instance, Launch, Restart, Spec};
use satellite_core::limits::Settings;
use satellite_core::random::Random;
use satellite_core::remote::{Fault, RemoteSpec};
use satellite_core::time::Timestamp;
use satellite_core::view::Transport;

use crate::instance::{NOW, PRESENT, START, events, failed, listed, spec};
use crate::{Occurrence, Way, table};

fn elsewhere() -> Spec {
    let remote = RemoteSpec {
        transport: Transport::Http,
        endpoints: vec![String::from("https://far.example/mcp")],
        headers: Vec::new(),
        query: Vec::new(),
        named_query: Vec::new(),
        requires_oauth: false,
        call_timeout_ms: 60_000,
        handshake_timeout_ms: 30_000,
    };
    Spec { transport: Transport::Http, ..spec(Ok(Launch::Remote(remote))) }
}

fn life(events: Vec<Event>) -> Instance {
    let mut instance = Instance::new(elsewhere(), &Settings::default(), Random::new(1), START);
    for event in events {
        instance.handle(START, event, &mut Vec::new());
    }
    instance
}

pub(super) fn new(now: Timestamp) -> Instance {
    Instance::new(elsewhere(), &Settings::default(), Random::new(1), now)
}

fn way(name: &'static str, events: fn() -> Vec<Event>) -> Way<Instance> {
    (name, Box::new(move || life(events())))
}

fn online_then(more: impl IntoIterator<Item = Event>) -> Vec<Event> {
    let mut events = vec![Event::Tick, Event::Initialized { incarnation: PRESENT }, listed()];
    events.extend(more);
    events
}

fn recovered() -> Event {
    Event::RestartRequested(Restart::Recovered)
}

fn closed() -> Event {
    Event::PipesClosed { incarnation: PRESENT, reason: String::from("ended") }
}

fn states() -> Vec<Way<Instance>> {
    vec![
        way("connecting", || vec![Event::Tick]),
        way("connecting again", || online_then([failed(Fault::Unreachable), recovered()])),
        way("discovering", || vec![Event::Tick, Event::Initialized { incarnation: PRESENT }]),
        way("online", || online_then([])),
        way("offline", || online_then([failed(Fault::Unreachable)])),
        way("offline, being tried", || {
            online_then([failed(Fault::Unreachable), Event::CheckRequested])
        }),
        way("offline, its conversation ended", || online_then([closed()])),
        way("error", || online_then([failed(Fault::Broken)])),
        way("error, being tried", || online_then([failed(Fault::Broken), Event::CheckRequested])),
        way("requires_reauth", || online_then([failed(Fault::AuthorisationNeeded)])),
        way("requires_reauth, being tried", || {
            online_then([failed(Fault::AuthorisationNeeded), Event::CheckRequested])
        }),
        way("disconnecting to restart", || {
            online_then([Event::RestartRequested(Restart::Commanded("cmd_1".into()))])
        }),
        way("disconnecting by command", || online_then([Event::KillRequested])),
        way("disconnecting for shutdown", || online_then([Event::DrainRequested])),
        way("disconnecting for good", || online_then([Event::RemoveRequested])),
    ]
}

fn occurrences() -> Vec<Occurrence<Instance>> {
    let mut events = events();
    events.push(("recovery requested", Box::new(|_| recovered())));
    for (name, make) in &mut events {
        if *name == "configured" {
            *make = Box::new(|_| Event::Configured(elsewhere()));
        }
    }
    events
}

#[test]
fn every_state_of_a_conversation_answers_every_event() {
    let text = table(NOW, &states(), &occurrences());
    satellite_tests::golden::compare("tests/tables/remote.txt", &text);
}
