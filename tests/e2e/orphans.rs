//! Servers that misbehave in every way, a daemon that is killed, and everything counted.

use std::process::Command;

use satellite_tests::root;

use crate::harness::{Scratch, program, state};

/// Twenty servers, each ends once; a thousand ends and fifty kills are
/// `tests/orphans/run --cycles 1000 --kills 50`.
const CYCLES: &str = "20";
const KILLS: &str = "3";

#[test]
fn nothing_is_left_of_servers_that_misbehave_nor_of_a_killed_daemon() {
    let scratch = Scratch::new("orphans");
    let run = Command::new(root().join("tests/orphans/run"))
        .args(["--cycles", CYCLES, "--kills", KILLS, "--dir"])
        .arg(scratch.0.join("orphans"))
        .arg("--program")
        .arg(program())
        .output()
        .expect("tests/orphans/run runs");
    let said = String::from_utf8_lossy(&run.stdout);
    let complained = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}\n{complained}");
    assert!(said.contains("0 processes outlived the next start"), "{said}");
    assert!(said.contains("nothing differs"), "{said}");
    for line in said.lines().filter(|line| line.contains(" before, ") || line.contains("ends of")) {
        state(line);
    }
}
