mod model;
mod polling;
mod properties;
mod shown;
mod starting;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::{Effect, Event, Link};
use crate::credentials::Credentials;
use crate::http::{HttpAnswer, HttpFailure, HttpRequest};
use crate::id::{SatelliteId, TeamId};
use crate::limits::Settings;
use crate::machine::{Machine, Verdict};
use crate::random::Random;
use crate::request::RequestKey;
use crate::secret::Secret;
use crate::time::{IsoTime, Timestamp};

const START: Timestamp = Timestamp(1_769_850_900_000);
const TOKEN: &str = "deploystack_satellite_team_eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl";
const QUIET: &str = r#"{"commands":[],"polling_mode":"slow","next_poll_interval":60}"#;

/// A link, the time, and what came of the last event.
struct Bench {
    link: Link,
    now: Timestamp,
    out: Vec<Effect>,
    verdict: Verdict,
}

impl Bench {
    fn new() -> Self {
        let settings = Settings { name: "edge-satellite-01".to_string(), ..Settings::default() };
        Bench::with(&settings, 1)
    }

    fn with(settings: &Settings, seed: u64) -> Self {
        Bench {
            link: Link::new(settings, Random::new(seed)),
            now: START,
            out: Vec::new(),
            verdict: Verdict::Handled,
        }
    }

    /// One that was paired earlier and whose first poll is on its way.
    fn paired() -> Self {
        let mut bench = Bench::new();
        bench.start(Some(credentials(Some("team_9"))), None);
        bench
    }

    fn feed(&mut self, event: Event) -> &[Effect] {
        self.out.clear();
        self.verdict = self.link.handle(self.now, event, &mut self.out);
        &self.out
    }

    fn start(&mut self, credentials: Option<Credentials>, token: Option<&str>) -> &[Effect] {
        let registration_token = token.map(Secret::new);
        self.feed(Event::Started { credentials, registration_token })
    }

    /// Answers the request that the last event sent.
    fn answer(&mut self, status: u16, body: &str) -> &[Effect] {
        self.reply(Ok(answer(status, body)))
    }

    fn fail(&mut self, failure: HttpFailure) -> &[Effect] {
        self.reply(Err(failure))
    }

    fn reply(&mut self, answer: Result<HttpAnswer, HttpFailure>) -> &[Effect] {
        let (request, _) = self.sent();
        self.feed(Event::Answered { request, answer })
    }

    /// Lets the time come for which the link waits.
    fn wait(&mut self) -> u64 {
        let deadline = self.link.next_deadline().expect("the link waits for a time");
        let waited = deadline.at.since(self.now);
        self.now = deadline.at;
        self.feed(Event::Tick);
        waited
    }

    fn sent(&self) -> (RequestKey, &HttpRequest) {
        let mut sent = self.out.iter().filter_map(|effect| match effect {
            Effect::Send { request, http } => Some((*request, http)),
            _ => None,
        });
        let one = sent.next().expect("a request was sent");
        assert!(sent.next().is_none(), "one request at a time");
        one
    }

    fn exit(&self) -> Option<(u8, String)> {
        self.out.iter().find_map(|effect| match effect {
            Effect::Exit(exit) => {
                Some((exit.code, alloc::format!("{} -- {}", exit.error, exit.hint)))
            }
            _ => None,
        })
    }

    fn state(&self) -> &'static str {
        self.link.state().name()
    }
}

fn answer(status: u16, body: &str) -> HttpAnswer {
    HttpAnswer { status, body: body.as_bytes().to_vec(), elapsed_ms: 7, ..HttpAnswer::default() }
}

fn credentials(team: Option<&str>) -> Credentials {
    Credentials {
        api_key: Secret::new("deploystack_satellite_api_team_0123456789"),
        satellite_id: SatelliteId::from("sat_1"),
        satellite_name: "edge-satellite-01".to_string(),
        team_id: team.map(TeamId::from),
        backend_url: None,
        registered_at: IsoTime(Timestamp(1_000)),
        last_verified: IsoTime(Timestamp(1_000)),
    }
}
