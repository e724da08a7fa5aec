//! Arbitrary conversations: whatever both sides do, each call has one outcome.

use alloc::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::limits::CALLS_IN_FLIGHT_MAX;

#[derive(Clone, Debug)]
enum Step {
    Call {
        call: u64,
        progress: bool,
        timeout_ms: u64,
    },
    Cancel(u64),
    /// The child answers one of the requests it has seen, perhaps one answered before.
    Answer {
        which: usize,
        how: usize,
    },
    Progress(usize),
    Foreign(u64),
    Line(String),
    Bytes(Vec<u8>),
    Pass(u64),
    Relist,
    Probe,
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0_u64..40, any::<bool>(), 0_u64..20_000)
            .prop_map(|(call, progress, timeout_ms)| Step::Call { call, progress, timeout_ms }),
        2 => (0_u64..40).prop_map(Step::Cancel),
        10 => (0_usize..20, 0_usize..9).prop_map(|(which, how)| Step::Answer { which, how }),
        2 => (0_usize..20).prop_map(Step::Progress),
        1 => any::<u64>().prop_map(Step::Foreign),
        2 => prop::sample::select(vec![
            r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":2,"method":"sampling/createMessage","params":{}}"#,
            "npm warn deprecated",
            "[]",
        ]).prop_map(|line| Step::Line(line.to_string())),
        1 => prop::collection::vec(any::<u8>(), 0..20).prop_map(Step::Bytes),
        3 => (0_u64..15_000).prop_map(Step::Pass),
        1 => Just(Step::Relist),
        1 => Just(Step::Probe),
    ]
}

/// The child's side: what it was asked, and how it may answer.
#[derive(Default)]
struct Child {
    asked: Vec<(u64, String)>,
    ids: BTreeSet<u64>,
}

impl Child {
    fn hear(&mut self, lines: Vec<Value>) {
        for line in lines {
            let Some(id) = line.get("id").and_then(Value::as_u64) else { continue };
            let Some(method) = line.get("method").and_then(Value::as_str) else { continue };
            assert!(self.ids.insert(id), "id {id} used twice");
            self.asked.push((id, method.to_string()));
        }
    }

    fn answer(&self, which: usize, how: usize) -> Option<String> {
        let (id, method) = self.asked.get(self.asked.len().checked_sub(which + 1)?)?;
        let good = match method.as_str() {
            "initialize" => json!({"protocolVersion": "2025-11-25",
                "capabilities": {"tools": {}, "prompts": {}}, "serverInfo": {}}),
            "tools/list" => json!({"tools": [{"name": "t"}], "nextCursor": "n"}),
            "prompts/list" => json!({"prompts": []}),
            _ => json!({"content": []}),
        };
        let error = json!({"code": -1, "message": "no"});
        Some(match how {
            0 => json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string(),
            1 => json!({"jsonrpc": "2.0", "id": id.to_string(), "result": good}).to_string(),
            2 => json!([{"jsonrpc": "2.0", "id": id, "result": good}]).to_string(),
            3 => json!({"id": id, "result": good}).to_string(),
            4 => format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"a":NaN}}}}"#),
            _ => json!({"jsonrpc": "2.0", "id": id, "result": good}).to_string(),
        })
    }
}

/// Called minus answered, for each name.
fn count(bench: &mut Bench, open: &mut BTreeMap<u64, i64>) {
    for (call, _) in bench.outcomes() {
        *open.entry(call).or_default() -= 1;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn each_call_has_exactly_one_outcome(
        steps in prop::collection::vec(step(), 0..120),
        greeted in prop::bool::weighted(0.9),
        cut in 1_usize..40,
        closes in prop::collection::vec(any::<prop::sample::Index>(), 0..2),
    ) {
        let mut steps = steps;
        for at in closes {
            let at = at.index(steps.len() + 1);
            steps.insert(at, Step::Close);
        }
        if greeted {
            steps.insert(0, Step::Answer { which: 0, how: 8 });
        }
        let mut bench = Bench::new();
        let mut child = Child::default();
        let mut open: BTreeMap<u64, i64> = BTreeMap::new();
        let mut closed = false;
        bench.event(Event::Opened);
        for step in steps {
            child.hear(bench.written());
            let mut bytes = match step {
                Step::Call { call, progress, timeout_ms } => {
                    let params = if progress { r#"{"_meta":{"progressToken":"p"}}"# } else { "{}" };
                    *open.entry(call).or_default() += 1;
                    bench.event(Event::Called(Call {
                        id: CallId(call),
                        method: "tools/call".to_string(),
                        params: RawValue::from_string(params.to_string()).ok(),
                        timeout_ms,
                        repeatable: false,
                    }));
                    vec![]
                }
                Step::Cancel(call) => {
                    bench.event(Event::Cancelled { call: CallId(call), reason: None });
                    vec![]
                }
                Step::Answer { which, how } => {
                    child.answer(which, how).unwrap_or_default().into_bytes()
                }
                Step::Progress(which) => match child.asked.get(which) {
                    Some((id, _)) => json!({"jsonrpc": "2.0", "method": "notifications/progress",
                        "params": {"progressToken": id, "progress": 1}}).to_string().into_bytes(),
                    None => vec![],
                },
                Step::Foreign(id) => {
                    json!({"jsonrpc": "2.0", "id": id, "result": {}}).to_string().into_bytes()
                }
                Step::Line(line) => line.into_bytes(),
                Step::Bytes(bytes) => bytes,
                Step::Pass(milliseconds) => {
                    bench.after(milliseconds);
                    let next = bench.relay.next_deadline();
                    prop_assert!(next.is_none_or(|d| d.at > bench.now), "{:?}", next);
                    vec![]
                }
                Step::Relist => {
                    bench.event(Event::Relist);
                    vec![]
                }
                Step::Probe => {
                    bench.event(Event::Probed);
                    vec![]
                }
                Step::Close => {
                    bench.event(Event::Closed { reason: "gone".to_string() });
                    closed = true;
                    vec![]
                }
            };
            if !bytes.is_empty() {
                bytes.push(b'\n');
                for chunk in bytes.chunks(cut) {
                    bench.event(Event::Read(chunk.to_vec()));
                }
            }
            count(&mut bench, &mut open);
            let waiting: i64 = open.values().sum();
            prop_assert!(open.values().all(|n| (0..=1).contains(n)), "{:?}", open);
            prop_assert_eq!(waiting, bench.relay.in_flight() as i64);
            prop_assert!(bench.relay.in_flight() <= CALLS_IN_FLIGHT_MAX);
            prop_assert!(waiting == 0 || bench.relay.next_deadline().is_some());
            prop_assert!(!closed || waiting == 0);
        }
        // Left alone, it comes to rest by its own deadlines.
        for _ in 0..1_000 {
            let Some(next) = bench.relay.next_deadline() else { break };
            bench.now = bench.now.max(next.at);
            bench.event(Event::Tick);
        }
        child.hear(bench.written());
        count(&mut bench, &mut open);
        prop_assert_eq!(bench.relay.next_deadline(), None);
        prop_assert!(open.values().all(|n| *n == 0), "{:?}", open);
    }
}
