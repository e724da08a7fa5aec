mod payload;

use alloc::string::{String, ToString};

use super::*;
use crate::id::SatelliteId;
use crate::secret::Secret;
use crate::time::IsoTime;
use crate::view::LinkView;

const START: Timestamp = Timestamp(1_769_850_900_000);

struct Bench {
    heartbeat: Heartbeat,
    now: Timestamp,
    out: Vec<Effect>,
    verdict: Verdict,
    view: Arc<View>,
}

impl Bench {
    /// One whose pairing has just become known.
    fn paired(public_url: Option<&str>) -> Self {
        let settings =
            Settings { public_url: public_url.map(ToString::to_string), ..Settings::default() };
        let mut bench = Bench {
            heartbeat: Heartbeat::new(&settings),
            now: START,
            out: Vec::new(),
            verdict: Verdict::Handled,
            view: Arc::new(View { link: LinkView::default(), ..View::default() }),
        };
        bench.feed(Event::Paired(Credentials {
            api_key: Secret::new("key"),
            satellite_id: SatelliteId::from("sat_1"),
            satellite_name: "edge-satellite-01".to_string(),
            team_id: None,
            backend_url: None,
            registered_at: IsoTime(START),
            last_verified: IsoTime(START),
        }));
        bench
    }

    fn feed(&mut self, event: Event) {
        self.out.clear();
        self.verdict = self.heartbeat.handle(self.now, event, &mut self.out);
    }

    fn sample(&mut self) {
        let view = Arc::clone(&self.view);
        self.feed(Event::Sampled { view, sample: HostSample::default() });
    }

    fn sent(&self) -> (RequestKey, serde_json::Value) {
        let sent = self.out.iter().find_map(|effect| match effect {
            Effect::Send { request, http } => {
                assert_eq!(http.path, "/api/satellites/sat_1/heartbeat");
                assert_eq!(http.timeout_ms, 10_000);
                Some((*request, serde_json::from_slice(http.body.as_ref()?).ok()?))
            }
            _ => None,
        });
        sent.expect("a heartbeat was sent")
    }

    fn answer(&mut self, answer: Result<HttpAnswer, HttpFailure>) {
        let (request, _) = self.sent();
        self.feed(Event::Answered { request, answer });
    }

    /// The lines the last event logged, as the fields of one JSON object each.
    fn logged(&self) -> Vec<serde_json::Value> {
        let lines = self.out.iter().filter_map(|effect| match effect {
            Effect::Log(line) => Some(line),
            _ => None,
        });
        lines
            .map(|line| {
                let mut object = serde_json::json!({"level": line.level, "msg": line.msg});
                for (name, value) in &line.fields {
                    object[name.as_ref()] = serde_json::json!(value);
                }
                object
            })
            .collect()
    }
}

fn ok() -> Result<HttpAnswer, HttpFailure> {
    let body = br#"{"success":true,"message":"ok"}"#.to_vec();
    Ok(HttpAnswer { status: 200, body, elapsed_ms: 45, ..HttpAnswer::default() })
}

#[test]
fn the_first_heartbeat_goes_out_at_once_and_then_one_every_thirty_seconds() {
    let mut bench = Bench::paired(None);
    assert_eq!(bench.out, [Effect::Sample]);
    for beat in 1..=5u64 {
        bench.sample();
        bench.sent();
        // The answer, however late it comes, does not move the row.
        bench.now = bench.now.after(beat * 1_900);
        bench.answer(ok());
        let due = bench.heartbeat.next_deadline().unwrap().at;
        assert_eq!(due, START.after(beat * 30_000));
        // A tick that comes a little late doesn't, either.
        bench.now = due.after(40);
        bench.feed(Event::Tick);
        assert_eq!(bench.out, [Effect::Sample]);
    }
}

#[test]
fn a_heartbeat_without_an_answer_does_not_hold_up_the_next() {
    let mut bench = Bench::paired(None);
    bench.sample();
    let (unanswered, _) = bench.sent();
    bench.now = START.after(30_000);
    bench.feed(Event::Tick);
    bench.sample();
    let (next, _) = bench.sent();
    assert_ne!(unanswered, next);
    bench.feed(Event::Answered { request: unanswered, answer: ok() });
    assert_eq!(bench.verdict, Verdict::Ignored("late"));
}

#[test]
fn a_sample_that_hangs_does_not_hold_up_the_row() {
    let mut bench = Bench::paired(None);
    bench.now = START.after(30_000);
    bench.feed(Event::Tick);
    assert_eq!(bench.out, [Effect::Sample]);
    bench.sample();
    bench.sent();
    bench.sample();
    assert_eq!(bench.verdict, Verdict::Ignored("late"), "one heartbeat for two samples");
}

#[test]
fn after_a_sleep_the_missed_heartbeats_are_not_made_up_for() {
    let mut bench = Bench::paired(None);
    bench.sample();
    bench.now = START.after(8 * 3_600_000 + 29_000);
    bench.feed(Event::Tick);
    assert_eq!(bench.out, [Effect::Sample]);
    bench.feed(Event::Tick);
    assert_eq!(bench.verdict, Verdict::Ignored("nothing is due"));
    assert_eq!(bench.heartbeat.next_deadline().unwrap().at, bench.now.after(30_000));
}

#[test]
fn the_three_lines_of_the_field_are_logged_word_for_word() {
    let mut bench = Bench::paired(None);
    bench.view = Arc::new(payload::view(5));
    bench.sample();
    assert_eq!(
        bench.logged(),
        [serde_json::json!({
            "level": "debug",
            "operation": "mcp_status_snapshot_collected",
            "total_instances": 5,
            "total_tools": 15,
            "msg": "Collected MCP status snapshot for heartbeat",
        })]
    );
    bench.answer(ok());
    assert_eq!(
        bench.logged(),
        [serde_json::json!({
            "level": "debug", "satelliteId": "sat_1", "msg": "Heartbeat sent successfully",
        })]
    );
    bench.now = START.after(30_000);
    bench.feed(Event::Tick);
    bench.sample();
    bench.answer(Err(HttpFailure::TimedOut));
    assert_eq!(
        bench.logged(),
        [serde_json::json!({
            "level": "error", "error": "Request timeout", "msg": "Failed to send heartbeat",
        })]
    );
    assert!(bench.out.contains(&Effect::Answered(Err(HttpFailure::TimedOut))));
}

#[test]
fn the_satellites_url_is_told_until_the_first_success() {
    let mut bench = Bench::paired(Some("https://satellite.example.com"));
    let mut told = Vec::new();
    for round in 0..4u64 {
        bench.now = START.after(round * 30_000);
        bench.feed(Event::Tick);
        bench.sample();
        let (_, body) = bench.sent();
        told.push(body.get("satellite_url").and_then(|url| url.as_str()).map(String::from));
        bench.answer(if round == 0 { Err(HttpFailure::TimedOut) } else { ok() });
    }
    let url = Some("https://satellite.example.com".to_string());
    assert_eq!(told, [url.clone(), url, None, None]);

    let mut bench = Bench::paired(None);
    bench.sample();
    assert!(bench.sent().1.get("satellite_url").is_none(), "none is invented");
}

#[test]
fn the_backends_response_time_is_that_of_the_heartbeat_before() {
    let mut bench = Bench::paired(None);
    bench.sample();
    assert!(bench.sent().1.get("response_time_ms").is_none());
    bench.answer(ok());
    bench.now = START.after(30_000);
    bench.feed(Event::Tick);
    bench.sample();
    assert_eq!(bench.sent().1["response_time_ms"], 45);
}

#[test]
fn a_large_heartbeat_is_warned_about_and_sent() {
    let mut bench = Bench::paired(None);
    bench.view = Arc::new(payload::view(300));
    bench.sample();
    bench.sent();
    assert_eq!(bench.logged()[1]["level"], "warn");
    assert_eq!(bench.logged()[1]["operation"], "heartbeat_large");
}
