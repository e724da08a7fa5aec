//! Two endpoints, one of which is killed now and then, at any moment of any exchange. One is always
//! up, so the server is.

use alloc::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const TWO: [&str; 2] = ["https://a.example/mcp", "https://b.example/mcp"];
/// Kills are further apart than a message is tried again.
const CALM_MS: u64 = 8_000;

#[derive(Clone, Copy, Debug)]
enum Step {
    Call {
        repeatable: bool,
    },
    /// One of the messages that are under way is answered.
    Answer(usize),
    /// The endpoint that has most to do is killed, or the other one.
    Kill {
        busier: bool,
        refuses: bool,
    },
    Start,
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<bool>().prop_map(|repeatable| Step::Call { repeatable }),
        6 => any::<usize>().prop_map(Step::Answer),
        2 => any::<(bool, bool)>().prop_map(|(busier, refuses)| Step::Kill { busier, refuses }),
        2 => Just(Step::Start),
        3 => (0_u64..3_000).prop_map(Step::Pass),
    ]
}

struct Failover {
    bench: Bench,
    session: Option<&'static str>,
    /// What the endpoints have and did not answer yet.
    under_way: Vec<Sent>,
    down: Option<usize>,
    killed: Timestamp,
    refuses: bool,
    next: u64,
    faults: Vec<Fault>,
    answered: BTreeSet<u64>,
}

fn at(sent: &Sent) -> usize {
    usize::from(!sent.url.starts_with("https://a."))
}

impl Failover {
    fn new(session: Option<&'static str>) -> Self {
        let bench = Bench::ready_with(spec(&TWO), session);
        Failover {
            killed: Timestamp(0),
            bench,
            session,
            under_way: vec![],
            down: None,
            refuses: false,
            next: 1,
            faults: vec![],
            answered: BTreeSet::new(),
        }
    }

    /// What was sent arrives, or does not.
    fn deliver(&mut self) {
        loop {
            let sent = self.bench.requests();
            if sent.is_empty() {
                break;
            }
            for sent in sent {
                if Some(at(&sent)) == self.down {
                    self.bench.fail(&sent, if self.refuses { refused() } else { reset() });
                } else {
                    self.under_way.push(sent);
                }
            }
        }
        // Of one look at the effects, since it takes the others as well.
        let (mut reports, mut rest) = (vec![], vec![]);
        for effect in core::mem::take(&mut self.bench.out) {
            match effect {
                Effect::Report(Report::Failed(failure)) => reports.push(failure.fault),
                Effect::Answer { call, .. } => assert!(self.answered.insert(call.0), "twice"),
                Effect::Abort { exchange } => {
                    self.under_way.retain(|sent| sent.exchange != exchange);
                }
                other => rest.push(other),
            }
        }
        self.faults.extend(reports);
    }

    fn answer(&mut self, which: usize) {
        if self.under_way.is_empty() {
            return;
        }
        let sent = self.under_way.remove(which % self.under_way.len());
        let session = self.session;
        if sent.rpc() == "initialize" {
            let body = json!({"jsonrpc": "2.0", "id": sent.body["id"], "result": {
                "protocolVersion": "2025-06-18", "capabilities": {}}});
            let mut headers = JSON.to_vec();
            if let Some(session) = session {
                headers.push(("mcp-session-id", session.as_bytes()));
            }
            self.bench.answer(&sent, 200, &headers, &body.to_string());
        } else if sent.method != Method::Post {
            self.bench.answer(&sent, 405, &[], "");
        } else if sent.body["id"].is_null() {
            self.bench.answer(&sent, 202, &[], "");
        } else {
            self.bench.result(&sent);
        }
    }

    fn kill(&mut self, which: usize, refuses: bool) {
        if self.down.is_some() || self.bench.now.since(self.killed) < CALM_MS {
            return;
        }
        self.down = Some(which);
        self.killed = self.bench.now;
        self.refuses = refuses;
        let (lost, kept) = self.under_way.drain(..).partition(|sent| at(sent) == which);
        self.under_way = kept;
        let lost: Vec<Sent> = lost;
        for sent in lost {
            self.bench.fail(&sent, reset());
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Call { repeatable } => {
                self.bench.call(self.next, repeatable);
                self.next += 1;
            }
            Step::Answer(which) => self.answer(which),
            Step::Kill { busier, refuses } => {
                let of_first = self.under_way.iter().filter(|sent| at(sent) == 0).count();
                let is_first_busier = of_first * 2 > self.under_way.len();
                self.kill(usize::from(is_first_busier != busier), refuses);
            }
            Step::Start => self.down = None,
            // Nothing is left lying for longer than requests of our own may take.
            Step::Pass(time) => {
                for _ in 0..time / 500 {
                    self.pass(500);
                }
                self.pass(time % 500);
            }
        }
        self.deliver();
    }

    fn pass(&mut self, time: u64) {
        self.bench.after(time);
        self.deliver();
        while self.under_way.iter().any(|sent| sent.rpc() != "tools/call") {
            let own = self.under_way.iter().position(|sent| sent.rpc() != "tools/call");
            self.answer(own.unwrap_or(0));
            self.deliver();
        }
    }
}

proptest! {
    #[test]
    fn a_server_with_an_endpoint_that_is_up_is_never_told_to_be_down(
        has_session in any::<bool>(),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut failover = Failover::new(has_session.then_some("s"));
        failover.deliver();
        for step in steps {
            failover.take(step);
            prop_assert_eq!(&failover.faults, &vec![], "{:?}", step);
        }
        // In the end every call has its one answer.
        failover.down = None;
        for _ in 0..80 {
            failover.pass(1_000);
            while !failover.under_way.is_empty() {
                failover.answer(0);
                failover.deliver();
            }
        }
        prop_assert_eq!(failover.answered.len() as u64, failover.next - 1);
        prop_assert_eq!(&failover.faults, &vec![]);
    }
}
