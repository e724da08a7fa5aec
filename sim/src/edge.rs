//! One satellite without a machine around it: the control machine and the heartbeat that ship. What
//! it asks for is given to whoever carries it, over a simulated wire or a real one.

mod servers;

use std::sync::Arc;

use satellite_core::Machine;
use satellite_core::control::{Control, Effect, Event, Start};
use satellite_core::credentials::Credentials;
use satellite_core::heartbeat::{self, Heartbeat, HostSample};
use satellite_core::http::{HttpAnswer, HttpFailure, HttpRequest};
use satellite_core::limits::Settings;
use satellite_core::log::LogLine;
use satellite_core::random::Random;
use satellite_core::request::{Channel, RequestKey};
use satellite_core::time::{SECOND, Timestamp};
use satellite_core::view::View;

pub use servers::Servers;

/// What a satellite is told when its time comes.
#[derive(Debug)]
pub enum Due {
    /// It was started.
    Start,
    /// A deadline of its own has come, unless it is another by then.
    Look(Timestamp),
    /// A request ended.
    Answer(RequestKey, Result<HttpAnswer, HttpFailure>),
}

/// A request on its way.
#[derive(Debug)]
pub struct Request {
    /// Which of its requests.
    pub key: RequestKey,
    /// The request.
    pub http: HttpRequest,
}

/// A satellite that was paired before.
pub struct Edge {
    control: Control,
    heartbeat: Heartbeat,
    credentials: Credentials,
    /// What its heartbeats tell of; it runs none of them.
    servers: Option<Servers>,
    host: Random,
    started: Timestamp,
    /// The number of its first event.
    first_event: u64,
    /// The deadline that was last asked for.
    looks_at: Option<Timestamp>,
    /// What it logged and nobody has taken.
    lines: Vec<LogLine>,
    /// Why it ended, if it did.
    ended: Option<String>,
}

impl Edge {
    /// One that has not started. `seed` decides all that it draws.
    pub fn new(credentials: Credentials, seed: u64) -> Edge {
        let settings = Settings { name: credentials.satellite_name.clone(), ..Settings::default() };
        Edge {
            heartbeat: Heartbeat::new(&settings),
            control: Control::new(settings, seed),
            credentials,
            servers: None,
            host: Random::new(seed).fork("host"),
            started: Timestamp(0),
            first_event: 0,
            looks_at: None,
            lines: Vec::new(),
            ended: None,
        }
    }

    /// The same, whose heartbeats tell of `servers`.
    #[must_use]
    pub fn with_servers(self, servers: Servers) -> Edge {
        Edge { servers: Some(servers), ..self }
    }

    /// Which deadline it has asked for.
    pub fn looks_at(&self) -> Option<Timestamp> {
        self.looks_at
    }

    /// Its next deadline, if it has not asked for that one yet.
    pub fn look_again(&mut self) -> Option<Timestamp> {
        let next = [self.control.next_deadline(), self.heartbeat.next_deadline()];
        let next = next.into_iter().flatten().map(|deadline| deadline.at).min();
        let asked = std::mem::replace(&mut self.looks_at, next);
        next.filter(|next| asked != Some(*next))
    }

    /// What the outside may know of it.
    pub fn view(&self) -> Arc<View> {
        self.control.view()
    }

    /// How many events it has emitted since it was started.
    pub fn emitted(&self) -> u64 {
        self.control.next_event().saturating_sub(self.first_event)
    }

    /// What it logged since this was last asked.
    pub fn take_lines(&mut self) -> Vec<LogLine> {
        std::mem::take(&mut self.lines)
    }

    /// Why it ended, if it did.
    pub fn ended(&self) -> Option<&str> {
        self.ended.as_deref()
    }

    /// A client calls a tool of one of its servers.
    pub fn call(&mut self, now: Timestamp) -> Vec<Request> {
        let mut requests = Vec::new();
        if let Some(servers) = &mut self.servers {
            let reports = Arc::new(servers.call(now));
            self.tell(now, Event::Used { reports, lost: 0 }, &mut requests);
        }
        requests
    }

    /// Tells it, and gives the requests it makes of it.
    pub fn happen(&mut self, now: Timestamp, due: Due) -> Vec<Request> {
        let mut requests = Vec::new();
        match due {
            Due::Start => {
                let credentials = Some(self.credentials.clone());
                let start = Start { credentials, ..Start::default() };
                self.started = now;
                self.tell(now, Event::Started(start), &mut requests);
                let waiting = self.control.view().outbox.waiting as u64;
                self.first_event = self.control.next_event().saturating_sub(waiting);
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
                Effect::ForgetUser { request, .. } => {
                    // Nobody calls it, so there is nobody to forget.
                    let forgotten = Event::UserForgotten { request, identities: 0, sessions: 0 };
                    self.tell(now, forgotten, requests);
                }
                Effect::Log(line) => self.lines.push(line),
                Effect::Exit(exit) => self.ended = Some(exit.error),
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
                    let (view, sample) = (self.shown(now), self.sample(now));
                    self.beat(now, heartbeat::Event::Sampled { view, sample }, requests);
                }
                heartbeat::Effect::Send { request, http } => {
                    requests.push(Request { key: request, http });
                }
                heartbeat::Effect::Answered(answer) => {
                    self.tell(now, Event::HeartbeatAnswered { answer }, requests);
                }
                heartbeat::Effect::Log(line) => self.lines.push(line),
            }
        }
    }

    /// Its view, with its servers in it.
    fn shown(&mut self, now: Timestamp) -> Arc<View> {
        let view = self.control.view();
        match &mut self.servers {
            Some(servers) => servers.within(&view, now),
            None => view,
        }
    }

    /// How its machine is: made up where it has servers, for nothing measures it.
    fn sample(&mut self, now: Timestamp) -> HostSample {
        if self.servers.is_none() {
            return HostSample::default();
        }
        let uptime_seconds = (now.since(self.started) / SECOND) as f64;
        HostSample {
            cpu_percent: self.host.below(10_000) as f64 / 100.0,
            memory_mb: 40.0 + self.host.below(1_000) as f64 / 100.0,
            disk_percent: 31.5,
            uptime_seconds,
            network_rx_bytes: now.since(self.started) * 40,
            network_tx_bytes: now.since(self.started) * 50,
            response_time_ms: None,
        }
    }
}
