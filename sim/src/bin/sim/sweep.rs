//! `cargo sim sweep`: many seeds, and what they came to.

use std::path::Path;
use std::time::Instant;

use satellite_sim::cpu::cpu_seconds;
use satellite_sim::sweep::Sweep;

use crate::Any;
use crate::options::{Options, write};

/// Where the traces of failures go.
const FAILURES: &str = "target/sim-failures";
const MS_PER_YEAR: f64 = 365.25 * 86_400_000.0;

pub(crate) fn sweep(given: &Options<'_>) -> Result<(), String> {
    let (from, seeds) = (given.number("from", 1)?, given.number("seeds", 20)?);
    let threads = usize::try_from(given.number("threads", 2)?).unwrap_or(1);
    let out = given.text("out").map(Path::new);
    if let Some(out) = out {
        make(out)?;
    }
    let scenarios = match given.text("scenario") {
        Some(name) => vec![Any::named(name)?],
        None => Any::all(),
    };
    let stage = scenarios.iter().flat_map(|any| any.of_the_stage());
    let runs: Vec<_> =
        stage.flat_map(|it| (from..from + seeds).map(move |seed| (it, seed))).collect();
    let mut failures = Vec::new();
    if !runs.is_empty() {
        failures.extend(stage_runs(&runs, threads, given)?);
    }
    #[cfg(feature = "net")]
    {
        let net_seeds = seeds.min(given.number("net-seeds", 3)?);
        for any in scenarios {
            if let Any::Net(scenario) = any {
                failures.extend(net_runs(scenario, from..from + net_seeds, out)?);
            }
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n\n")) }
}

fn stage_runs(
    runs: &[(satellite_sim::scenario::Scenario, u64)],
    threads: usize,
    given: &Options<'_>,
) -> Result<Vec<String>, String> {
    let (began, cpu_before) = (Instant::now(), cpu_seconds());
    let sweep = Sweep::of(runs, threads);
    let (wall, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds() - cpu_before);
    let years = sweep.satellite_ms as f64 / MS_PER_YEAR;
    print!("{}", sweep.by_scenario());
    print!("{}", sweep.counts());
    let mut failures: Vec<String> = Vec::new();
    for outcome in &sweep.outcomes {
        let name = format!("{}-{}.jsonl", outcome.scenario.name(), outcome.seed);
        if let Some(failure) = &outcome.failure {
            make(Path::new(FAILURES))?;
            let file = Path::new(FAILURES).join(&name);
            write(&file, outcome.text.as_deref().unwrap_or_default())?;
            failures.push(format!("{failure}\nlog: {}", file.display()));
        }
        if let (Some(out), Some(text)) = (given.text("out"), &outcome.text) {
            write(&Path::new(out).join(&name), text)?;
        }
    }
    if let Some(out) = given.text("out") {
        write(&Path::new(out).join("digests"), &sweep.digests())?;
    }
    let missing = sweep.coverage.missing();
    if let Some(path) = given.text("coverage") {
        write(Path::new(path), &sweep.coverage.table())?;
    }
    let disproved = sweep.coverage.disproved();
    if !disproved.is_empty() {
        failures.push(format!("said to be out of reach, and met: {disproved:?}"));
    }
    println!("Cells that the state tables call reachable and no run has met: {}", missing.len());
    for (lifecycle, state, event) in missing {
        println!("  {lifecycle:?}: {state} x {event}");
    }
    println!(
        "{} runs, {} failed, {years:.2} satellite-years, {wall:.1} s wall, {cpu:.1} s CPU, \
         {:.2} runs per second, {:.2} satellite-years per CPU-minute",
        runs.len(),
        failures.len(),
        runs.len() as f64 / wall.max(0.001),
        years * 60.0 / cpu.max(0.001),
    );
    let idle = sweep.idle();
    if !idle.is_empty() {
        failures.push(format!("never had their turn: {}", idle.join(", ")));
    }
    Ok(failures)
}

#[cfg(feature = "net")]
fn net_runs(
    scenario: satellite_sim::net::NetScenario,
    seeds: std::ops::Range<u64>,
    out: Option<&Path>,
) -> Result<Vec<String>, String> {
    let (mut steps, mut failures) = (0, Vec::new());
    let (count, from) = (seeds.end - seeds.start, seeds.start);
    for seed in seeds {
        let run = scenario.run(seed);
        steps += run.trace.lines().count();
        failures.extend(run.failure());
        if let Some(out) = out {
            write(&out.join(format!("{}-{seed}.jsonl", scenario.name())), &run.trace)?;
        }
    }
    let name = scenario.name();
    println!("{name}: {count} seeds from {from}, {steps} steps, {} failed", failures.len());
    Ok(failures)
}

fn make(folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder)
        .map_err(|error| format!("cannot make {}: {error}", folder.display()))
}
