//! One satellite of a fleet: the machines that ship, and answers for what they ask.

use satellite_core::Machine;
use satellite_core::control::{Control, Effect, Event, Start};
use satellite_core::credentials::Credentials;
use satellite_core::heartbeat::{self, Heartbeat, HostSample};
use satellite_core::http::{HttpAnswer, HttpFailure, HttpRequest};
use satellite_core::id::SatelliteId;
use satellite_core::limits::Settings;
use satellite_core::request::{Channel, RequestKey};
use satellite_core::secret::Secret;
use satellite_core::time::{IsoTime, SECOND, Timestamp};
use satellite_core::wire::capability::ADDITIONS;
use serde_json::json;

use crate::stage::EPOCH;

/// What a satellite is told when its time comes.
#[derive(Debug)]
pub(super) enum Due {
    /// It was started.
    Start,
    /// A deadline of its own has come, unless it is another by then.
    Look(Timestamp),
    /// A request ended.
    Answer(RequestKey, Result<HttpAnswer, HttpFailure>),
}

impl Due {
    /// The same request, but the connection ended before the answer came.
    pub(super) fn cut(self) -> Due {
        match self {
            Due::Answer(request, _) => {
                Due::Answer(request, Err(HttpFailure::Reset(String::from("connection reset"))))
            }
            other => other,
        }
    }
}

/// A request on its way.
#[derive(Debug)]
pub(super) struct Request {
    key: RequestKey,
    http: HttpRequest,
}

impl Request {
    /// Which machine asks.
    pub(super) fn channel(&self) -> Channel {
        self.key.channel
    }

    /// Nobody listens.
    pub(super) fn refused(self) -> Due {
        let refused = HttpFailure::Refused(String::from("connection refused"));
        Due::Answer(self.key, Err(refused))
    }

    /// What a Backend without commands says, and for how long it holds the request first.
    pub(super) fn answered(self, holds_polls: bool) -> (u64, Due) {
        let path = self.http.path.as_str();
        let wait = path.split_once("wait=").and_then(|(_, wait)| wait.parse::<u64>().ok());
        let held_ms = wait.unwrap_or(0) * SECOND;
        let body = match self.key.channel {
            Channel::Poll => {
                json!({"commands": [], "polling_mode": "slow", "next_poll_interval": 60})
            }
            Channel::Heartbeat => {
                let granted: &[&str] = if holds_polls { &ADDITIONS } else { &[] };
                json!({"success": true, "message": "ok", "capabilities": granted})
            }
            Channel::Configuration => {
                json!({"mcp_servers": {}, "satellite_config": {}, "version": 1})
            }
            Channel::Events => json!({"success": true, "processed": 1, "failed": 0}),
            _ => json!({"success": true, "message": "ok"}),
        };
        let body = body.to_string().into_bytes();
        let answer = HttpAnswer { status: 200, body, elapsed_ms: held_ms, ..HttpAnswer::default() };
        (held_ms, Due::Answer(self.key, Ok(answer)))
    }
}

/// A satellite without servers that was paired long ago.
pub(super) struct Edge {
    control: Control,
    heartbeat: Heartbeat,
    credentials: Credentials,
    /// The deadline that was last asked for.
    looks_at: Option<Timestamp>,
}

impl Edge {
    pub(super) fn new(number: usize, seed: u64) -> Edge {
        let settings = Settings { name: format!("satellite-{number}"), ..Settings::default() };
        let credentials = Credentials {
            api_key: Secret::new(format!("deploystack_satellite_api_global_{number:032}")),
            satellite_id: SatelliteId::from(format!("sat_{number}")),
            satellite_name: settings.name.clone(),
            team_id: None,
            backend_url: None,
            registered_at: IsoTime(EPOCH),
            last_verified: IsoTime(EPOCH),
        };
        Edge {
            heartbeat: Heartbeat::new(&settings),
            control: Control::new(settings, seed),
            credentials,
            looks_at: None,
        }
    }

    /// Which deadline it has asked for.
    pub(super) fn looks_at(&self) -> Option<Timestamp> {
        self.looks_at
    }

    /// Its next deadline, if it has not asked for that one yet.
    pub(super) fn look_again(&mut self) -> Option<Timestamp> {
        let next = [self.control.next_deadline(), self.heartbeat.next_deadline()];
        let next = next.into_iter().flatten().map(|deadline| deadline.at).min();
        let asked = std::mem::replace(&mut self.looks_at, next);
        next.filter(|next| asked != Some(*next))
    }

    /// Tells it, and gives the requests it makes of it.
    pub(super) fn happen(&mut self, now: Timestamp, due: Due) -> Vec<Request> {
        let mut requests = Vec::new();
        match due {
            Due::Start => {
                let credentials = Some(self.credentials.clone());
                let start = Start { credentials, ..Start::default() };
                self.tell(now, Event::Started(start), &mut requests);
                self.beat(now, heartbeat::Event::Paired(self.credentials.clone()), &mut requests);
            }
            Due::Look(_) => {
                self.looks_at = None;
                if self.control.next_deadline().is_some_and(|deadline| deadline.at <= now) {
                    self.tell(now, Event::Tick, &mut requests);
                }
                if self.heartbeat.next_deadline().is_some_and(|deadline| deadline.at <= now) {
                    self.beat(now, heartbeat::Event::Tick, &mut requests);
                }
            }
            Due::Answer(request, answer) if request.channel == Channel::Heartbeat => {
                self.beat(now, heartbeat::Event::Answered { request, answer }, &mut requests);
            }
            Due::Answer(request, answer) => {
                self.tell(now, Event::Answered { request, answer }, &mut requests);
            }
        }
        requests
    }

    fn tell(&mut self, now: Timestamp, event: Event, requests: &mut Vec<Request>) {
        let mut effects = Vec::new();
        self.control.handle(now, event, &mut effects);
        for effect in effects {
            match effect {
                Effect::Send { request, http } => requests.push(Request { key: request, http }),
                Effect::Persist(record) => {
                    let stored = Event::Persisted { record: record.name(), outcome: Ok(()) };
                    self.tell(now, stored, requests);
                }
                // Without servers there are no processes.
                _ => {}
            }
        }
    }

    fn beat(&mut self, now: Timestamp, event: heartbeat::Event, requests: &mut Vec<Request>) {
        let mut effects = Vec::new();
        self.heartbeat.handle(now, event, &mut effects);
        for effect in effects {
            match effect {
                heartbeat::Effect::Sample => {
                    let (view, sample) = (self.control.view(), HostSample::default());
                    self.beat(now, heartbeat::Event::Sampled { view, sample }, requests);
                }
                heartbeat::Effect::Send { request, http } => {
                    requests.push(Request { key: request, http });
                }
                heartbeat::Effect::Answered(answer) => {
                    self.tell(now, Event::HeartbeatAnswered { answer }, requests);
                }
                heartbeat::Effect::Log(_) => {}
            }
        }
    }
}
