//! How the satellite is, told every 30 seconds: the schedule, and the payload built from the
//! published [`View`].
//!
//! Apart from the control machine, so that nothing that holds that one up delays a heartbeat.

mod payload;
#[cfg(test)]
mod tests;

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::credentials::Credentials;
use crate::http::{HttpAnswer, HttpFailure, HttpRequest};
use crate::limits::{HEARTBEAT_INTERVAL_MS, HEARTBEAT_LARGE_BYTES, Settings};
use crate::link::{answer, request};
use crate::log::{Level, LogLine};
use crate::machine::{Deadline, Machine, Verdict};
use crate::request::{Channel, RequestKey};
use crate::time::{SECOND, Timestamp};
use crate::view::View;
use crate::wire;

pub use payload::payload;

/// How late a heartbeat may be and still belong to its place in the row. Later than that, the
/// machine slept, and the row starts anew.
const LATE_MS: u64 = SECOND;

/// How this machine is, measured by the host.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HostSample {
    /// Busy share of all processors since the last sample, 0..=100.
    pub cpu_percent: f64,
    /// The daemon's resident memory in MiB.
    pub memory_mb: f64,
    /// Used share of the file system of the state directory, 0..=100.
    pub disk_percent: f64,
    /// Seconds since the daemon started.
    pub uptime_seconds: f64,
    /// Bytes received by the machine since it started.
    pub network_rx_bytes: u64,
    /// Bytes sent by the machine since it started.
    pub network_tx_bytes: u64,
    /// How long the Backend took for its last answer, if the host has measured it itself.
    pub response_time_ms: Option<u64>,
}

/// An event of the heartbeat.
#[derive(Debug)]
pub enum Event {
    /// Credentials may be used.
    Paired(Credentials),
    /// The sample that was asked for, with the view of the same moment.
    Sampled {
        /// What the satellite is.
        view: Arc<View>,
        /// How its machine is.
        sample: HostSample,
    },
    /// A request of channel `Heartbeat` ended.
    Answered {
        /// Which.
        request: RequestKey,
        /// How.
        answer: Result<HttpAnswer, HttpFailure>,
    },
    /// Time has passed.
    Tick,
}

/// An effect of the heartbeat.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Measure the machine; answered by `Sampled`.
    Sample,
    /// Send a request to the Backend; answered by `Answered`.
    Send {
        /// Which.
        request: RequestKey,
        /// The request.
        http: HttpRequest,
    },
    /// Tell the control machine what the Backend said.
    Answered(Result<HttpAnswer, HttpFailure>),
    /// Print a log line.
    Log(LogLine),
}

/// The heartbeat.
#[derive(Debug)]
pub struct Heartbeat {
    credentials: Option<Credentials>,
    /// Sent until a heartbeat was answered by 2xx.
    satellite_url: Option<alloc::string::String>,
    due: Option<Timestamp>,
    sampling: bool,
    requests: u64,
    in_flight: Option<u64>,
    response_time_ms: Option<u64>,
}

impl Heartbeat {
    /// A heartbeat that begins with the pairing.
    pub fn new(settings: &Settings) -> Self {
        Heartbeat {
            credentials: None,
            satellite_url: settings.public_url.clone(),
            due: None,
            sampling: false,
            requests: 0,
            in_flight: None,
            response_time_ms: None,
        }
    }

    fn beat(&mut self, now: Timestamp, due: Timestamp, out: &mut Vec<Effect>) {
        let slept = now.since(due) > LATE_MS;
        let from = if slept { now } else { due };
        self.due = Some(from.after(HEARTBEAT_INTERVAL_MS));
        self.sampling = true;
        out.push(Effect::Sample);
    }

    fn send(
        &mut self,
        now: Timestamp,
        view: &View,
        sample: &HostSample,
        out: &mut Vec<Effect>,
    ) -> Verdict {
        let Some(credentials) = &self.credentials else { return Verdict::Ignored("not paired") };
        let mut heartbeat = payload(view, sample, now);
        heartbeat.satellite_url.clone_from(&self.satellite_url);
        heartbeat.response_time_ms = sample.response_time_ms.or(self.response_time_ms);
        let summary = heartbeat.mcp_status.as_ref().map(|status| status.summary);
        let summary = summary.unwrap_or_default();
        out.push(Effect::Log(
            LogLine::new(Level::Debug, "Collected MCP status snapshot for heartbeat")
                .with("operation", "mcp_status_snapshot_collected")
                .with("total_instances", summary.total_instances)
                .with("total_tools", summary.total_tools),
        ));
        let body = wire::encode(&heartbeat);
        if body.len() > HEARTBEAT_LARGE_BYTES {
            out.push(Effect::Log(
                LogLine::new(Level::Warn, "The heartbeat is unusually large")
                    .with("operation", "heartbeat_large")
                    .with("bytes", body.len())
                    .with("total_instances", summary.total_instances),
            ));
        }
        let http =
            request::post(credentials, wire::path::heartbeat(&credentials.satellite_id), body);
        self.requests += 1;
        self.in_flight = Some(self.requests);
        let request = RequestKey { channel: Channel::Heartbeat, number: self.requests };
        out.push(Effect::Send { request, http });
        Verdict::Handled
    }

    fn answered(&mut self, answer: Result<HttpAnswer, HttpFailure>, out: &mut Vec<Effect>) {
        if let Ok(received) = &answer {
            self.response_time_ms = Some(received.elapsed_ms);
        }
        let line = if answer.as_ref().is_ok_and(HttpAnswer::is_success) {
            self.satellite_url = None;
            let line = LogLine::new(Level::Debug, "Heartbeat sent successfully");
            match &self.credentials {
                Some(credentials) => line.with("satelliteId", credentials.satellite_id.as_str()),
                None => line,
            }
        } else {
            LogLine::new(Level::Error, "Failed to send heartbeat")
                .with("error", answer::describe(&answer))
        };
        out.push(Effect::Log(line));
        out.push(Effect::Answered(answer));
    }
}

impl Machine for Heartbeat {
    type Event = Event;
    type Effect = Effect;

    fn handle(&mut self, now: Timestamp, event: Event, out: &mut Vec<Effect>) -> Verdict {
        match event {
            Event::Paired(credentials) => {
                self.credentials = Some(credentials);
                if self.due.is_none() {
                    self.beat(now, now, out);
                }
                Verdict::Handled
            }
            Event::Tick => match self.due {
                Some(due) if due <= now => {
                    self.beat(now, due, out);
                    Verdict::Handled
                }
                _ => Verdict::Ignored("nothing is due"),
            },
            Event::Sampled { view, sample } => {
                if !core::mem::take(&mut self.sampling) {
                    return Verdict::Ignored("late");
                }
                self.send(now, &view, &sample, out)
            }
            Event::Answered { request, answer } => {
                if self.in_flight != Some(request.number) {
                    return Verdict::Ignored("late");
                }
                self.in_flight = None;
                self.answered(answer, out);
                Verdict::Handled
            }
        }
    }

    fn next_deadline(&self) -> Option<Deadline> {
        self.due.map(|due| Deadline::new(due, "heartbeat"))
    }
}
