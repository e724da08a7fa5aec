//! Texts that are compared with files under `tests/`. A change to one is a reviewed diff:
//! `BLESS=1 cargo test …` writes the file anew.

use std::fs;

use crate::root;

/// Compares `actual` with the file `path`, relative to the root of the workspace.
///
/// # Panics
///
/// When they differ, with the first lines that do.
pub fn compare(path: &str, actual: &str) {
    let file = root().join(path);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&file, actual).unwrap_or_else(|error| panic!("cannot write {path}: {error}"));
        return;
    }
    let expected = fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("cannot read {path}: {error}; write it with BLESS=1"));
    if expected == actual {
        return;
    }
    let difference: Vec<String> = difference(&expected, actual);
    panic!("{path} differs; if that is intended, run with BLESS=1\n{}", difference.join("\n"));
}

/// Lines only one side has, at most 40 of them.
fn difference(expected: &str, actual: &str) -> Vec<String> {
    let expected: Vec<&str> = expected.lines().collect();
    let actual: Vec<&str> = actual.lines().collect();
    let removed = expected.iter().filter(|line| !actual.contains(line)).map(|l| format!("- {l}"));
    let added = actual.iter().filter(|line| !expected.contains(line)).map(|l| format!("+ {l}"));
    removed.chain(added).take(40).collect()
}
