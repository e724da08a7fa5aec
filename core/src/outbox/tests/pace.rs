//! How long the outbox waits, and what it says it did.

use super::*;

#[test]
fn pauses_grow_with_each_failure_and_begin_anew_after_a_batch_was_taken() {
    let mut longest = [0; 6];
    for seed in 0..100 {
        let mut bench = Bench::new(10);
        bench.outbox = Outbox::new(&Settings::default(), Random::new(seed));
        bench.feed(Event::Paired(credentials()));
        bench.emit("a");
        bench.wait();
        for (failures, longest) in (1u32..).zip(&mut longest) {
            bench.answer(503, "");
            let pause = bench.wait();
            assert!((2_000..=2_000 << failures).contains(&pause), "{pause} after {failures}");
            *longest = pause.max(*longest);
        }
        bench.answer(200, TAKEN);
        bench.emit("b");
        bench.wait();
        bench.answer(503, "");
        assert!((2_000..=4_000).contains(&bench.wait()));
    }
    for (failures, longest) in (1u32..).zip(longest) {
        assert!(longest > 1_500 << failures, "{longest} at most after {failures}");
    }
}

#[test]
fn a_verdict_says_whether_something_else_is_done_from_then_on() {
    let mut bench = Bench::paired();
    bench.emit("a");
    assert_eq!(bench.verdict, Verdict::Moved, "a window opens");
    bench.emit("b");
    assert_eq!(bench.verdict, Verdict::Handled, "and stays open");
    bench.wait();
    assert_eq!(bench.verdict, Verdict::Moved, "a batch is on its way");
    bench.answer(400, "");
    assert_eq!(bench.verdict, Verdict::Handled, "and a part of it");
    bench.answer(503, "");
    assert_eq!(bench.verdict, Verdict::Moved, "a pause");
}
