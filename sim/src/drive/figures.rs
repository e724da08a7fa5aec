//! Requests by route: how many, how they ended, how long they took.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use satellite_core::http::{HttpAnswer, HttpFailure, HttpRequest};
use serde_json::{Value, json};

/// What was counted since it was last taken.
#[derive(Default)]
pub(super) struct Figures(Mutex<BTreeMap<&'static str, Route>>);

/// The requests of a route.
#[derive(Default)]
pub(super) struct Route {
    requests: u64,
    sent_bytes: u64,
    received_bytes: u64,
    statuses: BTreeMap<u16, u64>,
    failures: BTreeMap<&'static str, u64>,
    /// How long each took, in microseconds.
    took: Vec<u32>,
}

impl Figures {
    /// A request ended, `took_us` after it began.
    pub(super) fn count(
        &self,
        http: &HttpRequest,
        answer: &Result<HttpAnswer, HttpFailure>,
        took_us: u64,
    ) {
        let (name, took_us) = route(&http.path, took_us);
        let mut routes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let route = routes.entry(name).or_default();
        route.requests += 1;
        route.sent_bytes += http.body.as_ref().map_or(0, Vec::len) as u64;
        route.took.push(u32::try_from(took_us).unwrap_or(u32::MAX));
        match answer {
            Ok(answer) => {
                route.received_bytes += answer.body.len() as u64;
                *route.statuses.entry(answer.status).or_default() += 1;
            }
            Err(failure) => *route.failures.entry(word(failure)).or_default() += 1,
        }
    }

    /// What was counted; counting begins anew.
    pub(super) fn take(&self) -> BTreeMap<&'static str, Route> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A request's route, and how long the Backend took for it: of a held poll that ended with nothing,
/// what went beyond the time it asked to be held.
fn route(path: &str, took_us: u64) -> (&'static str, u64) {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let wait = query.split('&').find_map(|pair| pair.strip_prefix("wait="));
    let wait_us = wait.and_then(|it| it.parse::<u64>().ok()).unwrap_or(0) * 1_000_000;
    match path.rsplit('/').next().unwrap_or_default() {
        "heartbeat" => ("heartbeat", took_us),
        "commands" if wait_us > 0 && took_us >= wait_us => ("poll, held", took_us - wait_us),
        "commands" if wait_us > 0 => ("poll, woken", took_us),
        "commands" => ("poll", took_us),
        "command-result" => ("command result", took_us),
        "events" => ("events", took_us),
        "config" => ("configuration", took_us),
        "register" => ("registration", took_us),
        "registration-tokens" => ("registration token", took_us),
        "health" => ("health", took_us),
        _ => ("other", took_us),
    }
}

fn word(failure: &HttpFailure) -> &'static str {
    match failure {
        HttpFailure::Refused(_) => "refused",
        HttpFailure::ConnectTimedOut => "no connection in time",
        HttpFailure::TimedOut => "timed out",
        HttpFailure::Reset(_) => "reset",
        HttpFailure::Cut(_) => "cut",
        _ => "other",
    }
}

impl Route {
    /// How long the fastest `share` of them took at most, in milliseconds. `sorted` is what they took.
    fn quantile(sorted: &[u32], share: f64) -> f64 {
        let place = (sorted.len() as f64 * share).ceil() as usize;
        sorted.get(place.saturating_sub(1)).map_or(0.0, |us| f64::from(*us) / 1_000.0)
    }

    /// As programs read it.
    pub(super) fn json(&self, seconds: f64) -> Value {
        let mut took = self.took.clone();
        took.sort_unstable();
        json!({
            "requests": self.requests,
            "per_second": self.requests as f64 / seconds.max(0.001),
            "p50_ms": Route::quantile(&took, 0.5),
            "p99_ms": Route::quantile(&took, 0.99),
            "max_ms": Route::quantile(&took, 1.0),
            "statuses": self.statuses.iter().map(|(status, count)| (status.to_string(), *count))
                .collect::<BTreeMap<_, _>>(),
            "failures": self.failures,
            "sent_bytes": self.sent_bytes,
            "received_bytes": self.received_bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_the_least_that_so_many_do_not_exceed() {
        let took: Vec<u32> = (1..=200).map(|ms| ms * 1_000).collect();
        assert_eq!(Route::quantile(&took, 0.5), 100.0);
        assert_eq!(Route::quantile(&took, 0.99), 198.0);
        assert_eq!(Route::quantile(&took, 1.0), 200.0);
        assert_eq!(Route::quantile(&[7_000], 0.99), 7.0);
        assert_eq!(Route::quantile(&[], 0.99), 0.0);
    }

    #[test]
    fn of_a_held_poll_counts_what_goes_beyond_its_wait() {
        let path = "/api/satellites/global/s/commands?last_poll=x&limit=10&wait=25";
        assert_eq!(route(path, 25_004_000), ("poll, held", 4_000));
        assert_eq!(route(path, 3_000), ("poll, woken", 3_000));
        assert_eq!(route("/api/satellites/global/s/commands?limit=10", 3_000), ("poll", 3_000));
    }
}
