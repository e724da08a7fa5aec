//! One fixed life of a satellite, and the same with a death at every point at which one can happen.
//!
//! The satellite pairs, is configured, runs, executes three commands, tells of forty events, and is
//! shut down and started again. Without a death that takes so many effects of the daemon and so many
//! writes of the Backend. Then the daemon is killed before each of those effects in turn, the
//! machine's power is cut there, and the Backend dies just before and just after each of its writes.

use std::sync::atomic::{AtomicUsize, Ordering};

use satellite_core::control::Event;
use satellite_core::process::StderrLine;
use satellite_core::time::{MINUTE, SECOND};
use serde_json::json;

use crate::scenario::settled;
use crate::stage::backend::Doom;
use crate::stage::processes::Behaviour;
use crate::stage::{EPOCH, Stage, Violation};
use crate::trace::Trace;

/// The seed of every run: they differ in the death alone.
const SEED: u64 = 1;
/// Events of the satellite's servers, besides those of its lifecycles.
const EVENTS: u64 = 40;
/// When the daemon is shut down.
const SHUTDOWN_MS: u64 = 10 * MINUTE;
/// When the life is over whose points are counted: after another start.
const LIFE_MS: u64 = 14 * MINUTE;
/// When everything has come right.
const LENGTH_MS: u64 = 60 * MINUTE;

/// A death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// The daemon is killed before the effect of this number; with its machine's power or without.
    Daemon {
        /// The effect, from 1.
        effect: u64,
        /// Whether what was not synced is lost.
        with_power: bool,
    },
    /// The Backend dies at the write of this number.
    Backend {
        /// The write, from 1.
        write: u64,
        /// Before or after it.
        doom: Doom,
    },
}

/// A run with or without a death.
pub struct Life {
    /// Effects of the daemon.
    pub effects: u64,
    /// Writes of the Backend.
    pub writes: u64,
    /// Commands that have ended, by their own account.
    pub completed: usize,
    /// Distinct events at the Backend that tell of a server's words.
    pub told: u64,
    /// Whether the death took place.
    pub died: bool,
    /// The first thing that must not be.
    pub violation: Option<Violation>,
    /// The text of the trace, if it was kept.
    pub text: String,
}

/// Lives once.
pub fn live(death: Option<Death>, keeps_trace: bool) -> Life {
    let trace = if keeps_trace { Trace::default() } else { Trace::quiet() };
    let mut stage = Stage::new(SEED, trace);
    stage.backend.grants =
        ["poll-wait", "command-lease", "event-id", "config-version"].into_iter().collect();
    stage.restarts_within = Some(10);
    match death {
        Some(Death::Daemon { effect, with_power }) => stage.kill_at = Some((effect, with_power)),
        Some(Death::Backend { write, doom }) => stage.backend.doom_at = Some((write, doom)),
        None => {}
    }
    let satellite = stage.add_satellite("satellite-one");
    for slug in ["one", "two"] {
        stage.backend.serve(slug, Behaviour::Steady.name());
    }
    stage.start(satellite);
    for (at, kind, payload) in [
        (2 * MINUTE, "restart", json!({"installation_id": "i-one"})),
        (3 * MINUTE, "health_check", json!({})),
        (4 * MINUTE, "configure", json!({"event": "changed"})),
    ] {
        stage.later(at, move |stage| stage.file("sat_0", kind, &payload));
    }
    for minute in 1..9 {
        // Who is used does not fall asleep.
        stage.later(minute * MINUTE, move |stage| stage.use_all(satellite));
    }
    for number in 0..EVENTS {
        let at = 5 * MINUTE + number * 6 * SECOND;
        stage.later(at, move |stage| say(stage, satellite, number));
    }
    stage.later(SHUTDOWN_MS, move |stage| stage.shut_down(satellite));
    // People look after it: whoever was stopped is started.
    stage.later(LENGTH_MS - 20 * MINUTE, move |stage| {
        for slug in ["one", "two"] {
            let payload = json!({"installation_id": format!("i-{slug}")});
            stage.file("sat_0", "restart", &payload);
        }
    });
    stage.run_until(EPOCH.after(LIFE_MS));
    let (effects, writes) = (stage.effects, stage.backend.writes);
    let died = death.is_some() && stage.kill_at.is_none() && stage.backend.doom_at.is_none();
    stage.run_until(EPOCH.after(LENGTH_MS));
    if stage.watch.broken.is_none() {
        let outcome = settled(&stage);
        stage.has_converged(outcome);
    }
    Life {
        effects,
        writes,
        completed: stage.backend.commands.iter().filter(|command| command.is_final()).count(),
        told: stage.backend.events_of("mcp.server.logs"),
        died,
        violation: stage.watch.broken.take(),
        text: stage.trace.text().to_string(),
    }
}

/// A server writes a line to its standard error.
fn say(stage: &mut Stage, satellite: usize, number: u64) {
    let control = stage.satellites.get(satellite).and_then(|subject| subject.control.as_ref());
    let Some(control) = control else { return };
    let view = control.view();
    let speaker = view.instances.iter().find_map(|(key, it)| Some((key.clone(), it.ready?)));
    if let Some((key, incarnation)) = speaker {
        let text = format!("line {number} of {EVENTS}");
        let lines = vec![StderrLine { text, truncated: false }];
        let event = Event::Stderr { key, incarnation, lines, dropped: 0, dropped_over_ms: 0 };
        stage.hear(satellite, event);
    }
}

/// What all lives came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Effects of the undisturbed life.
    pub effects: u64,
    /// Writes of the undisturbed life.
    pub writes: u64,
    /// Lives in which the daemon was killed.
    pub killed: u64,
    /// Lives in which the power was cut.
    pub cut: u64,
    /// Lives in which the Backend died before a write.
    pub before_write: u64,
    /// Lives in which the Backend died after a write.
    pub after_write: u64,
    /// What went wrong.
    pub failures: Vec<String>,
}

/// Lives once undisturbed and then once for each point of death, on `threads` threads.
pub fn enumerate(threads: usize) -> Report {
    let undisturbed = live(None, false);
    let mut report =
        Report { effects: undisturbed.effects, writes: undisturbed.writes, ..Report::default() };
    if let Some(Violation { invariant, detail }) = undisturbed.violation {
        report.failures.push(format!("without a death: {invariant}: {detail}"));
    }
    if undisturbed.completed < 5 || undisturbed.told < EVENTS {
        let Life { completed, told, .. } = undisturbed;
        report.failures.push(format!("without a death: {completed} commands, {told} events"));
    }
    let daemon = (1..=undisturbed.effects)
        .flat_map(|effect| [false, true].map(|with_power| Death::Daemon { effect, with_power }));
    let backend = (1..=undisturbed.writes).flat_map(|write| {
        [Doom::BeforeWrite, Doom::AfterWrite].map(|doom| Death::Backend { write, doom })
    });
    let deaths: Vec<Death> = daemon.chain(backend).collect();
    let next = AtomicUsize::new(0);
    let parts: Vec<Vec<(usize, Option<String>)>> = std::thread::scope(|scope| {
        let work = || {
            let mut part = Vec::new();
            loop {
                let place = next.fetch_add(1, Ordering::Relaxed);
                let Some(death) = deaths.get(place) else { return part };
                part.push((place, wrong(*death)));
            }
        };
        let started: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        let ended = started.into_iter().map(std::thread::ScopedJoinHandle::join);
        // A life that panics has said why.
        ended.map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    let mut all: Vec<(usize, Option<String>)> = parts.into_iter().flatten().collect();
    all.sort();
    for (death, (_, failure)) in deaths.iter().zip(all) {
        match death {
            Death::Daemon { with_power: false, .. } => report.killed += 1,
            Death::Daemon { with_power: true, .. } => report.cut += 1,
            Death::Backend { doom: Doom::BeforeWrite, .. } => report.before_write += 1,
            Death::Backend { doom: Doom::AfterWrite, .. } => report.after_write += 1,
        }
        report.failures.extend(failure);
    }
    report
}

/// What is wrong with the life that this death is part of.
fn wrong(death: Death) -> Option<String> {
    let life = live(Some(death), false);
    if !life.died {
        return Some(format!("{death:?}: did not take place"));
    }
    let Violation { invariant, detail } = life.violation?;
    let point = match death {
        Death::Daemon { effect, with_power: false } => format!("--kill {effect}"),
        Death::Daemon { effect, with_power: true } => format!("--cut {effect}"),
        Death::Backend { write, doom: Doom::BeforeWrite } => format!("--before-write {write}"),
        Death::Backend { write, doom: Doom::AfterWrite } => format!("--after-write {write}"),
    };
    Some(format!("{death:?}\n{invariant}: {detail}\nreplay: cargo sim killpoints {point}"))
}
