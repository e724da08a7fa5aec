//! Requests on their way, and what the Backend makes of them.

use satellite_core::control::Event;
use satellite_core::heartbeat;
use satellite_core::http::{HttpAnswer, HttpFailure, HttpRequest};
use satellite_core::request::{Channel, RequestKey};
use satellite_core::time::{MINUTE, SECOND, Timestamp};

use super::backend::{Doom, Reply, refused};
use super::faults::Fault;
use super::network::{Back, Fate};
use super::{Due, SECRET, Stage, invariants};

/// Who sent a request, and when.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    satellite: usize,
    boot: u64,
    request: RequestKey,
    sent: Timestamp,
}

/// A poll that the Backend holds.
#[derive(Debug)]
pub(super) struct Held {
    number: u64,
    origin: Origin,
    http: HttpRequest,
    back: Back,
}

impl Held {
    /// The satellite's id at the Backend.
    fn id(&self) -> &str {
        let path = self.http.path.split('?').next().unwrap_or_default();
        path.rsplit('/').nth(1).unwrap_or_default()
    }
}

impl Stage {
    pub(super) fn send(&mut self, satellite: usize, request: RequestKey, http: HttpRequest) {
        self.watch_sent(satellite, request.channel, &http);
        if request.channel == Channel::Events {
            invariants::batch(self, satellite, http.body.as_deref().unwrap_or_default());
        }
        let origin = Origin { satellite, boot: self.boot_of(satellite), request, sent: self.now };
        let mut met = Vec::new();
        let fate = self.network.fate(&self.rates, |fault| met.push(fault));
        for fault in met {
            self.struck(satellite, fault);
        }
        match fate {
            Fate::Lost => self.time_out(&origin, &http),
            Fate::Refused { after_ms } => {
                let failure = HttpFailure::Refused(String::from("connection refused"));
                self.word_of(&origin, self.now.after(after_ms), Err(failure));
            }
            Fate::Delivered { there_ms, again_ms, back } => {
                let at = self.now.after(there_ms);
                if back == Back::Lost {
                    self.time_out(&origin, &http);
                }
                if let Some(again_ms) = again_ms {
                    // The copy's answer goes nowhere.
                    let (origin, http) = (origin.clone(), http.clone());
                    let copy = Due::Arrival { origin, http, back: Back::Lost };
                    self.queue.put(at.after(again_ms), copy);
                }
                self.queue.put(at, Due::Arrival { origin, http, back });
            }
        }
    }

    fn time_out(&mut self, origin: &Origin, http: &HttpRequest) {
        let at = origin.sent.after(http.timeout_ms);
        self.word_of(origin, at, Err(HttpFailure::TimedOut));
    }

    /// A request reaches the Backend.
    pub(super) fn arrive(&mut self, origin: Origin, http: HttpRequest, back: Back) {
        if self.backend.is_down {
            let failure = HttpFailure::Refused(String::from("nobody listens"));
            self.respond(&origin, &http, Err(failure), back);
            return;
        }
        if let Some(answer) = self.rejected(&origin, &http) {
            self.respond(&origin, &http, Ok(answer), back);
            return;
        }
        if self.strikes(origin.satellite, Fault::BackendKilled) {
            let before = self.dice.chance(1, 2);
            self.backend.doom = Some(if before { Doom::BeforeWrite } else { Doom::AfterWrite });
        }
        let back = if self.strikes(origin.satellite, Fault::SlowBackend) {
            self.slower(back)
        } else {
            back
        };
        let reply = self.backend.receive(self.now, &http);
        self.backend.doom = None;
        match reply {
            Reply::Now(answer) => {
                let answer = self.spoilt(&origin, &http, answer);
                if origin.request.channel == Channel::Result {
                    invariants::results(self);
                }
                if origin.request.channel == Channel::Pairing {
                    invariants::paired_once(self, origin.satellite);
                }
                self.respond(&origin, &http, Ok(answer), back);
            }
            Reply::Held(until) => {
                self.holds += 1;
                let number = self.holds;
                self.held.push(Held { number, origin, http, back });
                self.queue.put(until, Due::Release { number });
            }
            Reply::Died => self.backend_dies(&origin, &http, back),
        }
    }

    /// What the Backend answers without having looked at the request.
    fn rejected(&mut self, origin: &Origin, http: &HttpRequest) -> Option<HttpAnswer> {
        if self.strikes(origin.satellite, Fault::Status4xx) {
            const STATUSES: [u16; 8] = [400, 401, 403, 404, 409, 413, 418, 422];
            let place = self.dice.below(STATUSES.len() as u64) as usize;
            let status = STATUSES.get(place).copied().unwrap_or(400);
            if origin.request.channel == Channel::Events {
                let body = http.body.as_deref().unwrap_or_default();
                self.backend.refuse_events(&http.path, body);
            }
            return Some(refused(status, "nobody_knows_why"));
        }
        if self.strikes(origin.satellite, Fault::Throttle) {
            let mut answer = refused(429, "rate_limited");
            if self.dice.chance(1, 2) {
                answer.retry_after = Some(self.dice.between(0, 400).to_string());
            }
            return Some(answer);
        }
        None
    }

    /// The Backend's answer, or what becomes of it after the Backend has acted.
    fn spoilt(&mut self, origin: &Origin, http: &HttpRequest, answer: HttpAnswer) -> HttpAnswer {
        let satellite = origin.satellite;
        // What was refused is not said to be done: nothing would come of it.
        if answer.is_success() && self.strikes(satellite, Fault::Misrouted) {
            let is_poll = origin.request.channel == Channel::Poll;
            let registers = http.path.ends_with("/register");
            return self.misrouted(is_poll, registers);
        }
        if self.strikes(satellite, Fault::Status5xx) {
            let status = [500, 502, 503, 504][self.dice.below(4) as usize % 4];
            let mut answer = refused(status, "internal");
            if status == 503 {
                answer.retry_after = Some(self.dice.between(1, 60).to_string());
            }
            return answer;
        }
        if self.strikes(satellite, Fault::Garbage) {
            let half = answer.body.len() / 2;
            let body = match self.dice.below(7) {
                0 => b"<html>please log in to this network</html>".to_vec(),
                1 => Vec::new(),
                2 => b"[]".to_vec(),
                3 => b"null".to_vec(),
                4 => vec![0xff, 0xfe, 0],
                5 => br#"{"status":"ok"}"#.to_vec(),
                _ => answer.body.get(..half).unwrap_or_default().to_vec(),
            };
            return HttpAnswer { body, ..answer };
        }
        answer
    }

    /// What somebody else asked for.
    fn misrouted(&mut self, is_poll: bool, registers: bool) -> HttpAnswer {
        let body = match self.dice.below(10) {
            0 => r#"{"status":"ok"}"#.to_string(),
            // To a registration it would be one, of another satellite.
            1 if !registers => format!(
                r#"{{"success":true,"satellite":{{"id":"sat_9","api_key":"{SECRET}-not-yours"}}}}"#
            ),
            2 => String::from(r#"{"commands":[],"polling_mode":"slow","next_poll_interval":60}"#),
            // To a poll that would be an answer, to a question that the Backend knows nothing of.
            3 if !is_poll => String::from(
                r#"{"commands":[{"id":"stray","command_type":"dance","payload":null}],"polling_mode":"slow"}"#,
            ),
            4 if !is_poll => String::from(
                r#"{"commands":[],"polling_mode":"slow","next_poll_interval":300,"maintenance":true}"#,
            ),
            5 => return refused(401, "token_already_used"),
            6 => return refused(401, "api_key_revoked"),
            7 => return refused(404, "not_found"),
            8 => return refused(409, "satellite_name_taken"),
            _ => return refused(401, "Unauthorized"),
        };
        HttpAnswer { status: 200, body: body.into_bytes(), ..HttpAnswer::default() }
    }

    fn slower(&mut self, back: Back) -> Back {
        let by = self.dice.between(5 * SECOND, 20 * SECOND);
        match back {
            Back::Whole { back_ms } => Back::Whole { back_ms: back_ms + by },
            Back::Cut { back_ms } => Back::Cut { back_ms: back_ms + by },
            Back::Lost => Back::Lost,
        }
    }

    /// The Backend ends, and is started again.
    fn backend_dies(&mut self, origin: &Origin, http: &HttpRequest, back: Back) {
        let reset = HttpFailure::Reset(String::from("connection reset"));
        self.respond(origin, http, Err(reset), back);
        self.note(usize::MAX, "the Backend died at a write");
        self.backend_goes();
        let away = self.random.between(SECOND, 2 * MINUTE);
        self.later(away, |stage| stage.backend.is_down = false);
    }

    /// The Backend is away from here on, and lets go of what it held.
    pub(super) fn backend_goes(&mut self) {
        self.backend.is_down = true;
        for Held { origin, http, back, .. } in std::mem::take(&mut self.held) {
            let reset = HttpFailure::Reset(String::from("connection reset"));
            self.respond(&origin, &http, Err(reset), back);
        }
    }

    /// Nobody waits for the polls of a daemon that is gone.
    pub(super) fn drop_held(&mut self, satellite: usize) {
        self.held.retain(|held| held.origin.satellite != satellite);
    }

    /// Files a command, which ends the hold of a poll.
    pub fn file(&mut self, satellite: &str, kind: &str, payload: &serde_json::Value) {
        self.backend.command(satellite, kind, payload);
        self.command_filed(satellite);
    }

    /// Files a command with every satellite that was ever paired.
    pub fn file_with_all(&mut self, kind: &str, payload: &serde_json::Value) {
        let ids: Vec<String> = self.backend.satellites.keys().cloned().collect();
        for id in ids {
            self.file(&id, kind, payload);
        }
    }

    /// The same with every key of the command's body given.
    pub fn file_with(&mut self, satellite: &str, body: serde_json::Value) {
        self.backend.command_with(satellite, body);
        self.command_filed(satellite);
    }

    fn command_filed(&mut self, satellite: &str) {
        let held: Vec<u64> = self
            .held
            .iter()
            .filter(|held| held.id() == satellite)
            .map(|held| held.number)
            .collect();
        for number in held {
            self.release(number);
        }
    }

    /// The Backend answers a poll that it held.
    pub(super) fn release(&mut self, number: u64) {
        let Some(place) = self.held.iter().position(|held| held.number == number) else { return };
        let held = self.held.remove(place);
        match self.backend.deliver(self.now, held.id()) {
            Reply::Now(answer) => self.respond(&held.origin, &held.http, Ok(answer), held.back),
            Reply::Held(_) => {}
            Reply::Died => self.backend_dies(&held.origin, &held.http, held.back),
        }
    }

    /// What the Backend said, or did not, on its way back.
    fn respond(
        &mut self,
        origin: &Origin,
        http: &HttpRequest,
        answer: Result<HttpAnswer, HttpFailure>,
        back: Back,
    ) {
        let (at, answer) = match back {
            Back::Lost => return,
            Back::Whole { back_ms } => (self.now.after(back_ms), answer),
            Back::Cut { back_ms } => {
                (self.now.after(back_ms), Err(HttpFailure::Cut(String::from("connection reset"))))
            }
        };
        let limit = origin.sent.after(http.timeout_ms);
        let (at, mut answer) =
            if at > limit { (limit, Err(HttpFailure::TimedOut)) } else { (at, answer) };
        if let Ok(answer) = &mut answer {
            answer.elapsed_ms = at.since(origin.sent);
        }
        self.word_of(origin, at, answer);
    }

    fn word_of(&mut self, origin: &Origin, at: Timestamp, answer: Result<HttpAnswer, HttpFailure>) {
        let (satellite, boot, request) = (origin.satellite, origin.boot, origin.request);
        let due = if request.channel == Channel::Heartbeat {
            let event = heartbeat::Event::Answered { request, answer };
            Due::Beat { satellite, boot, event }
        } else {
            Due::Word { satellite, boot, event: Event::Answered { request, answer } }
        };
        self.queue.put(at.max(self.now), due);
    }
}
