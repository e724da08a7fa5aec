//! Both programs killed at random instants, and everything counted afterwards.

use std::process::Command;

use satellite_tests::root;

use crate::harness::{Scratch, program};

/// How often the daemon is killed.
const INSTANTS: &str = "200";

#[test]
fn a_daemon_killed_at_200_random_instants_loses_nothing_and_does_nothing_twice() {
    let scratch = Scratch::new("instants");
    // Another each time: a failure prints it, and `--seed` runs it again.
    let seed = std::process::id().to_string();
    let run = Command::new(root().join("tests/soak/kills"))
        .args(["--instants", INSTANTS, "--seed", &seed])
        .arg("--dir")
        .arg(scratch.0.join("kills"))
        .arg("--program")
        .arg(program())
        .output()
        .expect("tests/soak/kills runs");
    let said = String::from_utf8_lossy(&run.stdout);
    let complained = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}\n{complained}");
    assert!(said.contains(&format!("{INSTANTS} kills of the daemon")), "{said}");
    assert!(said.contains("nothing differs"), "{said}");
}
