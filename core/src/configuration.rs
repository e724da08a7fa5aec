//! The configuration's way from the Backend to the satellite: fetched when told to, one request in
//! flight, unchanged ones recognised by their `ETag`, failures tried again.
//!
//! A Backend that counts its configurations is not followed backwards: one with a lower version than
//! that in force came late, or out of a cache. Each request says which version is in force, so a
//! Backend that was restored from a backup counts on from there and is followed at once. One that
//! counts and does not know of this is followed after [`CONFIGURATION_INSISTENCE_MS`].

mod applied;
pub mod bounds;
#[cfg(test)]
mod tests;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::backoff;
use crate::credentials::Credentials;
use crate::http::{HttpAnswer, HttpFailure, HttpRequest};
use crate::limits::CONFIGURATION_INSISTENCE_MS;
use crate::link::{answer, request};
use crate::log::{Level, LogLine};
use crate::machine::{Deadline, Machine, Verdict};
use crate::random::Random;
use crate::request::{Channel, RequestKey};
use crate::secret::Secret;
use crate::time::{MINUTE, Timestamp};
use crate::wire;
use crate::wire::configuration::VERSION_IN_FORCE;
use crate::wire::event::{ConfigErrorType, ConfigRefreshed};

pub use crate::wire::configuration::Rejected;
pub use applied::{Applied, FetchFailure};

/// An event of the configuration.
#[derive(Debug)]
pub enum Event {
    /// Credentials may be used: the first fetch starts.
    Paired(Credentials),
    /// The last good configuration was found on disk.
    Restored(Vec<u8>),
    /// The configuration may have changed. Answered by `Apply`, `Unchanged` or `FetchFailed`.
    RefreshRequested,
    /// A request of channel `Configuration` ended.
    Answered {
        /// Which.
        request: RequestKey,
        /// How.
        answer: Result<HttpAnswer, HttpFailure>,
    },
    /// Time has passed.
    Tick,
}

/// An effect of the configuration.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one at a time, moved once")]
pub enum Effect {
    /// Send a request to the Backend; answered by `Answered`.
    Send {
        /// Which.
        request: RequestKey,
        /// The request.
        http: HttpRequest,
    },
    /// Make a configuration the one in force.
    Apply(Applied),
    /// The Backend confirmed the configuration in force.
    Unchanged(ConfigRefreshed),
    /// A fetch failed; the next one follows by itself.
    FetchFailed(FetchFailure),
    /// Print a log line.
    Log(LogLine),
}

/// What the machine is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing is wanted, or nobody can be asked yet.
    Idle,
    /// A request is on its way.
    InFlight {
        number: u64,
        /// The configuration may have changed since: the answer is out of date before it comes.
        again: bool,
    },
    /// The last request failed.
    Pausing { until: Timestamp },
}

/// The configuration's way to the satellite.
#[derive(Debug)]
pub struct Configuration {
    random: Random,
    credentials: Option<Credentials>,
    phase: Phase,
    requests: u64,
    failures: u32,
    /// The `ETag` of the configuration in force, if it came from the Backend with one.
    etag: Option<String>,
    /// The version of the configuration in force, if the Backend counts.
    version: Option<u64>,
    /// Since when the Backend has sent nothing but older ones.
    older_since: Option<Timestamp>,
    /// The number of the last request whose answer was used.
    answered: u64,
    /// The configuration in force, in brief.
    in_force: Option<ConfigRefreshed>,
    /// The text of the configuration in force: entries that come out wrong later stay as they are
    /// in it.
    last_good: Secret,
    /// Whether the last answer was passed over as out of date. Not twice in a row: under a stream
    /// of refreshes one has to be used.
    passed_over: bool,
}

impl Configuration {
    /// Nothing fetched, nothing in force.
    pub fn new(random: Random) -> Self {
        Configuration {
            random,
            credentials: None,
            phase: Phase::Idle,
            requests: 0,
            failures: 0,
            etag: None,
            version: None,
            older_since: None,
            answered: 0,
            in_force: None,
            last_good: Secret::default(),
            passed_over: false,
        }
    }

    /// The number of the request whose answer is the first to hold what the Backend knows at this
    /// moment, once a refresh was asked for.
    pub fn awaited(&self) -> u64 {
        match self.phase {
            Phase::InFlight { number, again: false } => number,
            Phase::InFlight { .. } | Phase::Idle | Phase::Pausing { .. } => self.requests + 1,
        }
    }

    /// The number of the last request whose answer was used.
    pub fn answered(&self) -> u64 {
        self.answered
    }

    /// Requests sent so far.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// The version of the configuration in force, if the Backend counts.
    pub fn version(&self) -> Option<u64> {
        self.version
    }

    /// Takes no confirmation for an answer to the next request: the configuration is wanted whole,
    /// with its version.
    pub fn forget_tag(&mut self) {
        self.etag = None;
    }

    fn fetch(&mut self, out: &mut Vec<Effect>) {
        let Some(credentials) = &self.credentials else { return };
        let path = wire::path::config(&credentials.satellite_id);
        let mut http = request::get(credentials, path);
        http.headers.extend(self.etag.clone().map(|etag| ("if-none-match".to_string(), etag)));
        let version = self.version.map(|version| version.to_string());
        http.headers.extend(version.map(|it| (VERSION_IN_FORCE.to_string(), it)));
        self.requests += 1;
        self.phase = Phase::InFlight { number: self.requests, again: false };
        let request = RequestKey { channel: Channel::Configuration, number: self.requests };
        out.push(Effect::Send { request, http });
    }

    /// The configuration on disk serves until the Backend sends its own, and not after.
    fn restored(&mut self, raw: Vec<u8>, out: &mut Vec<Effect>) -> Verdict {
        if self.in_force.is_some() {
            return Verdict::Ignored("a configuration is in force");
        }
        match Applied::read(raw, None) {
            Ok(applied) => {
                self.in_force = Some(applied.in_brief());
                self.version = applied.version;
                self.last_good = text_of(&applied.raw);
                out.push(Effect::Apply(applied));
            }
            Err(error) => out.push(Effect::Log(
                LogLine::new(Level::Warn, "The stored configuration cannot be read; it is ignored")
                    .with("error", &error),
            )),
        }
        Verdict::Handled
    }

    fn ended(
        &mut self,
        now: Timestamp,
        number: u64,
        again: bool,
        answer: Result<HttpAnswer, HttpFailure>,
        out: &mut Vec<Effect>,
    ) {
        self.phase = Phase::Idle;
        if again && !self.passed_over && answer.is_ok() {
            self.passed_over = true;
            return self.fetch(out);
        }
        self.passed_over = false;
        self.answered = number;
        let failure = match answer {
            Ok(HttpAnswer { status: 304, elapsed_ms, .. }) if self.in_force.is_some() => {
                self.failures = 0;
                self.older_since = None;
                out.extend(self.in_force.clone().map(|in_force| {
                    Effect::Unchanged(ConfigRefreshed {
                        change_detected: false,
                        fetch_duration_ms: elapsed_ms,
                        ..in_force
                    })
                }));
                None
            }
            Ok(received) if received.is_success() => self.received(now, received, out).err(),
            other => Some(failure_of(&other, now)),
        };
        if let Some(failure) = failure {
            self.failed(now, failure, out);
        }
        if again {
            self.fetch(out);
        }
    }

    fn received(
        &mut self,
        now: Timestamp,
        answer: HttpAnswer,
        out: &mut Vec<Effect>,
    ) -> Result<(), Failed> {
        let HttpAnswer { status, etag, body, elapsed_ms, .. } = answer;
        let mut applied = Applied::read(body, Some(elapsed_ms)).map_err(|error| Failed {
            kind: ConfigErrorType::ServerError,
            error,
            status: Some(status),
            asked: None,
        })?;
        if let Some(error) = self.goes_back(now, applied.version, out) {
            let kind = ConfigErrorType::ServerError;
            return Err(Failed { kind, error, status: Some(status), asked: None });
        }
        let before = self.in_force.as_ref().map(|in_force| &in_force.config_hash);
        applied.change_detected = before != Some(&applied.config_hash);
        if !applied.rejected.is_empty() {
            applied.keep_last_good(self.last_good.expose());
        }
        self.failures = 0;
        self.older_since = None;
        self.etag = etag;
        self.version = applied.version;
        self.in_force = Some(applied.in_brief());
        self.last_good = text_of(&applied.raw);
        out.push(Effect::Apply(applied));
        Ok(())
    }

    /// Why a configuration of this version is refused, if it is.
    fn goes_back(
        &mut self,
        now: Timestamp,
        version: Option<u64>,
        out: &mut Vec<Effect>,
    ) -> Option<String> {
        let (sent, known) = version.zip(self.version).filter(|(sent, known)| sent < known)?;
        let since = *self.older_since.get_or_insert(now);
        if now.since(since) >= CONFIGURATION_INSISTENCE_MS {
            out.push(Effect::Log(
                LogLine::new(Level::Warn, "The Backend counts from below; it is followed")
                    .with("operation", "configure")
                    .with("version", sent)
                    .with("before", known),
            ));
            return None;
        }
        // The next answer must show its version.
        self.etag = None;
        Some(format!(
            "the Backend sent version {sent}, which is older than {known}, the one in force; it is \
             taken if the Backend sends nothing else for {} minutes",
            CONFIGURATION_INSISTENCE_MS / MINUTE
        ))
    }

    fn failed(&mut self, now: Timestamp, failed: Failed, out: &mut Vec<Effect>) {
        self.failures = self.failures.saturating_add(1);
        let wait = backoff::after_failures(self.failures, failed.asked, &mut self.random);
        self.phase = Phase::Pausing { until: now.after(wait) };
        out.push(Effect::Log(
            LogLine::new(Level::Warn, "The configuration could not be fetched")
                .with("operation", "configure")
                .with("error", &failed.error)
                .with("failures", self.failures)
                .with("next_attempt_ms", wait),
        ));
        out.push(Effect::FetchFailed(FetchFailure {
            error_type: failed.kind,
            error_message: failed.error,
            status_code: failed.status,
            retry_in_ms: wait,
        }));
    }
}

/// A configuration that was read is JSON, and so is text.
fn text_of(raw: &[u8]) -> Secret {
    Secret::new(String::from_utf8_lossy(raw))
}

/// Why a fetch failed.
struct Failed {
    kind: ConfigErrorType,
    error: String,
    status: Option<u16>,
    asked: Option<u64>,
}

fn failure_of(answer: &Result<HttpAnswer, HttpFailure>, now: Timestamp) -> Failed {
    let status = answer.as_ref().ok().map(|received| received.status);
    let kind = match status {
        None => ConfigErrorType::Network,
        Some(401 | 403) => ConfigErrorType::Auth,
        Some(_) => ConfigErrorType::ServerError,
    };
    Failed { kind, error: answer::describe(answer), status, asked: answer::asked_wait(answer, now) }
}

impl Machine for Configuration {
    type Event = Event;
    type Effect = Effect;

    fn handle(&mut self, now: Timestamp, event: Event, out: &mut Vec<Effect>) -> Verdict {
        match event {
            Event::Paired(credentials) => {
                let is_other = |one: &Credentials| one.satellite_id != credentials.satellite_id;
                if self.credentials.as_ref().is_some_and(is_other) {
                    // Another pairing's Backend counts for itself.
                    (self.etag, self.version) = (None, None);
                }
                self.credentials = Some(credentials);
                if matches!(self.phase, Phase::Idle) {
                    self.fetch(out);
                }
                Verdict::Handled
            }
            Event::Restored(raw) => self.restored(raw, out),
            Event::RefreshRequested => {
                match &mut self.phase {
                    Phase::InFlight { again, .. } => *again = true,
                    // Whoever asks has heard from the Backend: no reason to wait any longer.
                    Phase::Idle | Phase::Pausing { .. } => self.fetch(out),
                }
                Verdict::Handled
            }
            Event::Answered { request, answer } => match self.phase {
                Phase::InFlight { number, again } if number == request.number => {
                    self.ended(now, number, again, answer, out);
                    Verdict::Handled
                }
                _ => Verdict::Ignored("late"),
            },
            Event::Tick => match self.phase {
                Phase::Pausing { until } if until <= now => {
                    self.fetch(out);
                    Verdict::Handled
                }
                _ => Verdict::Ignored("nothing is due"),
            },
        }
    }

    fn next_deadline(&self) -> Option<Deadline> {
        match self.phase {
            Phase::Pausing { until } => Some(Deadline::new(until, "configuration again")),
            Phase::Idle | Phase::InFlight { .. } => None,
        }
    }
}
