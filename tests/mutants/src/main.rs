//! Mutation testing of the core with one build: every mutation of the chosen files is compiled in,
//! each behind a switch, and the tests that reach it run with that switch on.
//!
//! A build per mutant takes half a minute and a test run a second; with all in one binary the
//! builds fall away. Mutations that do not compile are found by the compiler and left out.

mod build;
mod sites;
mod tests;
mod weave;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use sites::{Mutant, Site};
use tests::Fate;

/// A file of the core, relative to the root, and what can be mutated in it.
pub struct File {
    path: String,
    source: String,
    sites: Vec<Site>,
}

const USAGE: &str = "usage: mutants ROOT WORK [FILE-PREFIX…]
Mutates the files that ROOT/tests/mutants/files names (of them those that begin with a prefix), in
a copy of the workspace in WORK.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [root, work, prefixes @ ..] = arguments.as_slice() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let (root, work) = (Path::new(root), Path::new(work));
    let started = Instant::now();
    let mut first = 1;
    let mut files = Vec::new();
    for path in chosen(root) {
        if !prefixes.is_empty() && !prefixes.iter().any(|prefix| path.starts_with(prefix.as_str())) {
            continue;
        }
        let source = fs::read_to_string(root.join(&path)).expect("a source file can be read");
        let sites = sites::find(&source, first).unwrap_or_else(|error| panic!("{path}: {error}"));
        first += sites.iter().map(|site| site.mutants.len()).sum::<usize>();
        files.push(File { path, source, sites });
    }
    println!("{} mutations in {} files", first - 1, files.len());
    let (binaries, unviable) = build::build(root, work, &files, first);
    println!(
        "{} do not compile and are left out; built after {} s",
        unviable.len(),
        started.elapsed().as_secs()
    );
    let tests = tests::Tests::observe(binaries, work);
    println!("{} tests observed after {} s", tests.len(), started.elapsed().as_secs());

    let explained = explained(root);
    let mut used = BTreeSet::new();
    let mut table = BTreeMap::new();
    for file in &files {
        let row: &mut Row = table.entry(file.path.clone()).or_default();
        for mutant in file.sites.iter().flat_map(|site| &site.mutants) {
            if unviable.contains(&mutant.id) {
                continue;
            }
            let fate = tests.try_mutant(mutant.id);
            row.viable += 1;
            match fate {
                Fate::Caught => row.caught += 1,
                Fate::CaughtByTime => {
                    row.caught += 1;
                    row.by_time += 1;
                }
                Fate::Missed | Fate::Unreached => {
                    let name = name(file, mutant);
                    let why = explained.get(&name);
                    row.explained += usize::from(why.is_some());
                    used.extend(why.map(|_| name));
                    let fate = if fate == Fate::Missed { "survived" } else { "unreached" };
                    println!(
                        "{fate}: {}:{} in {}: {}{}",
                        file.path,
                        mutant.line,
                        mutant.function,
                        mutant.what,
                        why.map(|why| format!(" ({why})")).unwrap_or_default()
                    );
                }
            }
        }
    }
    println!("\n{:<44} {:>6} {:>6} {:>8} {:>9}", "file", "viable", "caught", "by time", "explained");
    let mut all = Row::default();
    for (path, row) in &table {
        println!("{path:<44} {row}");
        all.add(row);
    }
    println!("{:<44} {all}", "in all");
    for name in explained.keys().filter(|name| prefixes.is_empty() && !used.contains(*name)) {
        println!("explained, but not surviving: {name}");
    }
    let share = all.caught as f64 * 100.0 / all.viable.max(1) as f64;
    println!(
        "{share:.1} % of {} viable mutants caught, in {} s",
        all.viable,
        started.elapsed().as_secs()
    );
    if share >= 90.0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[derive(Default)]
struct Row {
    viable: usize,
    caught: usize,
    by_time: usize,
    explained: usize,
}

impl Row {
    fn add(&mut self, other: &Row) {
        self.viable += other.viable;
        self.caught += other.caught;
        self.by_time += other.by_time;
        self.explained += other.explained;
    }
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Row { viable, caught, by_time, explained } = self;
        write!(f, "{viable:>6} {caught:>6} {by_time:>8} {explained:>9}")
    }
}

/// A mutant's name without its line, which moves.
fn name(file: &File, mutant: &Mutant) -> String {
    format!("{} {}: {}", file.path, mutant.function, mutant.what)
}

/// The source files that `tests/mutants/files` names: files, and folders with all below them.
fn chosen(root: &Path) -> Vec<String> {
    let list = fs::read_to_string(root.join("tests/mutants/files")).expect("the list can be read");
    let mut chosen = BTreeSet::new();
    for line in list.lines().map(str::trim).filter(|it| !it.is_empty() && !it.starts_with('#')) {
        let mut open = vec![root.join(line)];
        while let Some(path) = open.pop() {
            if path.is_dir() {
                let entries = fs::read_dir(&path).expect("a folder can be listed");
                open.extend(entries.flatten().map(|entry| entry.path()).filter(is_product));
            } else {
                assert!(path.exists(), "{line} is not there");
                let path = path.strip_prefix(root).expect("below the root");
                chosen.insert(path.to_string_lossy().into_owned());
            }
        }
    }
    chosen.into_iter().collect()
}

fn is_product(path: &PathBuf) -> bool {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    !["tests", "properties", "model"].contains(&name.as_ref())
}

/// Survivors that change nothing, by name, each with the reason.
fn explained(root: &Path) -> BTreeMap<String, String> {
    let list = fs::read_to_string(root.join("tests/mutants/explained")).unwrap_or_default();
    list.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(" => "))
        .map(|(name, why)| (name.to_string(), why.to_string()))
        .collect()
}
