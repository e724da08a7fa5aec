//! The simulation's command line.
#![expect(clippy::print_stdout, reason = "printing is what a command line does")]

#[cfg(feature = "drive")]
#[path = "sim/drive.rs"]
mod drive;
#[path = "sim/fleet.rs"]
mod fleet;
#[path = "sim/options.rs"]
mod options;
#[path = "sim/sweep.rs"]
mod sweep;

use std::path::Path;
use std::process::ExitCode;

use options::{Options, read, write};
use satellite_sim::kill_points::{self, Death};
#[cfg(feature = "net")]
use satellite_sim::net::NetScenario;
use satellite_sim::scenario::{How, Scenario};
use satellite_sim::stage::backend::Doom;

const HELP: &str = "\
Satellites in a simulated world. All chance follows from a seed: one seed, one run.

  cargo sim list                             the scenarios, and what each is about
  cargo sim run --seed N --scenario S        one run; its trace goes to standard output
  cargo sim sweep --seeds N                  every scenario with N seeds
  cargo sim killpoints                       one life, and a death at every point of it
  cargo sim fleet --satellites N --outage D  how a fleet returns after an outage: requests a second
  cargo sim drive --backend URL              a fleet against a Backend that runs: latencies by route
  cargo sim replay FILE                      the decisions of `satellite run --record FILE`, again
  cargo sim diff FILE FILE                   the step at which two traces part

Options
  --seed N          run: the seed (1)
  --scenario S      run: the scenario (storm); sweep: only this one
  --trace FILE      run, killpoints: where the trace goes instead
  --until N         run: stop before step N; replay: only the first N events
  --seeds N         sweep: how many seeds each (20; those named net-… take at most --net-seeds)
  --net-seeds N     sweep: how many of them over simulated sockets (3)
  --from N          sweep: the first seed (1)
  --threads N       sweep, killpoints: how many runs at once (2); drive: threads (1)
  --out FOLDER      sweep: where digests and traces go
  --coverage FILE   sweep: where the coverage table goes
  --satellites N    fleet, drive: how many (1000, 100)
  --outage D        fleet: how long the Backend is away, e.g. 90s, 10m or 1h (10m)
  --hold yes|no     fleet, drive: whether the Backend holds polls (yes)
  --backend URL     drive: http://HOST:PORT, or several replicas with commas between; each connection
                    takes the next that listens. SATELLITE_ADMIN_TOKEN must be set
  --over N          drive: over how many seconds the satellites start (30, that of heartbeats)
  --seconds N       drive: how long it is measured, once all satellites have started (60)
  --drain N         drive: how many seconds the last events may take to be confirmed (30)
  --calls N         drive: calls an hour by clients of each satellite; each is an event (60)
  --json yes|no     drive: print JSON (no)
  --ids FILE        drive: where the ids of all events and commands go
  --kill N, --cut N, --before-write N, --after-write N
                    killpoints: only the life with this death

A trace has one JSON object a line: step, moment, whose step, what happened, what was wanted then.
Two runs of a seed write the same bytes. A run that breaks an invariant prints which, and the one
command that shows it again; a sweep writes its trace to target/sim-failures. The exit code is 1.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.split_first() {
        Some((command, rest)) if command == "run" => {
            Options::read(rest, &["seed", "scenario", "trace", "until"])
                .and_then(|given| run(&given))
        }
        Some((command, rest)) if command == "sweep" => {
            let known = ["scenario", "seeds", "net-seeds", "from", "out", "threads", "coverage"];
            Options::read(rest, &known).and_then(|given| sweep::sweep(&given))
        }
        Some((command, rest)) if command == "fleet" => {
            Options::read(rest, &["satellites", "outage", "seed", "hold"])
                .and_then(|given| fleet::fleet(&given))
        }
        #[cfg(feature = "drive")]
        Some((command, rest)) if command == "drive" => {
            let known = [
                "backend",
                "satellites",
                "over",
                "seconds",
                "drain",
                "hold",
                "calls",
                "seed",
                "json",
                "ids",
                "threads",
            ];
            Options::read(rest, &known).and_then(|given| drive::drive(&given))
        }
        Some((command, [file, rest @ ..])) if command == "replay" => {
            Options::read(rest, &["until"]).and_then(|given| replay(Path::new(file), &given))
        }
        Some((command, rest)) if command == "killpoints" => {
            let known = ["threads", "trace", "kill", "cut", "before-write", "after-write"];
            Options::read(rest, &known).and_then(|given| kill(&given))
        }
        Some((command, [left, right])) if command == "diff" => diff(left, right),
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

fn replay(file: &Path, given: &Options<'_>) -> Result<(), String> {
    println!("{}", satellite_sim::replay::replay(file, given.maybe("until")?)?);
    Ok(())
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

    /// It, if it is one of tier 1.
    fn of_the_stage(self) -> Option<Scenario> {
        match self {
            Any::Stage(scenario) => Some(scenario),
            #[cfg(feature = "net")]
            Any::Net(_) => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Any::Stage(scenario) => scenario.name(),
            #[cfg(feature = "net")]
            Any::Net(scenario) => scenario.name(),
        }
    }

    fn about(self) -> String {
        match self {
            Any::Stage(scenario) => {
                let minutes = scenario.settles_within_ms() / 60_000;
                format!("{}; then all is well within {minutes} minutes", scenario.about())
            }
            #[cfg(feature = "net")]
            Any::Net(scenario) => scenario.about().to_string(),
        }
    }

    /// The trace of a seed's run, and its failure.
    fn run(self, seed: u64, until: Option<u64>) -> (String, Option<String>) {
        match self {
            Any::Stage(scenario) => {
                let run = scenario.run_as(seed, How { keeps_trace: true, until });
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

fn run(given: &Options<'_>) -> Result<(), String> {
    let scenario = Any::named(given.text("scenario").unwrap_or("storm"))?;
    let (trace, failure) = scenario.run(given.number("seed", 1)?, given.maybe("until")?);
    show(given, &trace)?;
    failure.map_or(Ok(()), Err)
}

fn show(given: &Options<'_>, trace: &str) -> Result<(), String> {
    match given.text("trace") {
        Some(path) => write(Path::new(path), trace),
        None => {
            print!("{trace}");
            Ok(())
        }
    }
}

fn diff(left: &str, right: &str) -> Result<(), String> {
    let apart = satellite_sim::diff::part(&read(Path::new(left))?, &read(Path::new(right))?);
    if apart.is_none() {
        println!("the runs are the same");
    }
    apart.map_or(Ok(()), Err)
}

fn kill(given: &Options<'_>) -> Result<(), String> {
    let daemon = |name, with_power| {
        let effect: Result<Option<u64>, String> = given.maybe(name);
        effect.map(|effect| effect.map(|effect| Death::Daemon { effect, with_power }))
    };
    let backend = |name, doom| {
        let write: Result<Option<u64>, String> = given.maybe(name);
        write.map(|write| write.map(|write| Death::Backend { write, doom }))
    };
    let one = daemon("kill", false)?
        .or(daemon("cut", true)?)
        .or(backend("before-write", Doom::BeforeWrite)?)
        .or(backend("after-write", Doom::AfterWrite)?);
    if one.is_some() {
        let life = kill_points::live(one, true);
        show(given, &life.text)?;
        let wrong = life.violation.map(|it| format!("{}: {}", it.invariant, it.detail));
        return wrong.map_or(Ok(()), Err);
    }
    let threads = usize::try_from(given.number("threads", 2)?).unwrap_or(1);
    let report = kill_points::enumerate(threads);
    println!(
        "undisturbed: {} effects of the daemon, {} writes of the Backend",
        report.effects, report.writes
    );
    println!("daemon killed before an effect: {} lives", report.killed);
    println!("power cut before an effect:     {} lives", report.cut);
    println!("Backend dead before a write:    {} lives", report.before_write);
    println!("Backend dead after a write:     {} lives", report.after_write);
    println!("failures: {}", report.failures.len());
    if report.failures.is_empty() { Ok(()) } else { Err(report.failures.join("\n\n")) }
}
