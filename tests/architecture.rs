//! The walls between the folders, as tests: who depends on whom, and what a file may be.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use satellite_tests::{golden, root};

/// Most lines a source file may have.
const FILE_LINES_MAX: usize = 500;

/// Packages of this workspace that each may name as an ordinary dependency.
const ALLOWED: [(&str, &[&str]); 5] = [
    ("satellite-core", &[]),
    ("satellite-io", &["satellite-core"]),
    ("satellite-sim", &["satellite-core", "satellite-io"]),
    ("satellite-fuzz", &["satellite-core", "satellite-sim"]),
    ("satellite-tests", &["satellite-core", "satellite-io", "satellite-sim"]),
];

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .arg("--locked")
        .current_dir(root())
        .output()
        .unwrap_or_else(|error| panic!("cannot run cargo {arguments:?}: {error}"));
    assert!(
        output.status.success(),
        "cargo {arguments:?} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Packages that `cargo tree` prints, without versions, sources and features.
fn packages(arguments: &[&str]) -> BTreeSet<String> {
    let mut all = vec!["tree", "--prefix", "none", "--edges", "normal"];
    all.extend(arguments);
    cargo(&all).lines().filter_map(|line| line.split(' ').next()).map(String::from).collect()
}

/// Rust files that are ours: everything but build output and the benchmarks' own packages.
fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> =
        ["core", "io", "sim", "fuzz", "tests"].iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("cannot list {}: {error}", folder.display()));
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() {
                if !path.ends_with("tests/bench") && !path.ends_with("target") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

#[test]
fn the_core_has_no_runtime_and_no_std() {
    let tree =
        cargo(&["tree", "-p", "satellite-core", "-e", "features,normal", "--prefix", "none"]);
    // Versions, the path of the checkout and cargo's marks are no part of the architecture.
    let lines: BTreeSet<String> = tree
        .lines()
        .filter_map(|line| match line.split_once(" feature ") {
            Some((name, feature)) => Some(format!("{name} feature {}", feature.split(' ').next()?)),
            None => line.split(' ').next().map(String::from),
        })
        .filter(|line| !line.is_empty())
        .collect();
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    golden::compare("tests/golden/core-features.txt", &text);
    for line in &lines {
        let name = line.split(' ').next().unwrap_or_default();
        assert!(
            !["tokio", "mio", "async-std", "smol", "rand", "getrandom", "libc"].contains(&name),
            "the core depends on {name}"
        );
        assert!(!line.contains("feature \"std\""), "the core's tree has {line}");
    }
}

#[test]
fn the_core_never_links_std_outside_tests() {
    let lib = read(&root().join("core/src/lib.rs"));
    assert!(lib.contains("#![no_std]"), "core/src/lib.rs lacks #![no_std]");
    assert!(lib.contains("#![forbid(unsafe_code)]"), "core/src/lib.rs lacks forbid(unsafe_code)");
    for path in sources().iter().filter(|path| path.starts_with(root().join("core"))) {
        let text = read(path);
        let mut previous = "";
        for line in text.lines() {
            let links = line.trim_start().starts_with("extern crate std");
            assert!(
                !links || previous.trim() == "#[cfg(test)]",
                "{} links std outside tests",
                shown(path)
            );
            previous = line;
        }
    }
}

#[test]
fn dependencies_point_one_way() {
    let metadata = cargo(&["metadata", "--no-deps", "--format-version", "1"]);
    let metadata: serde_json::Value =
        serde_json::from_str(&metadata).unwrap_or_else(|error| panic!("cargo metadata: {error}"));
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default().to_string();
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        let ours = dependencies
            .filter(|dependency| dependency["kind"].is_null())
            .filter_map(|dependency| dependency["name"].as_str())
            .filter(|dependency| dependency.starts_with("satellite-"))
            .map(String::from)
            .collect();
        found.insert(name, ours);
    }
    let names: BTreeSet<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(names, ALLOWED.iter().map(|(name, _)| *name).collect(), "packages of the workspace");
    for (name, allowed) in ALLOWED {
        for dependency in &found[name] {
            assert!(allowed.contains(&dependency.as_str()), "{name} must not use {dependency}");
        }
    }
}

#[test]
fn a_satellite_without_the_backend_links_no_sql() {
    let with = packages(&["-p", "satellite-io"]);
    assert!(with.contains("rusqlite"), "the Backend is a default feature");
    let without = packages(&["-p", "satellite-io", "--no-default-features"]);
    for name in ["rusqlite", "libsqlite3-sys", "refinery", "tokio-postgres", "deadpool", "schemars"]
    {
        assert!(!without.contains(name), "satellite-io without `backend` links {name}");
    }
}

#[test]
fn the_product_links_nothing_of_the_simulation() {
    for name in ["turmoil", "proptest", "satellite-sim"] {
        assert!(!packages(&["-p", "satellite-io"]).contains(name), "satellite-io links {name}");
    }
    // The Backend's way to PostgreSQL draws nonces of its own; a satellite draws none.
    let satellite = packages(&["-p", "satellite-io", "--no-default-features"]);
    assert!(!satellite.contains("rand"), "a satellite links rand");
}

#[test]
fn one_tls_stack_is_linked() {
    let linked = packages(&["-p", "satellite-io"]);
    assert!(linked.contains("ring"), "rustls uses ring");
    for name in ["aws-lc-sys", "openssl-sys", "native-tls"] {
        assert!(!linked.contains(name), "satellite-io links {name} beside ring");
    }
}

#[test]
fn fuzzing_builds_without_the_network() {
    let linked = packages(&["-p", "satellite-fuzz"]);
    for name in ["tokio", "axum", "turmoil", "rusqlite", "satellite-io"] {
        assert!(!linked.contains(name), "satellite-fuzz links {name}");
    }
}

#[test]
fn files_are_short() {
    let long: Vec<String> = sources()
        .iter()
        .map(|path| (shown(path), read(path).lines().count()))
        .filter(|(_, lines)| *lines > FILE_LINES_MAX)
        .map(|(path, lines)| format!("{path}: {lines}"))
        .collect();
    assert!(long.is_empty(), "over {FILE_LINES_MAX} lines: {long:#?}");
}

#[test]
fn a_folder_of_modules_has_its_file_beside_it() {
    for path in sources() {
        assert!(
            path.file_name().is_none_or(|name| name != "mod.rs"),
            "{}: name the file after the module",
            shown(&path)
        );
    }
}

#[test]
fn only_one_file_reads_the_environment() {
    for path in sources().iter().filter(|path| path.starts_with(root().join("io/src"))) {
        if path.ends_with("io/src/settings.rs") || path.starts_with(root().join("io/src/settings"))
        {
            continue;
        }
        if is_of_tests(path) {
            continue;
        }
        let text = read(path);
        let product = text.split("#[cfg(test)]").next().unwrap_or_default();
        for call in ["env::var(", "env::var_os(", "env::vars(", "env::vars_os("] {
            assert!(!product.contains(call), "{} reads the environment", shown(path));
        }
    }
}

/// Whether the module above says that this one is compiled for tests alone.
fn is_of_tests(path: &Path) -> bool {
    let above = path.parent().map(|folder| folder.with_extension("rs")).filter(|it| it.exists());
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    above.is_some_and(|above| read(&above).contains(&format!("#[cfg(test)]\nmod {name};")))
}

#[test]
fn nothing_is_left_open() {
    let marks = ["todo!(", "unimplemented!(", "#[ignore", "FIXME"];
    for path in sources() {
        if path.ends_with("tests/architecture.rs") {
            continue;
        }
        let text = read(&path);
        for mark in marks {
            assert!(!text.contains(mark), "{} holds {mark}", shown(&path));
        }
    }
}

#[test]
fn every_planted_bug_still_fits_the_code() {
    let mut patches = 0;
    let entries = fs::read_dir(root().join("tests/planted")).expect("the folder can be listed");
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.extension().is_none_or(|extension| extension != "patch") {
            continue;
        }
        let text = read(&path);
        let header: Vec<&str> = text.lines().take(2).collect();
        let kinds = ["core ", "fuzz ", "tables", "sim "];
        let named = matches!(header[..], [bug, check]
        if bug.starts_with("Bug: ")
            && check.strip_prefix("Check: ").is_some_and(|it| {
                kinds.iter().any(|kind| it.starts_with(kind))
            }));
        assert!(named, "{} does not say its bug and its check", shown(&path));
        let output = Command::new("git")
            .args(["apply", "--check"])
            .arg(&path)
            .current_dir(root())
            .output()
            .unwrap_or_else(|error| panic!("cannot run git apply: {error}"));
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} has to be planted anew: {error}", shown(&path));
        patches += 1;
    }
    assert!(patches >= 20, "only {patches} bugs are planted");
}
