mod versions;

use alloc::string::ToString;
use alloc::vec::Vec;

use super::*;
use crate::id::SatelliteId;
use crate::secret::Secret;
use crate::time::IsoTime;

const START: Timestamp = Timestamp(1_769_850_900_000);
const EMPTY: &str = r#"{"mcp_servers":{},"satellite_config":{},"version":1}"#;
const ONE: &str = r#"{"mcp_servers":{
    "files-acme-u1-i1":{"installation_id":"i1","team_id":"t1","team_slug":"acme","server_name":"Files",
      "server_slug":"files","installation_name":"Our files","transport_type":"stdio","user_id":"u1",
      "command":"npx","args":["-y","@acme/files"],"env":{"API_KEY":"hunter2"}},
    "broken-acme-u1-i2":{"installation_id":"i2","team_id":"t1","user_id":"u1","transport_type":"stdio"}},
  "satellite_config":{},"version":2}"#;

struct Bench {
    configuration: Configuration,
    now: Timestamp,
    out: Vec<Effect>,
    verdict: Verdict,
}

impl Bench {
    fn new() -> Self {
        Bench {
            configuration: Configuration::new(Random::new(5)),
            now: START,
            out: Vec::new(),
            verdict: Verdict::Handled,
        }
    }

    /// One whose first fetch is on its way.
    fn paired() -> Self {
        let mut bench = Bench::new();
        bench.pair();
        bench
    }

    fn pair(&mut self) {
        self.feed(Event::Paired(Credentials {
            api_key: Secret::new("key"),
            satellite_id: SatelliteId::from("sat_1"),
            satellite_name: "edge-satellite-01".to_string(),
            team_id: None,
            backend_url: None,
            registered_at: IsoTime(START),
            last_verified: IsoTime(START),
        }));
    }

    fn feed(&mut self, event: Event) {
        self.out.clear();
        self.verdict = self.configuration.handle(self.now, event, &mut self.out);
    }

    fn sent(&self) -> Option<(RequestKey, &HttpRequest)> {
        self.out.iter().find_map(|effect| match effect {
            Effect::Send { request, http } => Some((*request, http)),
            _ => None,
        })
    }

    fn reply(&mut self, answer: Result<HttpAnswer, HttpFailure>) {
        let (request, _) = self.sent().expect("a fetch was sent");
        self.feed(Event::Answered { request, answer });
    }

    fn answer(&mut self, status: u16, body: &str) {
        self.reply(Ok(answer(status, body)));
    }

    fn applied(&self) -> Option<&Applied> {
        self.out.iter().find_map(|effect| match effect {
            Effect::Apply(applied) => Some(applied),
            _ => None,
        })
    }

    fn failure(&self) -> Option<&FetchFailure> {
        self.out.iter().find_map(|effect| match effect {
            Effect::FetchFailed(failure) => Some(failure),
            _ => None,
        })
    }
}

fn answer(status: u16, body: &str) -> HttpAnswer {
    HttpAnswer {
        status,
        etag: Some("\"7\"".to_string()),
        body: body.as_bytes().to_vec(),
        elapsed_ms: 12,
        ..HttpAnswer::default()
    }
}

#[test]
fn the_pairing_brings_the_first_configuration() {
    let mut bench = Bench::paired();
    let (_, http) = bench.sent().unwrap();
    assert_eq!(http.path, "/api/satellites/sat_1/config");
    assert!(http.headers.is_empty());
    bench.answer(200, ONE);
    let applied = bench.applied().unwrap();
    assert!(applied.fresh && applied.change_detected);
    assert_eq!(applied.servers.len(), 1);
    assert_eq!(applied.rejected.len(), 1, "a bad entry costs only itself");
    assert_eq!(applied.version, Some(2));
    assert_eq!(applied.raw, ONE.as_bytes());
    let event = applied.in_brief();
    assert_eq!((event.server_count, event.teams_count, event.fetch_duration_ms), (1, 1, 12));
    assert_eq!(event.config_hash.len(), 64);
    assert!(!alloc::format!("{applied:?}").contains("hunter2"), "secrets do not print");
}

#[test]
fn an_unchanged_configuration_is_recognised_by_its_tag() {
    let mut bench = Bench::paired();
    bench.answer(200, EMPTY);
    bench.feed(Event::RefreshRequested);
    let (_, http) = bench.sent().unwrap();
    let expected = [("if-none-match", "\"7\""), ("x-config-version", "1")];
    assert_eq!(http.headers, expected.map(|(name, value)| (name.to_string(), value.to_string())));
    bench.answer(304, "");
    let [Effect::Unchanged(confirmed)] = &bench.out[..] else { panic!("{:?}", bench.out) };
    assert!(!confirmed.change_detected);

    bench.feed(Event::RefreshRequested);
    bench.answer(200, EMPTY);
    assert!(!bench.applied().unwrap().change_detected, "the same text from a Backend without tags");
}

#[test]
fn a_304_with_nothing_to_compare_is_a_failure() {
    let mut bench = Bench::paired();
    bench.answer(304, "");
    assert!(bench.failure().is_some());
}

#[test]
fn a_failure_is_told_and_tried_again_until_it_succeeds() {
    for (outcome, kind, status) in [
        (Err(HttpFailure::TimedOut), ConfigErrorType::Network, None),
        (Ok(answer(401, "")), ConfigErrorType::Auth, Some(401)),
        (Ok(answer(403, "")), ConfigErrorType::Auth, Some(403)),
        (Ok(answer(500, "")), ConfigErrorType::ServerError, Some(500)),
        (Ok(answer(200, "<html>")), ConfigErrorType::ServerError, Some(200)),
        (Ok(answer(200, r#"{"mcp_servers":7}"#)), ConfigErrorType::ServerError, Some(200)),
    ] {
        let mut bench = Bench::paired();
        for _ in 0..5 {
            bench.reply(outcome.clone());
            let failure = bench.failure().expect("the failure is told").clone();
            assert_eq!((failure.error_type, failure.status_code), (kind, status));
            assert!((2_000..=300_000).contains(&failure.retry_in_ms));
            let deadline = bench.configuration.next_deadline().unwrap();
            assert_eq!(deadline.at, bench.now.after(failure.retry_in_ms));
            bench.feed(Event::Tick);
            assert_eq!(bench.verdict, Verdict::Ignored("nothing is due"));
            bench.now = deadline.at;
            bench.feed(Event::Tick);
        }
        bench.answer(200, EMPTY);
        assert!(bench.applied().is_some());
        assert_eq!(bench.configuration.next_deadline(), None);
    }
}

#[test]
fn a_request_for_a_refresh_ends_a_wait() {
    let mut bench = Bench::paired();
    bench.answer(503, "");
    bench.feed(Event::RefreshRequested);
    assert!(bench.sent().is_some());
}

#[test]
fn refreshes_while_a_fetch_is_on_its_way_become_one_more_and_the_older_answer_is_not_used() {
    let mut bench = Bench::paired();
    let (request, _) = bench.sent().unwrap();
    for _ in 0..3 {
        bench.feed(Event::RefreshRequested);
        assert!(bench.out.is_empty(), "one in flight");
    }
    bench.feed(Event::Answered { request, answer: Ok(answer(200, EMPTY)) });
    assert!(bench.applied().is_none());
    bench.answer(200, ONE);
    assert_eq!(bench.applied().unwrap().version, Some(2));
    assert!(bench.sent().is_none());
}

#[test]
fn under_a_stream_of_refreshes_every_other_answer_is_used() {
    let mut bench = Bench::paired();
    let mut used = 0;
    for _ in 0..10 {
        let (request, _) = bench.sent().unwrap();
        bench.feed(Event::RefreshRequested);
        bench.feed(Event::Answered { request, answer: Ok(answer(200, ONE)) });
        used += usize::from(bench.applied().is_some());
    }
    assert_eq!(used, 5);
}

#[test]
fn the_stored_configuration_serves_until_the_backends_own_arrives() {
    let mut bench = Bench::new();
    bench.feed(Event::Restored(ONE.as_bytes().to_vec()));
    assert!(!bench.applied().unwrap().fresh);
    bench.pair();
    bench.answer(500, "");
    assert!(bench.applied().is_none(), "what is in force stays in force");
    bench.feed(Event::RefreshRequested);
    bench.answer(200, ONE);
    let applied = bench.applied().unwrap();
    assert!(applied.fresh && !applied.change_detected);
    bench.feed(Event::Restored(EMPTY.as_bytes().to_vec()));
    assert!(bench.applied().is_none(), "too late");

    let mut bench = Bench::new();
    bench.feed(Event::Restored(b"{torn".to_vec()));
    assert!(matches!(&bench.out[..], [Effect::Log(line)] if line.level == Level::Warn));
}

#[test]
fn a_late_answer_changes_nothing() {
    let mut bench = Bench::paired();
    let (request, _) = bench.sent().unwrap();
    bench.answer(200, EMPTY);
    bench.feed(Event::Answered { request, answer: Ok(answer(200, ONE)) });
    assert_eq!(bench.verdict, Verdict::Ignored("late"));
    assert!(bench.out.is_empty());
}
