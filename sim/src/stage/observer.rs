//! What passes between a satellite and the Backend, as somebody on the wire sees it, held to what
//! the satellite promises.

use std::collections::BTreeMap;

use satellite_core::http::{HttpAnswer, HttpFailure, HttpRequest};
use satellite_core::request::Channel;
use satellite_core::time::{MINUTE, SECOND, Timestamp};
use serde_json::Value;

use super::Violation;

/// After a failure the Backend is left alone at least so long.
const PAUSE_MIN_MS: u64 = 2 * SECOND;
/// What the Backend asks for counts up to here.
const PAUSE_MAX_MS: u64 = 5 * MINUTE;

/// One start of one satellite's daemon.
type Daemon = (usize, u64);

/// Watches every request and answer.
#[derive(Debug, Default)]
pub struct Observer {
    /// Before when a channel must be silent, after a failure.
    silent_until: BTreeMap<(Daemon, Channel), Timestamp>,
    /// The id under which each event was first sent, by its number.
    event_ids: BTreeMap<(Daemon, u64), String>,
    /// The first promise that was broken.
    pub broken: Option<Violation>,
}

impl Observer {
    /// A daemon sends a request.
    pub fn sent(&mut self, daemon: Daemon, channel: Channel, http: &HttpRequest, now: Timestamp) {
        if let Some(until) = self.silent_until.get(&(daemon, channel)).filter(|it| now < **it) {
            let early = until.since(now);
            self.breaks("a failure is followed by a pause", || {
                format!("{channel:?} of {daemon:?} came {early} ms early")
            });
        }
        if channel == Channel::Events {
            self.sent_events(daemon, http);
        }
    }

    fn sent_events(&mut self, daemon: Daemon, http: &HttpRequest) {
        let body: Value =
            serde_json::from_slice(http.body.as_deref().unwrap_or_default()).unwrap_or_default();
        for event in body["events"].as_array().into_iter().flatten() {
            let (Some(number), Some(id)) = (event["seq"].as_u64(), event["id"].as_str()) else {
                let event = event.clone();
                self.breaks("an event has a number and an id", || event.to_string());
                continue;
            };
            let first = self.event_ids.entry((daemon, number)).or_insert_with(|| id.to_string());
            if first != id {
                let detail = format!("event {number} of {daemon:?} was {first} and is {id}");
                self.breaks("an event sent again keeps its id", || detail);
            }
        }
    }

    /// A daemon has its answer.
    pub fn answered(
        &mut self,
        daemon: Daemon,
        channel: Channel,
        answer: &Result<HttpAnswer, HttpFailure>,
        now: Timestamp,
    ) {
        if !matches!(channel, Channel::Poll | Channel::Events) {
            return;
        }
        let asked = match answer {
            Ok(answer) if answer.status < 500 && answer.status != 429 => {
                self.silent_until.remove(&(daemon, channel));
                return;
            }
            Ok(answer) => answer.retry_after.as_deref().and_then(|it| it.parse::<u64>().ok()),
            Err(_) => None,
        };
        let asked = asked.unwrap_or(0).saturating_mul(SECOND).min(PAUSE_MAX_MS);
        self.silent_until.insert((daemon, channel), now.after(asked.max(PAUSE_MIN_MS)));
    }

    fn breaks(&mut self, invariant: &'static str, detail: impl FnOnce() -> String) {
        if self.broken.is_none() {
            self.broken = Some(Violation { invariant, detail: detail() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLLING: Daemon = (0, 1);

    fn events(body: &str) -> HttpRequest {
        let mut http = HttpRequest { path: String::from("/events"), ..bare() };
        http.body = Some(body.as_bytes().to_vec());
        http
    }

    fn bare() -> HttpRequest {
        HttpRequest {
            method: satellite_core::http::Method::Get,
            path: String::new(),
            bearer: None,
            headers: Vec::new(),
            body: None,
            timeout_ms: 0,
        }
    }

    #[test]
    fn a_poll_too_soon_after_a_failure_is_seen() {
        let failed = Ok(HttpAnswer {
            status: 503,
            retry_after: Some(String::from("30")),
            ..HttpAnswer::default()
        });
        for (at, is_early) in [(29_999, true), (30_000, false)] {
            let mut observer = Observer::default();
            observer.answered(POLLING, Channel::Poll, &failed, Timestamp(0));
            observer.sent(POLLING, Channel::Poll, &bare(), Timestamp(at));
            assert_eq!(observer.broken.is_some(), is_early, "{at}");
        }
    }

    #[test]
    fn an_event_under_a_second_id_is_seen() {
        let mut observer = Observer::default();
        let first = events(r#"{"events":[{"seq":1,"id":"a"}]}"#);
        observer.sent(POLLING, Channel::Events, &first, Timestamp(0));
        observer.sent(POLLING, Channel::Events, &first, Timestamp(1));
        assert_eq!(observer.broken, None);
        let other = events(r#"{"events":[{"seq":1,"id":"b"}]}"#);
        observer.sent(POLLING, Channel::Events, &other, Timestamp(2));
        assert!(observer.broken.is_some());
    }
}
