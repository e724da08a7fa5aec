//! The command queue against the rule in its plainest form ([`super::model`]), step by step.

use super::model::{Done, Kind, Model, Order, Reception};
use super::*;

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    Delivered(Vec<Order>),
    /// What can't be read as a command; it may have an id all the same.
    Unreadable(Option<u8>),
    /// The command that runs ends, well or not; another one does not.
    Completed(bool),
    /// The result on its way is answered like this; 0 is no answer at all.
    Answered(u16),
    /// The acknowledgement on its way is answered, or not.
    Acknowledged(bool),
    /// An answer to a request of long ago.
    Late(Channel),
    /// So many milliseconds pass.
    Passed(u64),
    /// Time passes until a millisecond before the machine's own deadline, and then until that.
    Due,
    /// From here on the disk is full, or has room.
    DiskFull(bool),
    LeaseGranted(bool),
    DrainRequested,
}

fn order() -> impl Strategy<Value = Order> {
    let kind = prop_oneof![
        6 => Just(Kind::Good),
        1 => Just(Kind::UnknownType),
        1 => Just(Kind::OtherTeam),
        1 => Just(Kind::UnreadablePayload),
    ];
    let expires_in = prop_oneof![3 => Just(None), 2 => (0u64..40).prop_map(Some)];
    (0u8..8, 0u8..4, kind, expires_in, 1u64..5).prop_map(
        |(id, urgency, kind, expires_in, attempt)| Order { id, urgency, kind, expires_in, attempt },
    )
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let status = proptest::sample::select(&[0, 200, 200, 200, 204, 400, 404, 413, 422, 401, 503]);
    let channel = prop_oneof![Just(Channel::Result), Just(Channel::Acknowledgement)];
    let step = prop_oneof![
        8 => proptest::collection::vec(order(), 0..4).prop_map(Step::Delivered),
        1 => proptest::option::of(0u8..8).prop_map(Step::Unreadable),
        5 => any::<bool>().prop_map(Step::Completed),
        5 => status.prop_map(Step::Answered),
        3 => any::<bool>().prop_map(Step::Acknowledged),
        1 => channel.prop_map(Step::Late),
        2 => (0u64..30_000).prop_map(Step::Passed),
        2 => Just(Step::Due),
        2 => proptest::bool::weighted(0.3).prop_map(Step::DiskFull),
        1 => proptest::bool::weighted(0.8).prop_map(Step::LeaseGranted),
    ];
    let end = proptest::collection::vec(step.clone().boxed(), 0..20);
    // Some queues are drained, and go on for a while.
    (proptest::collection::vec(step, 1..100), any::<bool>(), end).prop_map(
        |(mut steps, drains, end)| {
            if drains {
                steps.push(Step::DrainRequested);
                steps.extend(end);
            }
            steps
        },
    )
}

fn name(id: u8) -> String {
    alloc::format!("c{id}")
}

fn number(id: &str) -> u8 {
    id.strip_prefix('c').and_then(|number| number.parse().ok()).expect("an id of these tests")
}

/// The command as the Backend writes it. Only its id makes it the same one.
fn written(order: &Order) -> Command {
    let urgencies = [Priority::Immediate, Priority::High, Priority::Normal, Priority::Low];
    let mut command = command(&name(order.id), urgencies[usize::from(order.urgency)]);
    command.attempt = Some(order.attempt);
    command.expires_in = order.expires_in;
    let field = match order.kind {
        Kind::UnknownType => {
            command.command_type = CommandType::Unknown("dance".to_string());
            return command;
        }
        Kind::OtherTeam => ("team_id", json!("other")),
        Kind::UnreadablePayload => ("installation_id", json!(["of", "what"])),
        Kind::Good | Kind::Unreadable => ("team_id", json!("own")),
    };
    command.payload.insert(field.0.to_string(), field.1);
    command
}

/// The machine and the model, side by side.
struct Pair {
    bench: Bench,
    model: Model,
    result: Option<RequestKey>,
    acknowledgement: Option<RequestKey>,
    /// The results as they went out first.
    told: BTreeMap<u8, Value>,
}

impl Pair {
    fn feed(&mut self, event: Event) {
        self.bench.feed(event);
        let now = self.bench.now.0;
        let expected = self.model.follows(now);
        assert_eq!(self.done(), expected);
        assert_eq!(
            self.bench.commands.executing().map(|id| number(id.as_str())),
            self.model.running()
        );
        assert_eq!(self.bench.commands.unconfirmed(), self.model.unsettled());
        assert_eq!(
            self.bench.commands.is_idle(),
            self.model.running().is_none() && self.model.unsettled() == 0
        );
        assert_eq!(self.bench.commands.next_deadline().map(|next| next.at.0), self.model.due());
    }

    /// What the last event called for.
    fn done(&mut self) -> Done {
        let mut done = Done::default();
        for effect in self.bench.out.clone() {
            match effect {
                Effect::Execute(command) => {
                    assert_eq!(done.begun.replace(number(command.id.as_str())), None);
                }
                Effect::Send { request, http } => {
                    let body: Value =
                        serde_json::from_slice(&http.body.unwrap_or_default()).unwrap();
                    let id = number(body["command_id"].as_str().unwrap_or_default());
                    if request.channel == Channel::Acknowledgement {
                        assert_eq!(body["status"], "acknowledged");
                        assert_eq!(self.acknowledgement.replace(request), None, "one at a time");
                        done.acknowledged = body["attempt"].as_u64().map(|attempt| (id, attempt));
                        continue;
                    }
                    assert_eq!(self.result.replace(request), None, "one at a time");
                    done.result = Some((id, body["status"] == "completed"));
                    assert_eq!(*self.told.entry(id).or_insert_with(|| body.clone()), body);
                }
                Effect::Journal { .. } | Effect::Log(_) => {}
            }
        }
        done
    }

    fn delivered(&mut self, orders: &[Order]) {
        let commands = orders.iter().map(written).collect();
        if self.model.drains {
            self.feed(Event::Received(commands));
            assert_eq!(self.bench.verdict, Verdict::Refused(Refusal::Draining));
            return;
        }
        let expected = self.model.delivered(self.bench.now.0, orders);
        self.feed(Event::Received(commands));
        let reception = match self.bench.verdict {
            Verdict::Refused(_) => Reception::Refused,
            Verdict::Ignored(_) => Reception::Ignored,
            _ => Reception::Handled,
        };
        assert_eq!(reception, expected);
    }

    fn unreadable(&mut self, id: Option<u8>) {
        if let Some(id) = id.filter(|_| !self.model.drains) {
            let order =
                Order { id, urgency: 0, kind: Kind::Unreadable, expires_in: None, attempt: 0 };
            self.model.delivered(self.bench.now.0, &[order]);
        }
        let id = id.map(|id| CommandId::from(name(id).as_str()));
        let reason = "`command_type`: missing".to_string();
        self.feed(Event::ReceivedUnreadable(vec![Unreadable { id, reason }]));
    }

    fn completed(&mut self, is_good: bool) {
        let Some(id) = self.model.running() else {
            let outcome = Outcome::default();
            self.feed(Event::Completed { id: "c0".into(), outcome });
            assert_eq!(self.bench.verdict, Verdict::Ignored("late"));
            return;
        };
        let other = CommandId::from(name(id + 1).as_str());
        self.feed(Event::Completed { id: other, outcome: Outcome::default() });
        assert_eq!(self.bench.verdict, Verdict::Ignored("late"));
        self.model.ended(id, is_good);
        let since = self.bench.now;
        let outcome = match is_good {
            true => Outcome::completed(since, since, json!({"of": id})),
            false => Outcome::failed(since, "it did not work"),
        };
        self.feed(Event::Completed { id: CommandId::from(name(id).as_str()), outcome });
    }

    fn answered(&mut self, status: u16) {
        let Some(request) = self.result.take() else { return };
        let answer = match status {
            0 => Err(HttpFailure::TimedOut),
            status => Ok(HttpAnswer { status, ..HttpAnswer::default() }),
        };
        if matches!(status, 200 | 204 | 400 | 404 | 413 | 422) {
            self.model.settled();
            self.feed(Event::Answered { request, answer });
            return;
        }
        self.model.failed();
        // How long it waits is drawn; from here on it has to keep to that.
        let mut out = Vec::new();
        let now = self.bench.now;
        self.bench.verdict =
            self.bench.commands.handle(now, Event::Answered { request, answer }, &mut out);
        let until = self.bench.commands.results.due().expect("it is sent again");
        let longest = 300_000.min(2_000 << self.model.failures.min(10));
        assert!((2_000..=longest).contains(&until.since(now)), "{until:?} from {now:?}");
        self.model.paused_until = Some(until.0);
        assert!(out.iter().all(|effect| matches!(effect, Effect::Log(_))), "{out:?}");
    }

    fn late(&mut self, channel: Channel) {
        let request = RequestKey { channel, number: 0 };
        let answer = Ok(HttpAnswer { status: 200, ..HttpAnswer::default() });
        self.feed(Event::Answered { request, answer });
        assert_eq!(self.bench.verdict, Verdict::Ignored("late"));
    }

    fn time(&mut self, now: u64) {
        self.bench.now = Timestamp(now);
        let was_due = self.model.due().is_some_and(|due| due <= now);
        self.model.time(now);
        self.feed(Event::Tick);
        if !self.model.drains {
            assert_eq!(self.bench.verdict == Verdict::Handled, was_due);
        }
    }

    fn step(&mut self, step: &Step) {
        let now = self.bench.now.0;
        match step {
            Step::Delivered(orders) => self.delivered(orders),
            Step::Unreadable(id) => self.unreadable(*id),
            Step::Completed(is_good) => self.completed(*is_good),
            Step::Answered(status) => self.answered(*status),
            Step::Acknowledged(arrives) => {
                let Some(request) = self.acknowledgement.take() else { return };
                let answer = if *arrives {
                    Ok(HttpAnswer { status: 200, ..HttpAnswer::default() })
                } else {
                    Err(HttpFailure::TimedOut)
                };
                self.model.receipt_in_flight = false;
                self.feed(Event::Answered { request, answer });
            }
            Step::Late(channel) => self.late(*channel),
            Step::Passed(milliseconds) => self.time(now + milliseconds),
            Step::Due => {
                let Some(due) = self.model.due() else { return };
                if due > now {
                    self.time(due - 1);
                }
                self.time(due);
            }
            Step::DiskFull(is_full) => {
                (self.bench.is_full, self.model.is_full) = (*is_full, *is_full);
            }
            Step::LeaseGranted(granted) => {
                self.model.wants_receipts = *granted;
                self.feed(Event::LeaseGranted(*granted));
            }
            Step::DrainRequested => {
                self.model.drains = true;
                self.feed(Event::DrainRequested);
            }
        }
    }
}

proptest! {
    #[test]
    fn the_queue_does_what_the_plain_rule_wants_and_nothing_else(
        steps in steps(),
        seed in any::<u64>(),
    ) {
        let mut bench = Bench::of_team(Some("own"));
        bench.commands.random = Random::new(seed);
        let (result, acknowledgement) = (None, None);
        let mut pair =
            Pair { bench, model: Model::default(), result, acknowledgement, told: BTreeMap::new() };
        for step in &steps {
            pair.step(step);
        }
    }
}
