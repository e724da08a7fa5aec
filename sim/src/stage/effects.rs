//! What a daemon asks for, performed on models.

use satellite_core::control::{Effect, Event};
use satellite_core::heartbeat::{self, HostSample};
use satellite_core::http::{HttpAnswer, HttpFailure, HttpRequest};
use satellite_core::id::{Incarnation, InstanceKey};
use satellite_core::process::{Ended, ProcessSpec, SpawnFailure};
use satellite_core::relay::Report;
use satellite_core::request::{Channel, RequestKey};
use satellite_core::view::{Inventory, Tool};

use super::network::{Back, Fate};
use super::processes::Behaviour;
use super::{Due, Origin, Stage};

/// How the model machine is.
const SAMPLE: HostSample = HostSample {
    cpu_percent: 12.5,
    memory_mb: 14.0,
    disk_percent: 40.0,
    uptime_seconds: 0.0,
    network_rx_bytes: 1_000,
    network_tx_bytes: 1_000,
    response_time_ms: None,
};

impl Stage {
    pub(super) fn perform(&mut self, satellite: usize, effect: Effect) {
        match effect {
            Effect::Persist(record) => {
                let Some(subject) = self.satellites.get_mut(satellite) else { return };
                let name = record.name();
                subject.disk.write(record);
                // An event of its own, after all effects of this one.
                self.word(satellite, 0, Event::Persisted { record: name, outcome: Ok(()) });
            }
            Effect::Send { request, http } => self.send(satellite, request, http),
            Effect::Spawn { key, incarnation, process } => {
                self.spawn(satellite, &key, incarnation, &process);
            }
            Effect::Terminate { key, incarnation, grace_ms } => {
                self.terminate(satellite, &key, incarnation, grace_ms);
            }
            Effect::Relist { key, incarnation } => {
                let wait = self.random.between(5, 200);
                self.report(satellite, &key, incarnation, wait, Report::Listed(inventory()));
            }
            Effect::Probe { key, incarnation } => {
                let wait = self.random.between(1, 50);
                let report = Report::Probe { answered: true };
                self.report(satellite, &key, incarnation, wait, report);
            }
            Effect::ForgetUser { request, .. } => {
                let event = Event::UserForgotten { request, identities: 0, sessions: 0 };
                self.tell(satellite, event);
            }
            Effect::Log(_) => {}
            Effect::Exit(exit) => {
                if let Some(subject) = self.satellites.get_mut(satellite) {
                    subject.exited = Some(exit.code);
                    subject.control = None;
                    subject.heartbeat = None;
                }
            }
        }
    }

    pub(super) fn perform_beat(&mut self, satellite: usize, effect: heartbeat::Effect) {
        match effect {
            heartbeat::Effect::Sample => {
                let Some(subject) = self.satellites.get(satellite) else { return };
                let Some(control) = &subject.control else { return };
                let view = control.view();
                let uptime_seconds = self.now.since(super::EPOCH) as f64 / 1_000.0;
                let sample = HostSample { uptime_seconds, ..SAMPLE };
                self.beat(satellite, heartbeat::Event::Sampled { view, sample });
            }
            heartbeat::Effect::Send { request, http } => self.send(satellite, request, http),
            heartbeat::Effect::Answered(answer) => {
                self.tell(satellite, Event::HeartbeatAnswered { answer });
            }
            heartbeat::Effect::Log(_) => {}
        }
    }

    fn boot_of(&self, satellite: usize) -> u64 {
        self.satellites.get(satellite).map_or(0, |subject| subject.boot)
    }

    /// Has a daemon hear of something, unless it is another one by then.
    fn word(&mut self, satellite: usize, after_ms: u64, event: Event) {
        let boot = self.boot_of(satellite);
        self.queue.put(self.now.after(after_ms), Due::Word { satellite, boot, event });
    }

    fn report(
        &mut self,
        satellite: usize,
        key: &InstanceKey,
        incarnation: Incarnation,
        after_ms: u64,
        report: Report,
    ) {
        self.word(satellite, after_ms, Event::Relay { key: key.clone(), incarnation, report });
    }

    fn send(&mut self, satellite: usize, request: RequestKey, http: HttpRequest) {
        if let (Channel::Poll, Some(subject)) =
            (request.channel, self.satellites.get_mut(satellite))
        {
            subject.polls_in_flight += 1;
        }
        let boot = self.boot_of(satellite);
        self.observer.sent((satellite, boot), request.channel, &http, self.now);
        let origin = Origin { satellite, boot, request, sent: self.now };
        match self.network.fate() {
            Fate::Lost => self.time_out(&origin, &http),
            Fate::Refused { after_ms } => {
                let failure = HttpFailure::Refused(String::from("connection refused"));
                self.word_of(&origin, self.now.after(after_ms), Err(failure));
            }
            Fate::Delivered { there_ms, twice, back } => {
                let at = self.now.after(there_ms);
                if back == Back::Lost {
                    self.time_out(&origin, &http);
                }
                if twice {
                    // The copy's answer goes nowhere.
                    let copy = Due::Arrival {
                        origin: origin.clone(),
                        http: http.clone(),
                        back: Back::Lost,
                    };
                    self.queue.put(at.after(1), copy);
                }
                self.queue.put(at, Due::Arrival { origin, http, back });
            }
        }
    }

    fn time_out(&mut self, origin: &Origin, http: &HttpRequest) {
        let at = origin.sent.after(http.timeout_ms);
        self.word_of(origin, at, Err(HttpFailure::TimedOut));
    }

    /// What the Backend said, or did not, on its way back.
    pub(super) fn respond(
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

    fn word_of(
        &mut self,
        origin: &Origin,
        at: satellite_core::time::Timestamp,
        answer: Result<HttpAnswer, HttpFailure>,
    ) {
        let (satellite, boot, request) = (origin.satellite, origin.boot, origin.request);
        let due = if request.channel == Channel::Heartbeat {
            let event = heartbeat::Event::Answered { request, answer };
            Due::Beat { satellite, boot, event }
        } else {
            Due::Word { satellite, boot, event: Event::Answered { request, answer } }
        };
        self.queue.put(at.max(self.now), due);
    }

    fn spawn(
        &mut self,
        satellite: usize,
        key: &InstanceKey,
        incarnation: Incarnation,
        process: &ProcessSpec,
    ) {
        let behaviour = Behaviour::of(process.args.first().map_or("steady", String::as_str));
        let boot = self.boot_of(satellite);
        let wait = self.random.between(2, 60);
        if behaviour == Behaviour::Missing {
            let failure = SpawnFailure {
                step: String::from("resolve executable"),
                error: format!("{} is not installed; install it", process.command),
                retryable: false,
            };
            let event = Event::SpawnFailed { key: key.clone(), incarnation, failure };
            self.word(satellite, wait, event);
            return;
        }
        let pid = self.processes.start(satellite, key, incarnation, boot, behaviour);
        self.word(satellite, wait, Event::Spawned { key: key.clone(), incarnation, pid });
        if behaviour != Behaviour::Silent {
            let ready = wait + self.random.between(50, 1_500);
            let listed = ready + self.random.between(1, 300);
            self.report(satellite, key, incarnation, ready, Report::Initialized);
            self.report(satellite, key, incarnation, listed, Report::Listed(inventory()));
        } else {
            let report = Report::Unusable {
                step: "initialize",
                reason: format!("no answer within {} ms", process.handshake_timeout_ms),
            };
            self.report(satellite, key, incarnation, wait + process.handshake_timeout_ms, report);
        }
        if let Some(after_ms) = behaviour.dies_after(&mut self.random) {
            self.queue.put(self.now.after(wait + after_ms), Due::Death { pid, satellite, boot });
        }
    }

    fn terminate(
        &mut self,
        satellite: usize,
        key: &InstanceKey,
        incarnation: Incarnation,
        grace_ms: u64,
    ) {
        let boot = self.boot_of(satellite);
        let Some(process) = self.processes.find(satellite, key, incarnation, boot) else { return };
        let (pid, is_deaf) = (process.pid, process.behaviour == Behaviour::Stubborn);
        let wait = if is_deaf { grace_ms } else { self.random.between(1, 400) };
        self.queue.put(self.now.after(wait), Due::Gone { pid, satellite, boot });
    }

    pub(super) fn end_process(
        &mut self,
        satellite: usize,
        boot: u64,
        pid: u32,
        signal: Option<&str>,
    ) {
        let Some((key, incarnation)) = self.processes.end(pid) else { return };
        let subject = self.satellites.get_mut(satellite);
        let Some(subject) =
            subject.filter(|subject| subject.boot == boot && subject.control.is_some())
        else {
            return;
        };
        if signal.is_some() {
            *subject.crashes.entry(key.installation.clone()).or_default() += 1;
        }
        let ended = Ended {
            code: signal.is_none().then_some(0),
            signal: signal.map(String::from),
            last_stderr: Vec::new(),
        };
        self.tell(satellite, Event::Exited { key, incarnation, ended });
    }
}

/// What every model process offers.
fn inventory() -> std::sync::Arc<Inventory> {
    let raw = serde_json::value::RawValue::from_string(String::from(
        r#"{"name":"echo","inputSchema":{"type":"object"}}"#,
    ));
    let tool = raw.ok().map(|raw| Tool {
        name: String::from("echo"),
        description: String::from("says it again"),
        repeatable: true,
        raw,
    });
    std::sync::Arc::new(Inventory { tools: tool.into_iter().collect(), ..Inventory::default() })
}
