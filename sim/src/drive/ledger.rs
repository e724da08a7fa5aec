//! Every event and every command by its id, so that what was sent can be compared with what is
//! stored.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use satellite_core::http::{HttpAnswer, HttpFailure, HttpRequest};
use satellite_core::log::LogLine;
use satellite_core::wire::event::EventsReply;
use serde::Deserialize;
use serde_json::json;

/// What the satellites sent and did.
#[derive(Default)]
pub(super) struct Ledger(Mutex<Books>);

#[derive(Default)]
struct Books {
    /// By satellite and event: whether its delivery was confirmed.
    events: BTreeMap<(String, String), Sent>,
    commands: BTreeMap<(String, String), Done>,
    heartbeats: u64,
}

/// What became of an event that was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sent {
    /// Nobody said that it arrived.
    #[default]
    Open,
    /// The Backend has taken it.
    Confirmed,
    /// The Backend says it cannot use it.
    Refused,
}

/// What became of a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Done {
    /// How often it was begun.
    begun: u64,
    /// How often its end was reported and that was confirmed.
    confirmed: u64,
}

/// How much there is of everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) events_sent: u64,
    pub(super) events_confirmed: u64,
    pub(super) events_refused: u64,
    pub(super) commands: u64,
    pub(super) begun: u64,
    pub(super) begun_again: u64,
    pub(super) results_confirmed: u64,
    pub(super) heartbeats_confirmed: u64,
}

#[derive(Deserialize)]
struct Batch {
    events: Vec<Sighted>,
}

/// An event as far as its id goes.
#[derive(Deserialize)]
struct Sighted {
    #[serde(default)]
    id: String,
}

#[derive(Deserialize)]
struct Result_ {
    command_id: String,
    status: String,
}

impl Ledger {
    /// A satellite logged something.
    pub(super) fn logged(&self, satellite: &str, line: &LogLine) {
        if line.msg != "command begun" {
            return;
        }
        let id = line.fields.iter().find(|(name, _)| name == "commandId");
        let Some((_, id)) = id else { return };
        let place = (satellite.to_owned(), id.to_string());
        self.books(|books| books.commands.entry(place).or_default().begun += 1);
    }

    /// A request is about to be sent.
    pub(super) fn sent(&self, satellite: &str, http: &HttpRequest) {
        if !http.path.ends_with("/events") {
            return;
        }
        let ids = events_of(http);
        self.books(|books| {
            for id in ids {
                books.events.entry((satellite.to_owned(), id)).or_default();
            }
        });
    }

    /// A request ended.
    pub(super) fn answered(
        &self,
        satellite: &str,
        http: &HttpRequest,
        answer: &Result<HttpAnswer, HttpFailure>,
    ) {
        let Some(answer) = answer.as_ref().ok().filter(|answer| answer.is_success()) else {
            return;
        };
        if http.path.ends_with("/heartbeat") {
            self.books(|books| books.heartbeats += 1);
        } else if http.path.ends_with("/events") {
            let reply: Option<EventsReply> = serde_json::from_slice(&answer.body).ok();
            let Some(reply) = reply else { return };
            self.books(|books| {
                for (index, id) in events_of(http).into_iter().enumerate() {
                    let is_refused = reply.failures.iter().any(|it| it.index == index);
                    let now = if is_refused { Sent::Refused } else { Sent::Confirmed };
                    books.events.insert((satellite.to_owned(), id), now);
                }
            });
        } else if http.path.ends_with("/command-result") {
            let body = http.body.as_deref().unwrap_or_default();
            let Ok(result) = serde_json::from_slice::<Result_>(body) else { return };
            if matches!(result.status.as_str(), "completed" | "failed") {
                let place = (satellite.to_owned(), result.command_id);
                self.books(|books| books.commands.entry(place).or_default().confirmed += 1);
            }
        }
    }

    pub(super) fn totals(&self) -> Totals {
        self.books(|books| {
            let with = |sent| books.events.values().filter(|it| **it == sent).count() as u64;
            let commands = books.commands.values();
            Totals {
                events_sent: books.events.len() as u64,
                events_confirmed: with(Sent::Confirmed),
                events_refused: with(Sent::Refused),
                commands: books.commands.len() as u64,
                begun: commands.clone().filter(|it| it.begun > 0).count() as u64,
                begun_again: commands.clone().filter(|it| it.begun > 1).count() as u64,
                results_confirmed: commands.filter(|it| it.confirmed > 0).count() as u64,
                heartbeats_confirmed: books.heartbeats,
            }
        })
    }

    /// One JSON object a line for each event and command.
    pub(super) fn lines(&self) -> String {
        let mut text = String::new();
        self.books(|books| {
            for ((satellite, event), sent) in &books.events {
                let sent = match sent {
                    Sent::Open => "open",
                    Sent::Confirmed => "confirmed",
                    Sent::Refused => "refused",
                };
                let line = json!({"satellite": satellite, "event": event, "is": sent});
                // Writing to a text has no way to fail.
                let _ = writeln!(text, "{line}");
            }
            for ((satellite, command), done) in &books.commands {
                let line = json!({"satellite": satellite, "command": command, "begun": done.begun,
                    "confirmed": done.confirmed});
                let _ = writeln!(text, "{line}");
            }
        });
        text
    }

    fn books<T>(&self, with: impl FnOnce(&mut Books) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn events_of(http: &HttpRequest) -> Vec<String> {
    let body = http.body.as_deref().unwrap_or_default();
    let batch: Option<Batch> = serde_json::from_slice(body).ok();
    batch.map(|batch| batch.events.into_iter().map(|it| it.id).collect()).unwrap_or_default()
}
