//! A server elsewhere: what calls and probes find makes up one life.

use proptest::prelude::*;

use super::*;
use crate::limits::{REMOTE_CARE_MS, REMOTE_PROBE_INTERVAL_MS};
use crate::remote::{Failure, Fault, RemoteSpec};
use crate::view::Tool;

fn remote() -> RemoteSpec {
    RemoteSpec {
        transport: Transport::Http,
        endpoints: vec![String::from("https://tools.example/mcp")],
        headers: vec![],
        query: vec![],
        named_query: Vec::new(),
        requires_oauth: false,
        call_timeout_ms: limits::CALL_TIMEOUT_MS,
        handshake_timeout_ms: limits::HANDSHAKE_TIMEOUT_MS,
    }
}

fn elsewhere() -> Spec {
    Spec { transport: Transport::Http, launch: Ok(Launch::Remote(remote())), ..spec() }
}

pub(super) fn inventory(now: Timestamp) -> Arc<Inventory> {
    let raw = String::from(r#"{"name":"echo"}"#);
    let tool = Tool {
        name: String::from("echo"),
        description: String::new(),
        repeatable: false,
        raw: serde_json::value::RawValue::from_string(raw).unwrap(),
    };
    Arc::new(Inventory { tools: vec![tool], discovered_at: now, ..Inventory::default() })
}

impl Life {
    pub(super) fn elsewhere_unticked() -> Life {
        let now = Timestamp(MINUTE);
        let instance = Instance::new(elsewhere(), &Settings::default(), Random::new(7), now);
        Life { instance, now, last: Vec::new() }
    }

    fn elsewhere() -> Life {
        let mut life = Life::elsewhere_unticked();
        life.event(Event::Tick);
        life
    }

    fn reached_online() -> Life {
        let mut life = Life::elsewhere();
        life.discovers();
        life
    }

    fn link(&self) -> Incarnation {
        self.instance.state().incarnation().unwrap_or_default()
    }

    fn discovers(&mut self) -> Vec<String> {
        let incarnation = self.link();
        let mut words = Vec::new();
        self.event(Event::Initialized { incarnation });
        words.extend(self.words());
        self.listed();
        words.extend(self.words());
        words
    }

    fn listed(&mut self) -> Verdict {
        let incarnation = self.link();
        self.event(Event::Listed { incarnation, inventory: inventory(self.now) })
    }

    fn reached(&mut self) -> Verdict {
        let incarnation = self.link();
        self.event(Event::Reached { incarnation, discovers: false })
    }

    fn failed(&mut self, fault: Fault) -> Verdict {
        let incarnation = self.link();
        self.event(Event::Failed { incarnation, failure: Failure::new(fault, "it says no") })
    }

    fn closed(&mut self) -> Verdict {
        let incarnation = self.link();
        self.event(Event::PipesClosed { incarnation, reason: String::from("ended") })
    }

    /// To the next deadline.
    fn due(&mut self) -> Verdict {
        self.now = self.instance.next_deadline().expect("something is due").at;
        self.event(Event::Tick)
    }

    fn has(&self, word: &str) -> bool {
        self.words().iter().any(|one| one == word)
    }
}

#[test]
fn a_server_elsewhere_takes_no_place_and_is_online_once_it_has_answered() {
    let mut life = Life::elsewhere();
    assert_eq!(life.words(), ["provisioned->connecting", "connecting", "connect 1"]);
    assert_eq!(life.instance.view().ready, None, "calls cannot be sent before the handshake");
    assert_eq!(
        life.discovers(),
        [
            "connecting->discovering",
            "discovering_tools",
            "discovering->online",
            "online",
            "mcp.tools.discovered"
        ]
    );
    let view = life.instance.view();
    assert_eq!((view.ready, view.process.is_none()), (Some(Incarnation(1)), true));
    assert_eq!((view.health, view.health_at), (crate::view::HealthStatus::Healthy, Some(life.now)));
}

#[test]
fn a_call_may_take_as_long_as_the_entry_of_its_server_says() {
    let patient = RemoteSpec { call_timeout_ms: 120_000, ..remote() };
    let spec = Spec { launch: Ok(Launch::Remote(patient)), ..elsewhere() };
    let view =
        |spec| Instance::new(spec, &Settings::default(), Random::new(7), Timestamp(0)).view();
    assert_eq!(view(spec).call_timeout_ms, 120_000);
    assert_eq!(view(super::spec()).call_timeout_ms, limits::CALL_TIMEOUT_MS, "a process has none");
}

#[test]
fn what_failed_is_told_by_its_type_and_its_tools_stay() {
    for (fault, status, takes_calls) in [
        (Fault::Unreachable, "offline", true),
        (Fault::Broken, "error", true),
        (Fault::AuthorisationNeeded, "requires_reauth", false),
    ] {
        let mut life = Life::reached_online();
        life.failed(fault);
        assert!(life.has(status), "{:?}", life.words());
        let view = life.instance.view();
        assert_eq!(view.inventory.tools.len(), 1);
        assert_eq!(view.ready.is_some(), takes_calls, "{status}");
        assert_eq!(view.status_message.as_deref(), Some("it says no"));
        assert_eq!(life.instance.next_deadline().is_some(), takes_calls, "{status}");
    }
}

#[test]
fn a_call_that_succeeds_brings_it_back_through_one_discovery() {
    let mut life = Life::reached_online();
    life.failed(Fault::Unreachable);
    life.later(SECOND).reached();
    assert_eq!(life.words(), ["offline->connecting", "connecting", "reconnect 1"]);
    assert_eq!(life.instance.view().ready, Some(Incarnation(1)), "calls go on meanwhile");
    assert_eq!(life.reached(), Verdict::Handled);
    assert_eq!(life.words(), Vec::<String>::new(), "one discovery is enough");
    assert_eq!(
        life.discovers(),
        ["connecting->discovering", "discovering_tools", "discovering->online", "online"]
    );
}

#[test]
fn a_greeting_that_a_call_brought_about_is_no_reason_for_another() {
    let mut life = Life::reached_online();
    life.failed(Fault::Unreachable);
    let incarnation = life.link();
    life.event(Event::Reached { incarnation, discovers: true });
    assert_eq!(life.words(), ["offline->connecting", "connecting"]);
    assert_eq!(
        life.discovers(),
        ["connecting->discovering", "discovering_tools", "discovering->online", "online"]
    );
}

#[test]
fn an_attempt_is_told_of_only_when_it_succeeds() {
    let mut life = Life::reached_online();
    life.failed(Fault::Unreachable);
    for _ in 0..3 {
        assert_eq!(life.due(), Verdict::Handled);
        assert_eq!(life.words(), ["reconnect 1"]);
        assert_eq!(life.failed(Fault::Unreachable), Verdict::Handled);
        assert_eq!(life.words(), Vec::<String>::new());
    }
    life.due();
    life.reached();
    assert_eq!(life.words(), ["offline->connecting", "connecting"], "it is under way already");
    life.discovers();
    assert_eq!(life.instance.state().name(), "online");
}

#[test]
fn whatever_is_left_out_of_the_reports_a_way_up_skips_no_step() {
    for fault in [Fault::Unreachable, Fault::Broken] {
        let mut life = Life::reached_online();
        let incarnation = life.link();
        life.failed(fault);
        let name = life.instance.state().name();
        // It was being greeted when the failure was told: nothing says again that it was reached.
        assert_eq!(life.event(Event::Initialized { incarnation }), Verdict::Moved);
        let up = [alloc::format!("{name}->connecting"), "connecting".into()];
        let on = [String::from("connecting->discovering"), "discovering_tools".into()];
        assert_eq!(life.words(), [up.clone(), on.clone()].concat(), "and it is asked once");
        life.listed();
        assert_eq!(life.words()[..2], ["discovering->online", "online"]);
        // Reached, and its lists were asked for by a question that was on its way.
        life.failed(fault);
        life.reached();
        life.listed();
        assert_eq!(life.words()[..4], [&on[0], &on[1], "discovering->online", "online"]);
    }
    let mut life = Life::reached_online();
    let incarnation = life.link();
    life.failed(Fault::AuthorisationNeeded);
    assert!(matches!(life.event(Event::Initialized { incarnation }), Verdict::Ignored(_)));
    assert_eq!(life.words(), Vec::<String>::new(), "that answer is of the time before");
}

#[test]
fn a_discovery_that_fails_loses_nothing() {
    let mut life = Life::reached_online();
    life.failed(Fault::Unreachable);
    life.reached();
    let incarnation = life.link();
    life.event(Event::Initialized { incarnation });
    life.failed(Fault::Broken);
    assert_eq!(life.words(), ["discovering->error", "error"]);
    let view = life.instance.view();
    assert_eq!((view.inventory.tools.len(), view.ready), (1, Some(incarnation)));
}

#[test]
fn the_backend_s_word_starts_a_discovery_unless_one_is_under_way_or_none_is_needed() {
    let recover = || Event::RestartRequested(Restart::Recovered);
    let mut life = Life::reached_online();
    life.event(recover());
    assert_eq!(life.words(), ["relist 1"], "it is online: only its lists may be different");
    for fault in [Fault::Unreachable, Fault::Broken, Fault::AuthorisationNeeded] {
        life.failed(fault);
        life.event(recover());
        assert_eq!(life.words()[1..], ["connecting", "reconnect 1"]);
        assert!(matches!(life.event(recover()), Verdict::Ignored(_)));
        life.discovers();
    }
    assert_eq!(life.instance.state().name(), "online");
}

#[test]
fn an_access_that_ended_is_given_back_by_nobody_but_its_user() {
    let mut life = Life::reached_online();
    life.failed(Fault::AuthorisationNeeded);
    assert!(matches!(life.reached(), Verdict::Ignored(_)), "this was sent before");
    assert!(matches!(life.event(Event::Wanted), Verdict::Ignored(_)));
    life.failed(Fault::Unreachable);
    assert_eq!(life.instance.status(), InstanceStatus::RequiresReauth);
    // A check is no promise: the server itself says how it is.
    life.event(Event::CheckRequested);
    assert_eq!(life.words(), ["reconnect 1"]);
    life.failed(Fault::AuthorisationNeeded);
    assert_eq!(life.instance.status(), InstanceStatus::RequiresReauth);
    life.event(Event::CheckRequested);
    life.reached();
    life.discovers();
    assert_eq!(life.instance.status(), InstanceStatus::Online);
}

#[test]
fn it_is_asked_for_a_sign_of_life_until_nobody_cares_and_again_after_a_call() {
    let mut life = Life::reached_online();
    let start = life.now;
    let mut asked = 0;
    while life.instance.next_deadline().is_some() {
        life.due();
        assert_eq!(life.words(), ["probe 1"]);
        asked += 1;
        life.later(5).reached();
    }
    assert!(life.now.since(start) <= REMOTE_CARE_MS, "nobody has called it");
    assert!(asked >= REMOTE_CARE_MS / REMOTE_PROBE_INTERVAL_MS - 1, "{asked}");
    life.later(MINUTE);
    let activity = Activity { messages: 1, ..Activity::default() };
    let incarnation = life.link();
    life.event(Event::Used { incarnation, activity });
    assert!(life.instance.next_deadline().is_some());
}

#[test]
fn a_server_that_stays_away_is_tried_less_and_less_and_then_left_alone() {
    let mut life = Life::reached_online();
    life.failed(Fault::Unreachable);
    let mut tried = 0;
    while life.instance.next_deadline().is_some() {
        life.due();
        tried += 1;
        life.failed(Fault::Unreachable);
    }
    assert!((6..120).contains(&tried), "{tried} attempts in half an hour");
    life.later(MINUTE).event(Event::Wanted);
    assert_eq!(life.words(), ["reconnect 1"], "somebody cares again");
}

#[test]
fn another_address_ends_this_conversation_alone_and_begins_another() {
    let mut life = Life::reached_online();
    let moved = RemoteSpec { endpoints: vec![String::from("https://b.example/")], ..remote() };
    let spec = Spec { launch: Ok(Launch::Remote(moved)), ..elsewhere() };
    assert!(life.instance.needs_restart_for(&spec));
    life.event(Event::Configured(spec));
    life.event(Event::RestartRequested(Restart::Reconfigured));
    assert_eq!(life.words(), ["online->disconnecting", "restarting", "disconnect 1"]);
    life.closed();
    assert_eq!(life.words(), ["disconnecting->connecting", "connecting", "connect 2"]);
    let old = Incarnation(1);
    assert_eq!(
        life.event(Event::Reached { incarnation: old, discovers: false }),
        Verdict::Ignored("late")
    );
    assert_eq!(life.instance.view().inventory.tools.len(), 1, "old tools stay");
}

#[test]
fn a_server_may_move_into_a_process_and_out_of_it() {
    let mut life = Life::reached_online();
    life.event(Event::Configured(spec()));
    life.event(Event::RestartRequested(Restart::Reconfigured));
    life.closed();
    assert_eq!(life.words(), ["disconnecting->waiting", "command_received", "claim"]);
    life.start();
    life.event(Event::Configured(elsewhere()));
    life.event(Event::RestartRequested(Restart::Reconfigured));
    life.exit();
    assert!(life.has("release") && life.has("connect 3"), "{:?}", life.words());
    life.discovers();
    assert_eq!(life.instance.state().name(), "online");
}

#[test]
fn killed_removed_or_shut_down_it_ends_its_conversation_first() {
    for (event, state) in [
        (Event::KillRequested, "stopped"),
        (Event::DrainRequested, "stopped"),
        (Event::RemoveRequested, "removed"),
    ] {
        let mut life = Life::reached_online();
        life.event(event.clone());
        assert!(life.has("disconnect 1"), "{:?}", life.words());
        life.closed();
        assert_eq!(life.instance.state().name(), state);
        let mut silent = Life::reached_online();
        silent.event(event);
        silent.due();
        assert_eq!(silent.instance.state().name(), state, "it is not waited for without end");
    }
}

#[test]
fn a_conversation_that_ended_by_itself_is_begun_again() {
    let mut life = Life::reached_online();
    life.closed();
    assert_eq!(life.words(), ["online->offline", "offline"]);
    assert_eq!(life.instance.view().ready, None);
    life.due();
    assert_eq!(life.words(), ["offline->connecting", "connecting", "connect 2"]);
}

/// What a host and the world around it can do, as the events they cause.
fn happenings() -> impl Strategy<Value = Vec<(u8, u64)>> {
    proptest::collection::vec((0u8..16, 0u64..5 * MINUTE), 1..200)
}

proptest! {
    #[test]
    fn no_two_discoveries_run_at_once_old_tools_stay_and_recoveries_are_told_in_order(
        happenings in happenings(),
    ) {
        let mut life = Life::reached_online();
        let mut statuses = vec!["online"];
        // Discoveries asked for and not answered yet.
        let mut open = 0;
        for (what, after) in happenings {
            life.later(after);
            let incarnation = life.link();
            let is_busy = matches!(
                life.instance.state(), State::Remote(remote) if remote.is_busy()
            );
            let event = match what {
                0 | 1 => Event::Reached { incarnation, discovers: what == 1 },
                2 => Event::Initialized { incarnation },
                3 | 4 => Event::Listed { incarnation, inventory: inventory(life.now) },
                5 | 6 => {
                    let failure = Failure::new(Fault::Unreachable, "away");
                    Event::Failed { incarnation, failure }
                }
                7 => {
                    let failure = Failure::new(Fault::Broken, "broken");
                    Event::Failed { incarnation, failure }
                }
                8 => {
                    let failure = Failure::new(Fault::AuthorisationNeeded, "denied");
                    Event::Failed { incarnation, failure }
                }
                9 => Event::Used { incarnation, activity: Activity::default() },
                10 => Event::Wanted,
                11 => Event::CheckRequested,
                12 => Event::RestartRequested(Restart::Recovered),
                13 => Event::Probed { incarnation, answered: true },
                _ => Event::Tick,
            };
            let ends = matches!(event, Event::Listed { .. } | Event::Failed { .. });
            let is_tick = matches!(event, Event::Tick);
            life.event(event);
            if ends || (is_tick && is_busy) {
                open = 0;
            }
            for word in life.words() {
                if word.starts_with("reconnect") || word.starts_with("connect ") {
                    open += 1;
                    prop_assert!(open <= 1, "a second discovery in {}", life.instance.state().name());
                }
            }
            for effect in &life.last {
                if let Effect::Emit(EventData::StatusChanged(change)) = effect {
                    statuses.push(change.status.as_str());
                }
            }
            prop_assert_eq!(life.instance.view().inventory.tools.len(), 1);
        }
        for pair in statuses.windows(2) {
            let is_in_order = match pair {
                ["offline" | "error" | "requires_reauth", next] => *next != "online",
                ["connecting", next] => *next != "connecting",
                [first, second] => first != second,
                _ => true,
            };
            prop_assert!(is_in_order, "{pair:?}");
        }
    }
}
