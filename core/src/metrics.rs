//! The published state in the text format of Prometheus (exposition format 0.0.4).
//!
//! Labels hold ids, names and fixed words: nothing that a server or a configuration could have put a
//! secret into.

use alloc::format;
use alloc::string::String;
use core::fmt::{Display, Write as _};

use crate::id::InstanceKey;
use crate::view::figures::{Figures, Measured, TeamFigures};
use crate::view::{PlacesView, SatelliteStatus, View, WaitsFor};

/// The content type of the format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const US_PER_SECOND: f64 = 1_000_000.0;

/// One metric after another, each with its samples.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    /// Begins a metric; `kind` is `counter` or `gauge`.
    fn metric(&mut self, name: &'static str, kind: &str, help: &str) -> Metric<'_> {
        // A string takes everything.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Metric { text: &mut self.text, name }
    }
}

/// A metric that takes samples.
struct Metric<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Metric<'_> {
    fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let labels: alloc::vec::Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let _ = match labels[..] {
            [] => writeln!(self.text, "{} {value}", self.name),
            _ => writeln!(self.text, "{}{{{}}} {value}", self.name, labels.join(",")),
        };
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// A figure of a process.
type Figure = (&'static str, &'static str, &'static str, fn(&Measured) -> f64);

const OF_PROCESSES: [Figure; 7] = [
    (
        "satellite_instance_cpu_seconds_total",
        "counter",
        "Processor time of an instance's present process.",
        |it| it.usage.cpu_us as f64 / US_PER_SECOND,
    ),
    (
        "satellite_instance_cpu_throttled_seconds_total",
        "counter",
        "Time in which its limit held it back.",
        |it| it.usage.throttled_us as f64 / US_PER_SECOND,
    ),
    (
        "satellite_instance_cpu_throttled_periods_total",
        "counter",
        "Periods in which its limit held it back.",
        |it| it.usage.throttled_periods as f64,
    ),
    (
        "satellite_instance_memory_bytes",
        "gauge",
        "Its memory without what can be taken back.",
        |it| it.usage.memory_bytes as f64,
    ),
    ("satellite_instance_memory_limit_bytes", "gauge", "The memory that it may have.", |it| {
        it.limits.memory_bytes as f64
    }),
    ("satellite_instance_processes", "gauge", "Its processes and threads.", |it| {
        it.usage.processes as f64
    }),
    ("satellite_instance_near_limits", "gauge", "Limits of which it has used 80 %.", |it| {
        it.near.len() as f64
    }),
];

/// A figure of a team, where it has one.
type OfTeam = (&'static str, &'static str, &'static str, fn(&TeamFigures) -> Option<f64>);

const OF_TEAMS: [OfTeam; 7] = [
    (
        "satellite_team_cpu_seconds_total",
        "counter",
        "Processor time of a team's processes together.",
        |it| Some(it.usage.cpu_us as f64 / US_PER_SECOND),
    ),
    (
        "satellite_team_cpu_limit_percent",
        "gauge",
        "Hundredths of a processor they may have.",
        |it| it.limits.cpu_percent.map(|value| value as f64),
    ),
    (
        "satellite_team_memory_bytes",
        "gauge",
        "Their memory without what can be taken back.",
        |it| Some(it.usage.memory_bytes as f64),
    ),
    ("satellite_team_memory_limit_bytes", "gauge", "The memory that they may have.", |it| {
        it.limits.memory_bytes.map(|value| value as f64)
    }),
    ("satellite_team_processes", "gauge", "Their processes and threads.", |it| {
        Some(it.usage.processes as f64)
    }),
    ("satellite_team_processes_limit", "gauge", "The processes that they may have.", |it| {
        it.limits.processes.map(|value| value as f64)
    }),
    ("satellite_team_near_limits", "gauge", "Limits of which they have used 80 %.", |it| {
        Some(it.near.len() as f64)
    }),
];

/// The page of a satellite.
pub fn page(view: &View) -> String {
    let mut page = Page::default();
    satellite(&mut page, view);
    places(&mut page, &view.places);
    for (name, kind, help, figure) in OF_TEAMS {
        let mut metric = page.metric(name, kind, help);
        for (team, figures) in view.teams.iter() {
            if let Some(value) = figure(figures) {
                metric.sample(&[("team", team.as_str())], value);
            }
        }
    }
    for (name, kind, help, figure) in OF_PROCESSES {
        let mut metric = page.metric(name, kind, help);
        for (key, figures) in view.figures.iter() {
            if let Some(measured) = &figures.measured {
                with_labels(view, key, &[], |labels| metric.sample(labels, figure(measured)));
            }
        }
    }
    lives(&mut page, view);
    let mut calls = page.metric("satellite_tool_calls_total", "counter", "Calls of tools by team.");
    for (team, of_team) in view.calls.iter() {
        calls.sample(&[("team", team.as_str())], of_team.count);
    }
    let help = "Calls of tools that failed, by team.";
    let mut errors = page.metric("satellite_tool_call_errors_total", "counter", help);
    for (team, of_team) in view.calls.iter() {
        errors.sample(&[("team", team.as_str())], of_team.errors);
    }
    page.text
}

fn satellite(page: &mut Page, view: &View) {
    let is_degraded = u8::from(view.health.status != SatelliteStatus::Active);
    page.metric("satellite_degraded", "gauge", "1 while the satellite is not all well.")
        .sample(&[], is_degraded);
    if let Some((_, took_ms)) = view.link.last_answer {
        let help = "How long the Backend took for its last answer.";
        page.metric("satellite_backend_round_trip_seconds", "gauge", help)
            .sample(&[], took_ms as f64 / 1_000.0);
    }
    page.metric("satellite_backend_failures", "gauge", "Failures since the Backend last answered.")
        .sample(&[], view.link.failures);
    page.metric("satellite_events_waiting", "gauge", "Events that wait for the Backend.")
        .sample(&[], view.outbox.waiting);
    page.metric("satellite_events_capacity", "gauge", "Events that may wait.")
        .sample(&[], view.outbox.capacity);
    page.metric("satellite_events_dropped_total", "counter", "Events for which there was no room.")
        .sample(&[], view.outbox.dropped);
    if let Some(level) = &view.isolation {
        let help = "1 for each part of isolation that is in force, 0 for each that is missing.";
        let mut parts = page.metric("satellite_isolation", "gauge", help);
        let asked = level.asked.as_str();
        for (set, value) in [(&level.in_force, 1_u8), (&level.missing, 0)] {
            for part in set {
                parts.sample(&[("asked", asked), ("part", part.as_str())], value);
            }
        }
    }
}

/// Places for processes, and who waits for one.
fn places(page: &mut Page, places: &PlacesView) {
    let counts = [
        ("satellite_places_held", "Places for processes that are taken.", places.held),
        ("satellite_places_capacity", "Places for processes.", places.capacity),
        ("satellite_starts_under_way", "Servers that are being started.", places.starting),
    ];
    for (name, help, count) in counts {
        page.metric(name, "gauge", help).sample(&[], count);
    }
    let help = "Starts that wait for their turn, by what they wait for.";
    let mut waiting = page.metric("satellite_starts_waiting", "gauge", help);
    for what in WaitsFor::ALL {
        waiting.sample(&[("for", what.as_str())], places.waiting_for(what));
    }
}

/// Starts, ends and restarts of processes.
fn lives(page: &mut Page, view: &View) {
    let help = "Restarts of an instance after crashes.";
    let mut restarts = page.metric("satellite_instance_restarts_total", "counter", help);
    for (key, instance) in &view.instances {
        with_labels(view, key, &[], |labels| restarts.sample(labels, instance.restarts));
    }
    type Count = (&'static str, fn(&Figures) -> u64);
    const OUTCOMES: [Count; 2] = [("started", |it| it.spawned), ("failed", |it| it.not_spawned)];
    let help = "Starts of an instance's processes, by outcome.";
    let mut spawns = page.metric("satellite_instance_spawns_total", "counter", help);
    for (key, figures) in view.figures.iter() {
        for (outcome, count) in OUTCOMES {
            let more = [("outcome", outcome)];
            with_labels(view, key, &more, |labels| spawns.sample(labels, count(figures)));
        }
    }
    let help = "Ends of an instance's processes, by reason.";
    let mut ends = page.metric("satellite_instance_ends_total", "counter", help);
    for (key, figures) in view.figures.iter() {
        for (reason, count) in &figures.ended {
            let more = [("reason", *reason)];
            with_labels(view, key, &more, |labels| ends.sample(labels, count));
        }
    }
}

/// Hands over the labels that name an instance, and `more`.
fn with_labels(
    view: &View,
    key: &InstanceKey,
    more: &[(&str, &str)],
    take: impl FnOnce(&[(&str, &str)]),
) {
    let server = view.instances.get(key).map_or("", |instance| instance.names.slug.as_str());
    let own = [
        ("team", key.team.as_str()),
        ("installation", key.installation.as_str()),
        ("user", key.user.as_str()),
        ("server", server),
    ];
    let labels: alloc::vec::Vec<(&str, &str)> = own.iter().chain(more).copied().collect();
    take(&labels);
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::sync::Arc;

    use super::*;
    use crate::cgroup::{Limit, ProcessLimits, Usage};
    use crate::id::Incarnation;
    use crate::view::figures::Calls;

    #[test]
    fn every_figure_is_a_sample_with_the_labels_of_its_instance() {
        let key = InstanceKey { team: "t".into(), installation: "i".into(), user: "u".into() };
        let usage = Usage {
            cpu_us: 1_500_000,
            throttled_us: 250_000,
            throttled_periods: 3,
            memory_bytes: 4_096,
            processes: 11,
        };
        let measured = Measured {
            incarnation: Incarnation(1),
            usage,
            cpu_percent: Some(9),
            near: [Limit::Cpu].into(),
            limits: ProcessLimits::default(),
        };
        let figures = Figures {
            measured: Some(measured),
            spawned: 2,
            not_spawned: 1,
            ended: BTreeMap::from([("memory_limit", 1)]),
        };
        let view = View {
            figures: Arc::new(BTreeMap::from([(key, figures)])),
            calls: Arc::new(BTreeMap::from([("t".into(), Calls { count: 7, errors: 2 })])),
            ..View::default()
        };
        let page = page(&view);
        let own = "team=\"t\",installation=\"i\",user=\"u\",server=\"\"";
        for line in [
            format!("satellite_instance_cpu_seconds_total{{{own}}} 1.5"),
            format!("satellite_instance_cpu_throttled_seconds_total{{{own}}} 0.25"),
            format!("satellite_instance_memory_bytes{{{own}}} 4096"),
            format!("satellite_instance_processes{{{own}}} 11"),
            format!("satellite_instance_near_limits{{{own}}} 1"),
            format!("satellite_instance_spawns_total{{{own},outcome=\"started\"}} 2"),
            format!("satellite_instance_spawns_total{{{own},outcome=\"failed\"}} 1"),
            format!("satellite_instance_ends_total{{{own},reason=\"memory_limit\"}} 1"),
            String::from("satellite_tool_calls_total{team=\"t\"} 7"),
            String::from("satellite_tool_call_errors_total{team=\"t\"} 2"),
            String::from("satellite_degraded 0"),
        ] {
            assert!(page.lines().any(|it| it == line), "no {line} in\n{page}");
        }
    }

    #[test]
    fn who_waits_for_a_start_is_counted_by_what_for() {
        let mut places = PlacesView {
            held: 50,
            capacity: 50,
            starting: 4,
            waiting: 10,
            waiting_in_place: 1,
            full_teams: BTreeMap::from([("t".into(), 3), ("u".into(), 2)]),
            ..PlacesView::default()
        };
        let waiting = |places: &PlacesView| {
            let view = View { places: places.clone(), ..View::default() };
            let page = page(&view);
            let line = |what| {
                let start = format!("satellite_starts_waiting{{for=\"{what}\"}} ");
                let found = page.lines().find_map(|line| line.strip_prefix(&start));
                found.and_then(|count| count.parse::<usize>().ok()).expect("a count")
            };
            [line("team_place"), line("place"), line("other_starts")]
        };
        assert_eq!(waiting(&places), [5, 4, 1]);
        places.held = 49;
        assert_eq!(waiting(&places), [5, 0, 5]);
        assert_eq!(waiting(&PlacesView::default()), [0, 0, 0]);
    }

    #[test]
    fn an_id_of_any_text_stays_within_its_label() {
        assert_eq!(escaped("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }
}
