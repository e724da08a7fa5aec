//! The core's own tests and the tables of its states: which reach a mutation, and which fail with it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What became of a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Caught,
    /// The tests never ended.
    CaughtByTime,
    /// Tests ran it, and none failed.
    Missed,
    /// No test runs it.
    Unreached,
}

/// A test: its binary, by place, and its name there.
type Name = (usize, String);

/// The built tests.
pub struct Tests {
    binaries: Vec<PathBuf>,
    folder: PathBuf,
    /// How long each takes alone.
    durations: BTreeMap<Name, Duration>,
    /// The tests that reach each mutation.
    reached: BTreeMap<usize, BTreeSet<Name>>,
}

/// Quick tests are tried first: most mutants fall to them.
const QUICK: Duration = Duration::from_millis(60);

impl Tests {
    /// Runs each test alone, without a mutation, and notes what it reaches.
    ///
    /// # Panics
    ///
    /// When a test fails as it is.
    pub fn observe(binaries: Vec<PathBuf>, folder: &Path) -> Tests {
        let mut tests = Tests {
            binaries,
            folder: folder.to_path_buf(),
            durations: BTreeMap::new(),
            reached: BTreeMap::new(),
        };
        let trace = folder.join("trace");
        for at in 0..tests.binaries.len() {
            let list = Command::new(&tests.binaries[at]).arg("--list").output();
            let list = list.expect("tests can be listed").stdout;
            let list = String::from_utf8_lossy(&list).into_owned();
            for name in list.lines().filter_map(|line| line.strip_suffix(": test")) {
                fs::write(&trace, "").expect("a trace can be written");
                let started = Instant::now();
                let passed = tests.run(at, &[name], None, Some(&trace), Duration::from_secs(120));
                assert_eq!(passed, Some(true), "{name} fails without any mutation");
                let name = (at, name.to_string());
                tests.durations.insert(name.clone(), started.elapsed());
                for id in fs::read_to_string(&trace).expect("a trace can be read").lines() {
                    let id = id.parse().expect("a trace holds numbers");
                    tests.reached.entry(id).or_default().insert(name.clone());
                }
            }
        }
        tests
    }

    pub fn len(&self) -> usize {
        self.durations.len()
    }

    /// Tries the tests that reach a mutation until one fails.
    pub fn try_mutant(&self, id: usize) -> Fate {
        let Some(reached) = self.reached.get(&id) else { return Fate::Unreached };
        let (quick, slow): (Vec<&Name>, Vec<&Name>) =
            reached.iter().partition(|name| self.durations[*name] < QUICK);
        for (part, at) in [quick, slow]
            .iter()
            .flat_map(|part| (0..self.binaries.len()).rev().map(move |at| (part, at)))
        {
            let here = || part.iter().filter(|name| name.0 == at);
            let names: Vec<&str> = here().map(|name| name.1.as_str()).collect();
            if names.is_empty() {
                continue;
            }
            let alone: Duration = here().map(|name| self.durations[*name]).sum();
            match self.run(at, &names, Some(id), None, Duration::from_secs(10) + alone * 5) {
                Some(true) => {}
                Some(false) => return Fate::Caught,
                None => return Fate::CaughtByTime,
            }
        }
        Fate::Missed
    }

    /// Whether the tests passed; nothing if they did not end in time.
    fn run(
        &self,
        binary: usize,
        names: &[&str],
        mutant: Option<usize>,
        trace: Option<&Path>,
        limit: Duration,
    ) -> Option<bool> {
        // A mutant may ask for memory without end.
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -v 6000000; exec \"$@\"", "sh"]);
        command.arg(&self.binaries[binary]).arg("--exact").args(names);
        command.current_dir(&self.folder).stdout(Stdio::null()).stderr(Stdio::null());
        // The same inputs for every mutant; the first that fails is enough.
        command.env("PROPTEST_RNG_SEED", "1").env("PROPTEST_MAX_SHRINK_ITERS", "0");
        command.env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "1").env("RUST_BACKTRACE", "0");
        if let Some(mutant) = mutant {
            command.env("MUTANT", mutant.to_string());
        }
        if let Some(trace) = trace {
            command.env("MUTANT_TRACE", trace);
        }
        let mut child = command.spawn().expect("the tests can be started");
        let started = Instant::now();
        loop {
            if let Some(status) = child.try_wait().expect("the tests can be waited for") {
                return Some(status.success());
            }
            if started.elapsed() > limit {
                child.kill().expect("the tests can be ended");
                child.wait().expect("the tests can be waited for");
                return None;
            }
            std::thread::sleep(Duration::from_millis(3));
        }
    }
}
