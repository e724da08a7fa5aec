//! The table of the link machine.

use satellite_core::Machine;
use satellite_core::credentials::Credentials;
use satellite_core::http::{HttpAnswer, HttpFailure};
use satellite_core::limits::Settings;
use satellite_core::link::{Effect, Event, Link, State, Turn};
use satellite_core::random::Random;
use satellite_core::request::{Channel, RequestKey};
use satellite_core::secret::Secret;
use satellite_core::time::{HOUR, IsoTime, Timestamp};

use crate::{Named, Occurrence, Way, table};

const START: Timestamp = Timestamp(HOUR);
const NOW: Timestamp = Timestamp(2 * HOUR);

impl Named for Link {
    fn state_name(&self) -> &'static str {
        self.state().name()
    }

    fn describe(effect: &Effect) -> String {
        match effect {
            Effect::Send { http, .. } => {
                let (path, query) = http.path.split_once('?').unwrap_or((&http.path, ""));
                let held = if query.contains("wait=") { ", to be held" } else { "" };
                format!("{:?} {path}{held}", http.method)
            }
            Effect::Store(_) => String::from("store credentials"),
            Effect::Forget => String::from("forget credentials"),
            Effect::Paired(_) => String::from("tell: paired"),
            Effect::Received(commands) => format!("hand on {} commands", commands.len()),
            Effect::ReceivedUnreadable(commands) => {
                format!("hand on {} unreadable commands", commands.len())
            }
            Effect::Moved { .. } => String::from("log move"),
            Effect::Log(line) => format!("log: {}", line.msg),
            Effect::Exit(exit) => format!("exit {}", exit.code),
        }
    }
}

/// A link that is led by answering whatever it sent last.
struct Led {
    link: Link,
    last: Option<RequestKey>,
}

impl Led {
    fn new() -> Led {
        let settings = Settings { name: String::from("edge-satellite-01"), ..Settings::default() };
        Led { link: Link::new(&settings, Random::new(1)), last: None }
    }

    fn feed(mut self, event: Event) -> Led {
        let mut out = Vec::new();
        self.link.handle(START, event, &mut out);
        for effect in out {
            if let Effect::Send { request, .. } = effect {
                self.last = Some(request);
            }
        }
        self
    }

    fn answered(self, status: u16, body: &str) -> Led {
        let Some(request) = self.last else { panic!("nothing was asked") };
        self.feed(Event::Answered { request, answer: Ok(answer(status, body)) })
    }

    fn failed(self) -> Led {
        let Some(request) = self.last else { panic!("nothing was asked") };
        self.feed(Event::Answered { request, answer: Err(HttpFailure::TimedOut) })
    }

    fn unpaired() -> Led {
        let token = Secret::new("deploystack_satellite_team_eyJhbGciOiJIUzI1NiJ9.e30.c2ln");
        let start = Event::Started { credentials: None, registration_token: Some(token) };
        Led::new().feed(start)
    }

    fn paired() -> Led {
        let credentials = Some(credentials());
        Led::new().feed(Event::Started { credentials, registration_token: None })
    }
}

fn answer(status: u16, body: &str) -> HttpAnswer {
    HttpAnswer { status, body: body.as_bytes().to_vec(), elapsed_ms: 5, ..HttpAnswer::default() }
}

fn granting() -> Event {
    let body = r#"{"success":true,"message":"ok","capabilities":["poll-wait"]}"#;
    Event::HeartbeatAnswered { answer: Ok(answer(200, body)) }
}

fn credentials() -> Credentials {
    Credentials {
        api_key: Secret::new("key"),
        satellite_id: "sat_1".into(),
        satellite_name: String::from("edge-satellite-01"),
        team_id: Some("team_9".into()),
        backend_url: None,
        registered_at: IsoTime(START),
        last_verified: IsoTime(START),
    }
}

const HEALTHY: &str = r#"{"status":"ok"}"#;
const REGISTERED: &str = r#"{"success":true,"satellite":{"id":"sat_1","name":"edge-satellite-01",
 "satellite_type":"team","team_id":"team_9","status":"inactive","api_key":"key"}}"#;
const QUIET: &str = r#"{"commands":[],"polling_mode":"slow","next_poll_interval":60}"#;
const BUSY: &str = r#"{"commands":[{"id":"c1","command_type":"configure","priority":"immediate",
 "payload":{}}],"polling_mode":"immediate","next_poll_interval":2}"#;
const MAINTENANCE: &str =
    r#"{"commands":[],"polling_mode":"slow","next_poll_interval":300,"maintenance":true}"#;
const REVOKED: &str = r#"{"success":false,"error":"api_key_revoked"}"#;
const USED: &str = r#"{"success":false,"error":"token_already_used","message":"used"}"#;

fn way(name: &'static str, reach: fn() -> Led) -> Way<Link> {
    (name, Box::new(move || reach().link))
}

fn states() -> Vec<Way<Link>> {
    vec![
        way("idle", Led::new),
        way("checking", Led::unpaired),
        way("registering", || Led::unpaired().answered(200, HEALTHY)),
        way("registering after a failure", || Led::unpaired().answered(200, HEALTHY).failed()),
        way("storing", || Led::unpaired().answered(200, HEALTHY).answered(200, REGISTERED)),
        way("verifying", Led::paired),
        way("verifying, polls may be held", || Led::paired().feed(granting())),
        way("degraded before any success", || Led::paired().failed()),
        way("polling, the next poll due", || Led::paired().answered(200, QUIET)),
        way("polling, the next poll due, polls may be held", || {
            Led::paired().answered(200, QUIET).feed(granting())
        }),
        way("polling, a poll in flight", || Led::paired().answered(200, QUIET).feed_due()),
        way("maintenance, a poll in flight", || {
            Led::paired().answered(200, MAINTENANCE).feed_due()
        }),
        way("degraded, a poll in flight", || Led::paired().failed().feed_due()),
        way("maintenance, the next poll due", || Led::paired().answered(200, MAINTENANCE)),
        way("degraded, the next poll due", || {
            Led::paired().answered(200, QUIET).feed_due().failed()
        }),
        way("draining", || Led::paired().answered(200, QUIET).feed(Event::DrainRequested)),
        way("stopped", || Led::paired().answered(401, REVOKED)),
    ]
}

impl Led {
    fn feed_due(mut self) -> Led {
        let mut out = Vec::new();
        let at = self.link.next_deadline().map_or(START, |next| next.at);
        self.link.handle(at, Event::Tick, &mut out);
        for effect in out {
            if let Effect::Send { request, .. } = effect {
                self.last = Some(request);
            }
        }
        self
    }
}

fn event(name: &'static str, make: fn() -> Event) -> Occurrence<Link> {
    (name, Box::new(move |_| make()))
}

/// The answer to what the link awaits, or to nothing it has ever asked.
fn answers(
    name: &'static str,
    answer: fn() -> Result<HttpAnswer, HttpFailure>,
) -> Occurrence<Link> {
    (
        name,
        Box::new(move |link| {
            let turn = match link.state() {
                State::Checking { request } => return reply(Channel::Pairing, *request, answer()),
                State::Registering { turn, .. } => (Channel::Pairing, turn),
                State::Verifying { turn }
                | State::Polling { turn }
                | State::Maintenance { turn }
                | State::Degraded { turn } => (Channel::Poll, turn),
                State::Idle | State::Storing | State::Draining | State::Stopped => {
                    return reply(Channel::Poll, 1, answer());
                }
            };
            match turn {
                (channel, Turn::InFlight { request, .. }) => reply(channel, *request, answer()),
                (channel, Turn::Due { .. }) => reply(channel, u64::MAX, answer()),
            }
        }),
    )
}

fn reply(channel: Channel, number: u64, answer: Result<HttpAnswer, HttpFailure>) -> Event {
    Event::Answered { request: RequestKey { channel, number }, answer }
}

fn events() -> Vec<Occurrence<Link>> {
    vec![
        event("started, paired", || Event::Started {
            credentials: Some(credentials()),
            registration_token: None,
        }),
        event("started, without a token", || Event::Started {
            credentials: None,
            registration_token: None,
        }),
        answers("answered 200, healthy", || Ok(answer(200, HEALTHY))),
        answers("answered 200, registered", || Ok(answer(200, REGISTERED))),
        answers("answered 200, no commands", || Ok(answer(200, QUIET))),
        answers("answered 200, a command", || Ok(answer(200, BUSY))),
        answers("answered 200, maintenance", || Ok(answer(200, MAINTENANCE))),
        answers("answered 200, garbage", || Ok(answer(200, "<html>"))),
        answers("answered 401, untyped", || Ok(answer(401, ""))),
        answers("answered 401, token used", || Ok(answer(401, USED))),
        answers("answered 401, revoked", || Ok(answer(401, REVOKED))),
        answers("answered 404", || Ok(answer(404, ""))),
        answers("answered 409", || Ok(answer(409, r#"{"success":false,"error":"name_taken"}"#))),
        answers("answered 503", || Ok(answer(503, ""))),
        answers("timed out", || Err(HttpFailure::TimedOut)),
        event("stored", || Event::Stored(Ok(()))),
        event("not stored", || Event::Stored(Err(String::from("disk full")))),
        event("heartbeat answered 200", || Event::HeartbeatAnswered {
            answer: Ok(answer(200, r#"{"success":true,"message":"ok"}"#)),
        }),
        event("heartbeat answered, polls may be held", granting),
        event("heartbeat answered, revoked", || Event::HeartbeatAnswered {
            answer: Ok(answer(401, REVOKED)),
        }),
        event("drain requested", || Event::DrainRequested),
        event("tick, all is due", || Event::Tick),
    ]
}

#[test]
fn every_state_of_the_link_answers_every_event() {
    let text = table(NOW, &states(), &events());
    satellite_tests::golden::compare("tests/tables/link.txt", &text);
}
