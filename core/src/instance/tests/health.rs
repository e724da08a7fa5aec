//! Pings of a silent process, against the rule in its plainest form.

use proptest::prelude::*;

use super::*;
use crate::limits::PING_INTERVAL_MS;
use crate::view::HealthStatus;

impl Life {
    /// The next ping goes out.
    fn pinged(&mut self) {
        let due = self.instance.next_deadline().expect("a ping is due");
        assert_eq!(due.why, "ping");
        self.now = due.at;
        assert_eq!(self.event(Event::Tick), Verdict::Handled);
        assert_eq!(self.words(), [alloc::format!("probe {}", self.incarnation().0)]);
    }

    fn answers(&mut self, answered: bool) -> Verdict {
        let incarnation = self.incarnation();
        self.event(Event::Probed { incarnation, answered })
    }

    fn used(&mut self, messages: u64, in_flight: usize) {
        let incarnation = self.incarnation();
        let activity = Activity { messages, in_flight, ..Activity::default() };
        self.event(Event::Used { incarnation, activity });
    }
}

#[test]
fn a_silent_process_is_pinged_every_half_minute() {
    let mut life = Life::online();
    for _ in 0..5 {
        let before = life.now;
        life.pinged();
        assert_eq!(life.now.since(before), PING_INTERVAL_MS);
        assert_eq!(life.answers(true), Verdict::Handled);
    }
}

#[test]
fn three_pings_without_an_answer_start_a_process_afresh_as_unhealthy() {
    let mut life = Life::online();
    for _ in 0..2 {
        life.pinged();
        assert_eq!(life.later(10 * SECOND).answers(false), Verdict::Handled);
        assert_eq!(life.instance.lifecycle().health, HealthStatus::Unhealthy);
        assert_eq!(life.instance.status(), InstanceStatus::Online, "it may only be slow");
    }
    life.pinged();
    assert_eq!(life.later(10 * SECOND).answers(false), Verdict::Moved);
    assert_eq!(life.words(), ["online->stopping", "error", "terminate 1"]);
    life.exit();
    assert_eq!(
        life.words(),
        ["stopping->restarting", "restarting", "mcp.server.stopped", "release"]
    );
    let told = life.last.iter().find_map(|effect| match effect {
        Effect::Emit(EventData::ServerStopped(told)) => Some(told.reason.as_str()),
        _ => None,
    });
    assert_eq!(told, Some("unhealthy"));
    life.now = life.instance.next_deadline().unwrap().at;
    life.event(Event::Tick);
    life.start();
    let told = life.last.iter().find_map(|effect| match effect {
        Effect::Emit(EventData::ServerRestarted(told)) => Some(told.restart_reason),
        _ => None,
    });
    assert_eq!(told, Some(crate::wire::event::RestartReason::HealthCheckFailed));
    for _ in 0..2 {
        life.pinged();
        assert_eq!(life.answers(false), Verdict::Handled, "the next process is counted anew");
    }
}

#[test]
fn whoever_is_called_is_not_pinged_and_may_be_too_busy_for_it() {
    let mut life = Life::online();
    life.used(1, 1);
    assert_eq!(life.instance.next_deadline(), None);
    life.used(1, 0);
    for messages in 2..9 {
        life.pinged();
        life.later(SECOND).used(messages, 0);
        assert_eq!(life.later(9 * SECOND).answers(false), Verdict::Handled);
    }
}

#[test]
fn a_probe_that_somebody_else_asked_for_ends_nothing() {
    let mut life = Life::online();
    for _ in 0..9 {
        assert_eq!(life.answers(false), Verdict::Handled);
    }
}

proptest! {
    #[test]
    fn only_three_unanswered_pings_in_a_row_end_a_process(
        answers in proptest::collection::vec(any::<bool>(), 1..40),
    ) {
        let mut life = Life::online();
        let mut unanswered = 0;
        for (index, answered) in answers.into_iter().enumerate() {
            if index % 8 == 7 {
                // Somebody uses it, or it would be idle.
                life.used(index as u64, 0);
            }
            life.pinged();
            unanswered = if answered { 0 } else { unanswered + 1 };
            let verdict = life.later(10).answers(answered);
            prop_assert_eq!(verdict == Verdict::Moved, unanswered == 3);
            if unanswered == 3 {
                break;
            }
        }
    }
}
