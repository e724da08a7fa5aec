//! The simulation's command line.
//!
//! ```text
//! sim run --scenario NAME --seed N [--trace FILE]      one run
//! sim sweep [--seeds N] [--from N] [--out FOLDER]      every scenario with N seeds
//! sim list                                             the scenarios
//! ```
#![expect(clippy::print_stdout, reason = "printing is what a command line does")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

#[cfg(feature = "net")]
use satellite_sim::net::NetScenario;
use satellite_sim::scenario::{Run, Scenario};

/// Seeds of each scenario of tier 2 in a sweep: real bytes cost more than models.
#[cfg(feature = "net")]
const NET_SEEDS_MAX: u64 = 3;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.split_first() {
        Some((command, rest)) if command == "run" => options(rest).and_then(|given| run(&given)),
        Some((command, rest)) if command == "sweep" => {
            options(rest).and_then(|given| sweep(&given))
        }
        Some((command, _)) if command == "list" => {
            for scenario in Scenario::ALL {
                println!("{}", scenario.name());
            }
            #[cfg(feature = "net")]
            for scenario in NetScenario::ALL {
                println!("{}", scenario.name());
            }
            Ok(())
        }
        _ => Err(String::from(
            "usage: sim run --scenario NAME --seed N [--trace FILE] | \
             sim sweep [--seeds N] [--from N] [--out FOLDER] | sim list",
        )),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Reads `--name value` pairs.
fn options(arguments: &[String]) -> Result<BTreeMap<&str, &str>, String> {
    arguments
        .chunks(2)
        .map(|pair| match pair {
            [name, value] if name.starts_with("--") => Ok((&name[2..], value.as_str())),
            other => Err(format!("not an option and its value: {other:?}")),
        })
        .collect()
}

fn number(given: &BTreeMap<&str, &str>, name: &str, default: u64) -> Result<u64, String> {
    given.get(name).map_or(Ok(default), |text| {
        text.parse().map_err(|_| format!("--{name} takes a number, not {text:?}"))
    })
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

fn run(given: &BTreeMap<&str, &str>) -> Result<(), String> {
    let name = given.get("scenario").copied().unwrap_or("storm");
    #[cfg(feature = "net")]
    if let Some(scenario) = NetScenario::ALL.into_iter().find(|scenario| scenario.name() == name) {
        let (trace, failure) = scenario.run(number(given, "seed", 1)?);
        match given.get("trace") {
            Some(path) => write(Path::new(path), &trace)?,
            None => print!("{trace}"),
        }
        return failure.map_or(Ok(()), Err);
    }
    let scenario = Scenario::named(name)
        .ok_or_else(|| format!("no scenario is called {name:?}; see `sim list`"))?;
    let run = scenario.run(number(given, "seed", 1)?);
    match given.get("trace") {
        Some(path) => write(Path::new(path), run.stage.trace.text())?,
        None => print!("{}", run.stage.trace.text()),
    }
    run.failure().map_or(Ok(()), Err)
}

fn sweep(given: &BTreeMap<&str, &str>) -> Result<(), String> {
    let (from, seeds) = (number(given, "from", 1)?, number(given, "seeds", 20)?);
    let out = given.get("out").map(Path::new);
    if let Some(out) = out {
        std::fs::create_dir_all(out)
            .map_err(|error| format!("cannot make {}: {error}", out.display()))?;
    }
    let mut failures = Vec::new();
    for scenario in Scenario::ALL {
        let mut steps = 0;
        for seed in from..from + seeds {
            let run: Run = scenario.run(seed);
            steps += run.stage.trace.steps();
            if let Some(out) = out {
                let file = out.join(format!("{}-{seed}.jsonl", scenario.name()));
                write(&file, run.stage.trace.text())?;
            }
            failures.extend(run.failure());
        }
        println!("{}: {seeds} seeds from {from}, {steps} steps", scenario.name());
    }
    #[cfg(feature = "net")]
    for scenario in NetScenario::ALL {
        let (name, seeds) = (scenario.name(), seeds.min(NET_SEEDS_MAX));
        let mut steps = 0;
        for seed in from..from + seeds {
            let (trace, failure) = scenario.run(seed);
            steps += trace.lines().count();
            if let Some(out) = out {
                write(&out.join(format!("{name}-{seed}.jsonl")), &trace)?;
            }
            failures.extend(failure.map(|failure| {
                format!("{failure}\nreplay: cargo sim run --scenario {name} --seed {seed}")
            }));
        }
        println!("{name}: {seeds} seeds from {from}, {steps} steps");
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n\n")) }
}
