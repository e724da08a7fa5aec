//! What a run says of itself.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use super::figures::Route;
use super::{Drive, Shared};

/// Everything a run has counted.
#[derive(Debug)]
pub struct Report {
    figures: Value,
    ids: String,
}

/// What the run itself has seen.
pub(super) struct Seen {
    pub(super) pairing: Duration,
    pub(super) pairing_routes: BTreeMap<&'static str, Route>,
    pub(super) measured: Duration,
    pub(super) routes: BTreeMap<&'static str, Route>,
    pub(super) cpu_seconds: f64,
    pub(super) emitted: u64,
}

impl Report {
    pub(super) fn new(drive: &Drive, shared: &Shared, seen: &Seen) -> Report {
        let totals = shared.ledger.totals();
        let waiting = shared.waiting.load(Ordering::Relaxed) as u64;
        let counts = shared.wire.counts();
        let table = |routes: &BTreeMap<&str, Route>, over: Duration| -> BTreeMap<String, Value> {
            let seconds = over.as_secs_f64();
            routes.iter().map(|(name, route)| (name.to_string(), route.json(seconds))).collect()
        };
        let figures = json!({
            "satellites": drive.satellites,
            "satellites_ended": shared.ended.load(Ordering::Relaxed),
            "holds_polls": drive.holds_polls,
            "measured_seconds": seen.measured.as_secs_f64(),
            "pairing": {
                "seconds": seen.pairing.as_secs_f64(),
                "routes": table(&seen.pairing_routes, seen.pairing),
            },
            "routes": table(&seen.routes, seen.measured),
            "connections": {
                "opened": counts.opened.load(Ordering::Relaxed),
                "most_at_once": counts.most.load(Ordering::Relaxed),
                "refused": counts.refused.load(Ordering::Relaxed),
            },
            "generator_cpu_seconds": seen.cpu_seconds,
            "whole_run": {
                "heartbeats_confirmed": totals.heartbeats_confirmed,
                "events_emitted": seen.emitted,
                "events_waiting": waiting,
                "events_sent": totals.events_sent,
                "events_confirmed": totals.events_confirmed,
                "events_refused": totals.events_refused,
                "commands": totals.commands,
                "commands_begun": totals.begun,
                "commands_begun_again": totals.begun_again,
                "results_confirmed": totals.results_confirmed,
            },
        });
        Report { figures, ids: shared.ledger.lines() }
    }

    /// The figures, for programs.
    pub fn json(&self) -> &Value {
        &self.figures
    }

    /// Each event and each command, one JSON object a line.
    pub fn ids(&self) -> &str {
        &self.ids
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let it = &self.figures;
        let number = |value: &Value| value.as_f64().unwrap_or(0.0);
        writeln!(
            f,
            "{} satellites, measured for {:.1} s; polls {} held",
            it["satellites"],
            number(&it["measured_seconds"]),
            if it["holds_polls"] == true { "may be" } else { "are not" },
        )?;
        for (title, routes) in [("pairing", &it["pairing"]["routes"]), ("measured", &it["routes"])]
        {
            writeln!(
                f,
                "\n{title:<20} requests      /s    p50 ms    p99 ms    max ms  KB sent  answers"
            )?;
            for (name, route) in routes.as_object().into_iter().flatten() {
                let mut answers = String::new();
                for kind in ["statuses", "failures"] {
                    for (what, count) in route[kind].as_object().into_iter().flatten() {
                        write!(answers, " {what}: {count}")?;
                    }
                }
                writeln!(
                    f,
                    "{name:<20} {:8} {:7.1} {:9.2} {:9.2} {:9.2} {:8.0} {answers}",
                    number(&route["requests"]),
                    number(&route["per_second"]),
                    number(&route["p50_ms"]),
                    number(&route["p99_ms"]),
                    number(&route["max_ms"]),
                    number(&route["sent_bytes"]) / 1_000.0,
                )?;
            }
        }
        let (connections, whole) = (&it["connections"], &it["whole_run"]);
        writeln!(
            f,
            "\nconnections: {} opened, {} at once at most, {} refused",
            connections["opened"], connections["most_at_once"], connections["refused"]
        )?;
        writeln!(
            f,
            "the generator: {:.1} s of processor time while it was measured",
            number(&it["generator_cpu_seconds"])
        )?;
        writeln!(
            f,
            "whole run: {} heartbeats confirmed; events: {} emitted, {} sent, {} confirmed, {} \
             refused, {} wait; commands: {} begun, {} of them again, {} results confirmed; {} \
             satellites ended by themselves",
            whole["heartbeats_confirmed"],
            whole["events_emitted"],
            whole["events_sent"],
            whole["events_confirmed"],
            whole["events_refused"],
            whole["events_waiting"],
            whole["commands_begun"],
            whole["commands_begun_again"],
            whole["results_confirmed"],
            it["satellites_ended"],
        )
    }
}
