//! The simulation's command line.
#![expect(clippy::print_stdout, reason = "printing is what a command line does")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use satellite_sim::fleet::{self, Fleet};
#[cfg(feature = "net")]
use satellite_sim::net::NetScenario;
use satellite_sim::scenario::Scenario;

const HELP: &str = "\
Satellites in a simulated world. All chance follows from a seed: one seed, one run.

  cargo sim list                             the scenarios, and what each is about
  cargo sim run --seed N --scenario S        one run; its trace goes to standard output
  cargo sim sweep --seeds N                  every scenario with N seeds
  cargo sim fleet --satellites N --outage D  how a fleet returns after an outage: requests a second
  cargo sim replay FILE                      the decisions of `satellite run --record FILE`, again

Options
  --seed N         run: the seed (1)
  --scenario S     run: the scenario (storm); sweep: only this one
  --trace FILE     run: where the trace goes instead
  --seeds N        sweep: how many seeds each (20; scenarios named net-… take at most --net-seeds)
  --net-seeds N    sweep: how many of them over simulated sockets (3)
  --from N         sweep: the first seed (1)
  --out FOLDER     sweep: where each run's trace goes
  --satellites N   fleet: how many (1000)
  --outage D       fleet: how long the Backend is away, e.g. 90s, 10m or 1h (10m)
  --hold yes|no    fleet: whether the Backend holds polls (yes)
  --until N        replay: only the first N events

A trace has one JSON object a line: step, moment, whose step, what happened, what was wanted then.
Two runs of a seed write the same bytes. A run that breaks an invariant prints which, and the one
command that shows it again; the exit code is 1.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.split_first() {
        Some((command, rest)) if command == "run" => {
            options(rest, &["seed", "scenario", "trace"]).and_then(|given| run(&given))
        }
        Some((command, rest)) if command == "sweep" => {
            options(rest, &["scenario", "seeds", "net-seeds", "from", "out"])
                .and_then(|given| sweep(&given))
        }
        Some((command, rest)) if command == "fleet" => {
            options(rest, &["satellites", "outage", "seed", "hold"]).and_then(|given| fleet(&given))
        }
        Some((command, [file, rest @ ..])) if command == "replay" => {
            options(rest, &["until"]).and_then(|given| replay(Path::new(file), &given))
        }
        Some((command, [])) if command == "list" => {
            list();
            Ok(())
        }
        Some((command, [])) if matches!(command.as_str(), "--help" | "-h" | "help") => {
            print!("{HELP}");
            Ok(())
        }
        _ => Err(format!("that is not a command of the simulation\n\n{HELP}")),
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
fn options<'a>(
    arguments: &'a [String],
    known: &[&str],
) -> Result<BTreeMap<&'a str, &'a str>, String> {
    arguments
        .chunks(2)
        .map(|pair| match pair {
            [name, value] if name.strip_prefix("--").is_some_and(|name| known.contains(&name)) => {
                Ok((name.trim_start_matches("--"), value.as_str()))
            }
            other => Err(format!("{other:?}: options here are {known:?}, each with a value")),
        })
        .collect()
}

fn number(given: &BTreeMap<&str, &str>, name: &str, default: u64) -> Result<u64, String> {
    given.get(name).map_or(Ok(default), |text| {
        text.parse().map_err(|_| format!("--{name} takes a number, not {text:?}"))
    })
}

fn replay(file: &Path, given: &BTreeMap<&str, &str>) -> Result<(), String> {
    let until = given.get("until").map(|_| number(given, "until", 0)).transpose()?;
    println!("{}", satellite_sim::replay::replay(file, until)?);
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// A scenario of either tier.
#[derive(Clone, Copy)]
enum Any {
    Stage(Scenario),
    #[cfg(feature = "net")]
    Net(NetScenario),
}

impl Any {
    fn all() -> Vec<Any> {
        let all = Scenario::ALL.into_iter().map(Any::Stage);
        #[cfg(feature = "net")]
        let all = all.chain(NetScenario::ALL.into_iter().map(Any::Net));
        all.collect()
    }

    fn named(name: &str) -> Result<Any, String> {
        let found = Any::all().into_iter().find(|scenario| scenario.name() == name);
        found.ok_or_else(|| format!("no scenario is called {name:?}; see `cargo sim list`"))
    }

    fn name(self) -> &'static str {
        match self {
            Any::Stage(scenario) => scenario.name(),
            #[cfg(feature = "net")]
            Any::Net(scenario) => scenario.name(),
        }
    }

    fn about(self) -> &'static str {
        match self {
            Any::Stage(scenario) => scenario.about(),
            #[cfg(feature = "net")]
            Any::Net(scenario) => scenario.about(),
        }
    }

    /// The trace of a seed's run, and its failure.
    fn run(self, seed: u64) -> (String, Option<String>) {
        match self {
            Any::Stage(scenario) => {
                let run = scenario.run(seed);
                (run.stage.trace.text().to_string(), run.failure())
            }
            #[cfg(feature = "net")]
            Any::Net(scenario) => {
                let run = scenario.run(seed);
                let failure = run.failure();
                (run.trace, failure)
            }
        }
    }
}

fn list() {
    for scenario in Any::all() {
        println!("{:<20} {}", scenario.name(), scenario.about());
    }
}

fn run(given: &BTreeMap<&str, &str>) -> Result<(), String> {
    let scenario = Any::named(given.get("scenario").copied().unwrap_or("storm"))?;
    let (trace, failure) = scenario.run(number(given, "seed", 1)?);
    match given.get("trace") {
        Some(path) => write(Path::new(path), &trace)?,
        None => print!("{trace}"),
    }
    failure.map_or(Ok(()), Err)
}

fn fleet(given: &BTreeMap<&str, &str>) -> Result<(), String> {
    let outage = given.get("outage").copied().unwrap_or("10m");
    let outage_ms = fleet::duration(outage)
        .ok_or_else(|| format!("--outage takes a duration like 90s, 10m or 1h, not {outage:?}"))?;
    let holds_polls = match given.get("hold").copied().unwrap_or("yes") {
        "yes" => true,
        "no" => false,
        other => return Err(format!("--hold takes yes or no, not {other:?}")),
    };
    let satellites = number(given, "satellites", 1_000)?;
    let satellites = usize::try_from(satellites).map_err(|error| error.to_string())?;
    let fleet = Fleet { satellites, outage_ms, seed: number(given, "seed", 1)?, holds_polls };
    println!("{}", fleet.run());
    Ok(())
}

fn sweep(given: &BTreeMap<&str, &str>) -> Result<(), String> {
    let (from, seeds) = (number(given, "from", 1)?, number(given, "seeds", 20)?);
    let net_seeds = seeds.min(number(given, "net-seeds", 3)?);
    let out = given.get("out").map(Path::new);
    if let Some(out) = out {
        std::fs::create_dir_all(out)
            .map_err(|error| format!("cannot make {}: {error}", out.display()))?;
    }
    let scenarios = match given.get("scenario") {
        Some(name) => vec![Any::named(name)?],
        None => Any::all(),
    };
    let mut failures = Vec::new();
    for scenario in scenarios {
        let name = scenario.name();
        let seeds = if name.starts_with("net-") { net_seeds } else { seeds };
        let (mut steps, mut failed) = (0, 0);
        for seed in from..from + seeds {
            let (trace, failure) = scenario.run(seed);
            steps += trace.lines().count();
            failed += usize::from(failure.is_some());
            failures.extend(failure);
            if let Some(out) = out {
                write(&out.join(format!("{name}-{seed}.jsonl")), &trace)?;
            }
        }
        println!("{name}: {seeds} seeds from {from}, {steps} steps, {failed} failed");
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n\n")) }
}
