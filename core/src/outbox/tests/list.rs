//! The outbox against the rule in its plainest form ([`super::model`]), step by step.

use alloc::collections::BTreeMap;

use proptest::prelude::*;

use super::model::{List, Model, Phase, Way};
use super::*;
use crate::request::Channel;

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    Emitted,
    Paired,
    /// The batch on its way is answered; `Retry-After` may ask for so many seconds.
    Answered(Answer, Option<u64>),
    /// An answer to a batch of long ago, and word of a sync of long ago.
    Late,
    /// So many milliseconds pass.
    Passed(u64),
    /// Time passes until a millisecond before the machine's own deadline, and then until that.
    Due,
    FlushRequested,
    /// The journal has grown too long and is written anew.
    Rewritten,
    /// The daemon is killed, and another one goes on.
    Killed,
}

#[derive(Clone, Copy, Debug)]
enum Answer {
    Status(u16),
    Unreadable,
    Lost,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let statuses = &[200, 200, 200, 200, 400, 413, 422, 429, 401, 404, 503];
    let answer = prop_oneof![
        9 => proptest::sample::select(statuses).prop_map(Answer::Status),
        1 => Just(Answer::Unreadable),
        1 => Just(Answer::Lost),
    ];
    let asks = proptest::option::weighted(0.2, 0u64..400);
    let step = prop_oneof![
        12 => Just(Step::Emitted),
        1 => Just(Step::Paired),
        8 => (answer, asks).prop_map(|(answer, asks)| Step::Answered(answer, asks)),
        1 => Just(Step::Late),
        2 => (0u64..5_000).prop_map(Step::Passed),
        4 => Just(Step::Due),
        1 => Just(Step::Rewritten),
        1 => Just(Step::Killed),
    ];
    let end = proptest::collection::vec(step.clone().boxed(), 0..30);
    (proptest::collection::vec(step, 1..200), any::<bool>(), end).prop_map(
        |(mut steps, is_ended, end)| {
            if is_ended {
                steps.push(Step::FlushRequested);
                steps.extend(end);
            }
            steps
        },
    )
}

/// The machine and the model, side by side.
struct Pair {
    bench: Bench,
    model: Model,
    request: Option<RequestKey>,
    /// The id under which each number was sent.
    ids: BTreeMap<u64, String>,
}

impl Pair {
    /// After each event: what waits, what was sent, and what is waited for.
    fn compare(&mut self) {
        let view = self.bench.outbox.view();
        let list = &self.model.list;
        assert_eq!((view.waiting, view.dropped), (list.items.len(), list.dropped));
        assert_eq!(view.bytes, list.bytes());
        assert_eq!(self.bench.outbox.is_empty(), list.items.is_empty());
        assert_eq!(self.bench.outbox.next_seq(), self.model.next_seq);
        if let Some((request, events)) = self.bench.sent() {
            assert_eq!(self.request.replace(request), None, "one batch at a time");
            self.compare_batch(&events);
        }
        assert_eq!(self.request.is_some(), matches!(self.model.phase, Phase::InFlight(_)));
        let deadline = self.bench.outbox.next_deadline().map(|next| next.at.0);
        assert_eq!(deadline, self.model.due());
    }

    fn compare_batch(&mut self, events: &[Value]) {
        let Phase::InFlight(count) = self.model.phase else { panic!("nothing should be sent") };
        assert_eq!(events.len(), count);
        for (event, item) in events.iter().zip(&self.model.list.items) {
            let data = &event["data"];
            let gap = (event["type"] == "satellite.events.gap").then(|| {
                assert_eq!(data["to_seq"], event["seq"]);
                (data["from_seq"].as_u64().unwrap(), data["count"].as_u64().unwrap())
            });
            assert_eq!((event["seq"].as_u64(), gap), (Some(item.seq), item.gap));
            let id = event["id"].as_str().expect("each has an id");
            assert_eq!(self.ids.entry(item.seq).or_insert_with(|| id.to_string()), id);
        }
    }

    fn emitted(&mut self) {
        let seq = self.model.next_seq;
        let name = "x".repeat((seq % 7) as usize * 10);
        let at = self.bench.now;
        self.bench.feed(Event::Emitted { data: stopped(&name), at });
        let bytes = self.bench.out.iter().find_map(|effect| match effect {
            Effect::Journal { entry: journal::Entry::Event(json), .. } => Some(json.get().len()),
            _ => None,
        });
        let warned = self
            .bench
            .out
            .iter()
            .any(|effect| matches!(effect, Effect::Log(line) if line.level == Level::Warn));
        let warns = self.model.emitted(at.0, bytes.expect("it is entered in the journal"));
        assert_eq!(warned, warns, "a row of losses is logged once");
    }

    fn answered(&mut self, answer: Answer, asks: Option<u64>) {
        let Some(request) = self.request.take() else { return };
        let (way, answer) = match answer {
            Answer::Status(status) => {
                let retry_after = asks.map(|seconds| seconds.to_string());
                let answer =
                    HttpAnswer { status, retry_after, body: TAKEN.into(), ..HttpAnswer::default() };
                let way = match status {
                    200 => Way::Taken,
                    400 | 413 | 422 => Way::Refused,
                    429 => Way::Throttled,
                    _ => Way::Failed,
                };
                (way, Ok(answer))
            }
            Answer::Unreadable => {
                let retry_after = asks.map(|seconds| seconds.to_string());
                let body = "<html>".into();
                (
                    Way::Failed,
                    Ok(HttpAnswer { status: 200, retry_after, body, ..HttpAnswer::default() }),
                )
            }
            Answer::Lost => (Way::Failed, Err(HttpFailure::TimedOut)),
        };
        let asked = if answer.is_ok() { asks.unwrap_or(0).min(300) * 1_000 } else { 0 };
        let now = self.bench.now;
        let pause = self.model.answered(now.0, way, asked);
        self.bench.feed(Event::Answered { request, answer });
        if let Some(pause) = pause {
            let until = self.bench.outbox.next_deadline().expect("it is tried again").at;
            assert!(pause.contains(&until.since(now)), "{until:?} is not {pause:?} after {now:?}");
            self.model.phase = Phase::Pausing(until.0);
        }
    }

    fn late(&mut self) {
        let request = RequestKey { channel: Channel::Events, number: 0 };
        let answer = Ok(HttpAnswer { status: 200, body: TAKEN.into(), ..HttpAnswer::default() });
        for event in
            [Event::Answered { request, answer }, Event::Stored { ticket: 0, kept: Kept::Synced }]
        {
            self.bench.feed(event);
            assert_eq!(self.bench.verdict, Verdict::Ignored("late"));
        }
    }

    fn time(&mut self, now: u64) {
        self.bench.now = Timestamp(now);
        let is_due = self.model.time(now);
        self.bench.feed(Event::Tick);
        assert_eq!(matches!(self.bench.verdict, Verdict::Ignored(_)), !is_due);
        self.compare();
    }

    fn step(&mut self, step: &Step) {
        let now = self.bench.now.0;
        match step {
            Step::Emitted => self.emitted(),
            Step::Paired => {
                self.model.is_paired = true;
                self.bench.feed(Event::Paired(credentials()));
            }
            Step::Answered(answer, asks) => self.answered(*answer, *asks),
            Step::Late => self.late(),
            Step::Passed(milliseconds) => return self.time(now + milliseconds),
            Step::Due => {
                let Some(due) = self.model.due() else { return };
                if due > now {
                    self.time(due - 1);
                }
                return self.time(due.max(now));
            }
            Step::FlushRequested => {
                self.model.flush();
                self.bench.feed(Event::FlushRequested);
            }
            Step::Rewritten => {
                self.bench.journal.clear();
                for entry in self.bench.outbox.remembered() {
                    journal::encode(&entry, &mut self.bench.journal);
                }
                return;
            }
            // Of a journal without a word the next daemon cannot know that there never was one.
            Step::Killed if self.bench.journal.is_empty() => return,
            Step::Killed => {
                self.bench.restart("");
                self.model.restarted(now);
                self.request = None;
            }
        }
        self.compare();
        // What has been said is not said again.
        self.bench.out.clear();
    }
}

proptest! {
    #[test]
    fn what_waits_is_the_list_that_the_plain_rule_wants_and_goes_out_when_it_says(
        steps in steps(),
        capacity in prop_oneof![2usize..40, Just(10_000usize)],
    ) {
        let model = Model::new(List::new(capacity, usize::MAX));
        let mut pair =
            Pair { bench: Bench::new(capacity), model, request: None, ids: BTreeMap::new() };
        for step in &steps {
            pair.step(step);
        }
    }
}
