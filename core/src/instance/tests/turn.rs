//! Waiting for the turn to start: how long, and on whose behalf.

use super::*;

const WAIT_MS: u64 = 60_000;

/// Asleep, and wanted: it waits for its turn.
fn woken() -> Life {
    let mut life = Life::online();
    life.idle();
    life.exit();
    life.later(SECOND).event(Event::Wanted);
    assert_eq!(life.instance.state().name(), "waiting");
    life
}

#[test]
fn a_wake_that_gets_no_turn_is_given_up_when_whoever_asked_for_it_has_gone() {
    let mut life = woken();
    let asleep_since = Some(Timestamp(life.now.0 - SECOND));
    assert_eq!(life.instance.view().waits_since, Some(life.now));
    // A second call keeps it waiting for as long as that call waits.
    life.later(WAIT_MS - 1).event(Event::Wanted);
    assert!(matches!(life.later(1).event(Event::Tick), Verdict::Ignored(_)));
    assert_eq!(life.instance.next_deadline().map(|due| due.why), Some("place"));
    life.later(WAIT_MS - 1).event(Event::Tick);
    assert_eq!(life.words(), ["waiting->dormant", "release"]);
    let view = life.instance.view();
    assert_eq!((view.status, view.dormant_since), (InstanceStatus::Online, asleep_since));
    life.event(Event::Wanted);
    assert_eq!(life.words(), ["dormant->waiting", "claim"]);
}

#[test]
fn what_starts_for_another_reason_waits_as_long_as_it_takes() {
    let first = || {
        let mut life = Life::new();
        life.event(Event::Tick);
        life
    };
    let commanded = || {
        let mut life = Life::online();
        life.event(Event::RestartRequested(Restart::Commanded("c".into())));
        life.exit();
        life.event(Event::KillRequested);
        life.event(Event::RestartRequested(Restart::Reconfigured));
        life
    };
    for mut life in [first(), commanded()] {
        assert_eq!(life.instance.state().name(), "waiting");
        assert_eq!(life.instance.next_deadline(), None);
        life.later(100 * WAIT_MS).event(Event::Tick);
        assert_eq!(life.instance.state().name(), "waiting");
    }
}

#[test]
fn the_time_for_the_handshake_begins_when_the_turn_has_come() {
    let mut life = woken();
    life.later(WAIT_MS - 1).event(Event::Placed);
    let due = life.instance.next_deadline().map(|due| (due.at.since(life.now), due.why));
    let whole = limits::HANDSHAKE_TIMEOUT_MS + lifecycle::MARGIN_MS;
    assert_eq!(due, Some((whole, "handshake")));
}
