use alloc::collections::BTreeSet;
use alloc::vec;

use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp(1_000_000_000);

fn queued(id: &str, priority: Priority, created_at: u64) -> Queued {
    Queued {
        id: id.into(),
        priority,
        status: CommandStatus::Pending,
        attempt: 0,
        max_retries: MAX_RETRIES,
        created_at: Timestamp(created_at),
        leased_until: None,
        expires_at: None,
    }
}

fn ids(commands: &[Queued]) -> Vec<&str> {
    commands.iter().map(|command| command.id.as_str()).collect()
}

#[test]
fn the_most_urgent_goes_first_and_then_the_oldest() {
    let queue = vec![
        queued("old", Priority::Normal, 1),
        queued("young", Priority::Immediate, 9),
        queued("older", Priority::Immediate, 2),
        queued("low", Priority::Low, 0),
    ];
    let drawn = draw(queue, 3, NOW);
    assert_eq!(ids(&drawn.handed_out), ["older", "young", "old"]);
    assert_eq!(drawn.most_urgent, Some(Priority::Immediate));
}

#[test]
fn a_command_comes_back_when_its_lease_passes_until_its_retries_are_used_up() {
    let mut queue = vec![queued("c", Priority::Normal, 0)];
    let mut now = NOW;
    for attempt in 1..=MAX_RETRIES + 1 {
        let drawn = draw(queue, 10, now);
        assert_eq!(drawn.handed_out[0].attempt, attempt);
        queue = drawn.handed_out;
        assert_eq!(draw(queue.clone(), 10, now.after(LEASE_MS - 1)), Draw::default());
        now = now.after(LEASE_MS);
    }
    let drawn = draw(queue, 10, now);
    assert_eq!(drawn.handed_out, []);
    assert_eq!(drawn.spent[0].1, "handed out 4 times without a result");
}

#[test]
fn a_command_that_expired_is_not_begun_but_one_begun_in_time_may_end() {
    let expiring = Queued { expires_at: Some(NOW.after(5_999)), ..queued("c", Priority::High, 0) };
    assert_eq!(expiring.expires_in(NOW), Some(5));
    assert_eq!(draw(vec![expiring.clone()], 1, NOW).handed_out.len(), 1);
    let later = NOW.after(6_000);
    assert_eq!(draw(vec![expiring.clone()], 1, later).spent.len(), 1);
    let begun = Queued { status: CommandStatus::Executing, attempt: 1, ..expiring };
    assert_eq!(draw(vec![begun], 1, later).handed_out.len(), 1);
}

#[test]
fn the_first_final_result_stands() {
    use CommandStatus::{Acknowledged, Completed, Executing, Failed, Pending};
    let held = Some(NOW.after(HELD_LEASE_MS));
    assert_eq!(report(Pending, Completed, NOW), Report::Takes(Completed, None));
    assert_eq!(report(Pending, Acknowledged, NOW), Report::Takes(Acknowledged, held));
    assert_eq!(report(Acknowledged, Executing, NOW), Report::Takes(Executing, held));
    assert_eq!(report(Executing, Acknowledged, NOW), Report::Repeats);
    assert_eq!(report(Completed, Failed, NOW), Report::Repeats);
    assert_eq!(report(Failed, Completed, NOW), Report::Repeats);
    assert_eq!(report(Completed, Acknowledged, NOW), Report::Repeats);
    assert_eq!(report(Executing, Pending, NOW), Report::Repeats);
}

#[test]
fn a_limit_stays_within_the_contract() {
    assert_eq!([limit(None), limit(Some(0)), limit(Some(7)), limit(Some(999))], [10, 1, 7, 50]);
}

fn any_priority() -> impl Strategy<Value = Priority> {
    prop_oneof![
        Just(Priority::Immediate),
        Just(Priority::High),
        Just(Priority::Normal),
        Just(Priority::Low),
    ]
}

fn any_status() -> impl Strategy<Value = CommandStatus> {
    prop_oneof![
        4 => Just(CommandStatus::Pending),
        1 => Just(CommandStatus::Acknowledged),
        1 => Just(CommandStatus::Executing),
        1 => Just(CommandStatus::Completed),
        1 => Just(CommandStatus::Failed),
    ]
}

prop_compose! {
    fn any_queued()(
        id in 0u32..1_000, priority in any_priority(), status in any_status(),
        attempt in 0u64..6, created_at in 0u64..50,
        lease in proptest::option::of(0u64..200_000), end in proptest::option::of(0u64..200_000),
    ) -> Queued {
        Queued {
            id: alloc::format!("c{id}").into(), priority, status, attempt,
            max_retries: MAX_RETRIES, created_at: Timestamp(created_at),
            leased_until: lease.map(|lease| Timestamp(NOW.0 - 100_000 + lease)),
            expires_at: end.map(|end| Timestamp(NOW.0 - 100_000 + end)),
        }
    }
}

proptest! {
    #[test]
    fn a_draw_is_in_order_and_leaves_nothing_more_urgent_behind(
        queue in proptest::collection::vec(any_queued(), 0..40), limit in 1usize..12,
    ) {
        let mut seen = BTreeSet::new();
        let queue: Vec<_> = queue.into_iter().filter(|c| seen.insert(c.id.clone())).collect();
        let drawn = draw(queue.clone(), limit, NOW);
        prop_assert!(drawn.handed_out.len() <= limit);
        prop_assert!(drawn.handed_out.is_sorted_by(|a, b| order(a, b).is_lt()));
        let handed: BTreeSet<_> = drawn.handed_out.iter().map(|c| c.id.clone()).collect();
        if let Some(last) = drawn.handed_out.last() {
            for command in &queue {
                let waits = command.standing(NOW) == Standing::Ready && !handed.contains(&command.id);
                prop_assert!(!waits || order(last, command).is_lt());
            }
        }
        for command in &drawn.handed_out {
            prop_assert_eq!(command.standing(NOW), Standing::Leased);
            prop_assert!(!drawn.spent.iter().any(|(id, _)| *id == command.id));
        }
        // What was drawn is not drawn again at once.
        let after: Vec<_> = queue
            .into_iter()
            .filter(|c| !handed.contains(&c.id))
            .chain(drawn.handed_out.iter().cloned())
            .collect();
        for command in draw(after, usize::MAX, NOW).handed_out {
            prop_assert!(!handed.contains(&command.id));
        }
    }

    #[test]
    fn a_final_status_never_changes(
        reports in proptest::collection::vec(any_status(), 0..12),
    ) {
        let mut current = CommandStatus::Pending;
        let mut ended = None;
        for reported in reports {
            if let Report::Takes(status, _) = report(current, reported, NOW) {
                current = status;
            }
            if let Some(ended) = ended {
                prop_assert_eq!(current, ended);
            } else if current.is_final() {
                ended = Some(current);
            }
        }
    }
}
