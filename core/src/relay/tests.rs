mod calls;
mod discovery;
mod random;

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::*;
use crate::time::Timestamp;
use crate::{Machine, Verdict};

/// A relay with a clock and everything it has asked for.
struct Bench {
    relay: Relay,
    now: Timestamp,
    out: Vec<Effect>,
}

impl Bench {
    fn new() -> Self {
        let relay = Relay::new(RelaySettings { handshake_timeout_ms: 5_000 });
        Bench { relay, now: Timestamp(1_000_000), out: Vec::new() }
    }

    /// A relay whose peer has no lists and is ready.
    fn ready() -> Self {
        let mut bench = Bench::new();
        bench.event(Event::Opened);
        bench.answer_initialize("2025-11-25", &json!({}));
        bench.out.clear();
        bench
    }

    fn event(&mut self, event: Event) -> Verdict {
        self.relay.handle(self.now, event, &mut self.out)
    }

    fn after(&mut self, milliseconds: u64) {
        self.now = self.now.after(milliseconds);
        self.event(Event::Tick);
    }

    fn say(&mut self, message: &Value) {
        self.read(&message.to_string());
    }

    fn read(&mut self, line: &str) {
        self.event(Event::Read(format!("{line}\n").into_bytes()));
    }

    fn answer_initialize(&mut self, version: &str, capabilities: &Value) {
        let id = self.asked("initialize");
        self.say(&json!({"jsonrpc": "2.0", "id": id, "result": {
            "protocolVersion": version, "capabilities": capabilities,
            "serverInfo": {"name": "s", "version": "1"}}}));
    }

    fn call(&mut self, id: u64, params: &str) -> Verdict {
        let params = RawValue::from_string(params.to_string()).expect("valid JSON");
        self.event(Event::Called(Call {
            id: CallId(id),
            method: "tools/call".to_string(),
            params: Some(params),
            timeout_ms: 10_000,
            repeatable: false,
        }))
    }

    /// What was written to the child since the last look, line by line.
    fn written(&mut self) -> Vec<Value> {
        let mut written = vec![];
        self.out.retain(|effect| match effect {
            Effect::Write(bytes) => {
                assert!(bytes.ends_with(b"\n"), "{bytes:?}");
                for line in bytes[..bytes.len() - 1].split(|b| *b == b'\n') {
                    written.push(serde_json::from_slice(line).expect("a line of JSON"));
                }
                false
            }
            _ => true,
        });
        written
    }

    /// The id of the one request for `method` since the last look.
    fn asked(&mut self, method: &str) -> u64 {
        let asked: Vec<Value> =
            self.written().into_iter().filter(|line| line["method"] == method).collect();
        assert_eq!(asked.len(), 1, "{method}: {asked:?}");
        asked[0]["id"].as_u64().expect("an integer id")
    }

    /// The outcomes since the last look.
    fn outcomes(&mut self) -> Vec<(u64, CallOutcome)> {
        let (answers, rest) = core::mem::take(&mut self.out)
            .into_iter()
            .partition(|effect| matches!(effect, Effect::Answer { .. }));
        self.out = rest;
        let answers: Vec<Effect> = answers;
        answers
            .into_iter()
            .filter_map(|effect| match effect {
                Effect::Answer { call, outcome } => Some((call.0, outcome)),
                _ => None,
            })
            .collect()
    }

    /// The reports since the last look.
    fn reports(&mut self) -> Vec<Report> {
        let mut reports = vec![];
        self.out.retain(|effect| match effect {
            Effect::Report(report) => {
                reports.push(report.clone());
                false
            }
            _ => true,
        });
        reports
    }

    /// The notifications since the last look, and the call they are for.
    fn notifications(&mut self) -> Vec<(Option<u64>, String)> {
        let mut notifications = vec![];
        self.out.retain(|effect| match effect {
            Effect::NotifyCall { call, message } => {
                notifications.push((Some(call.0), message.get().to_string()));
                false
            }
            Effect::NotifyAll { message } => {
                notifications.push((None, message.get().to_string()));
                false
            }
            _ => true,
        });
        notifications
    }
}
