//! The pace at which results are sent, and what a delivery as a whole is answered with.

use super::*;

/// A queue with one result on its way.
fn reporting(seed: u64) -> Bench {
    let mut bench = Bench::of_team(None);
    bench.commands.random = Random::new(seed);
    bench.receive(vec![command("a", Priority::High)]);
    bench.complete("a");
    bench
}

#[test]
fn pauses_grow_with_each_failure_and_begin_anew_after_a_confirmation() {
    let mut longest = [0; 6];
    for seed in 0..100 {
        let mut bench = reporting(seed);
        for (failures, longest) in (1u32..).zip(&mut longest) {
            bench.answer(503, "");
            let pause = bench.wait();
            assert!((2_000..=2_000 << failures).contains(&pause), "{pause} after {failures}");
            *longest = pause.max(*longest);
        }
        bench.answer(200, CONFIRMED);
        bench.receive(vec![command("b", Priority::High)]);
        bench.complete("b");
        bench.answer(503, "");
        assert!((2_000..=4_000).contains(&bench.wait()));
    }
    for (failures, longest) in (1u32..).zip(longest) {
        assert!(longest > 1_500 << failures, "{longest} at most after {failures}");
    }
}

#[test]
fn an_answer_to_another_request_is_late() {
    let mut bench = reporting(1);
    let (request, _) = bench.sent().unwrap();
    let other = RequestKey { number: request.number + 1, ..request };
    let answer = || Ok(HttpAnswer { status: 200, body: CONFIRMED.into(), ..HttpAnswer::default() });
    bench.feed(Event::Answered { request: other, answer: answer() });
    assert_eq!((bench.verdict, bench.commands.unconfirmed()), (Verdict::Ignored("late"), 1));
    bench.feed(Event::Answered { request, answer: answer() });
    assert_eq!((bench.verdict, bench.commands.unconfirmed()), (Verdict::Handled, 0));
    bench.feed(Event::Answered { request, answer: answer() });
    assert_eq!(bench.verdict, Verdict::Ignored("late"));
}

#[test]
fn a_delivery_is_answered_with_the_gravest_of_what_became_of_its_commands() {
    let good = |id: &str| command(id, Priority::Normal);
    let bad = |id: &str| Command {
        command_type: CommandType::Unknown("dance".into()),
        ..command(id, Priority::Normal)
    };
    let refused = Verdict::Refused(Refusal::Unknown);
    for (commands, expected) in [
        (vec![], Verdict::Ignored("no command")),
        (vec![good("b")], Verdict::Handled),
        (vec![good("a")], Verdict::Handled),
        (vec![bad("b")], refused),
        (vec![bad("b"), good("c")], refused),
        (vec![good("c"), bad("b")], refused),
        (vec![bad("b"), good("a")], refused),
    ] {
        let mut bench = reporting(1);
        bench.answer(200, CONFIRMED);
        let shown = alloc::format!("{commands:?}");
        bench.receive(commands);
        assert_eq!(bench.verdict, expected, "{shown}");
    }
    let mut bench = Bench::of_team(None);
    bench.receive(vec![good("a")]);
    bench.receive(vec![good("a")]);
    assert_eq!(bench.verdict, Verdict::Ignored("the command waits already"));
}
