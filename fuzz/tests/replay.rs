//! Replays every corpus on stable Rust, each input whole and cut short.

use std::fs;
use std::path::Path;

use satellite_fuzz::{Body, TARGETS};

fn inputs(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let entries = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("cannot list {}: {error}", folder.display()));
    let mut inputs: Vec<(String, Vec<u8>)> = entries
        .flatten()
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, fs::read(entry.path()).expect("a corpus file can be read"))
        })
        .collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "{} is empty", folder.display());
    inputs
}

fn replay(target: &str) {
    let body: Body = TARGETS.iter().find(|(name, _)| *name == target).expect("a target").1;
    for (_, input) in inputs(target) {
        body(&input);
        // A cut input is what a broken connection leaves; every byte is tried, up to a bound.
        let step = (input.len() / 200).max(1);
        for length in (0..input.len()).step_by(step) {
            body(&input[..length]);
        }
        // One changed byte at a time, always the same ones.
        let mut changed = input.clone();
        for at in (0..input.len()).step_by(step) {
            for byte in [0, b'"', b'{', b'\n', 0xff] {
                changed[at] = byte;
                body(&changed);
            }
            changed[at] = input[at];
        }
    }
}

#[test]
fn credentials_keep_their_promises_on_their_corpus() {
    replay("credentials");
}

#[test]
fn egress_keeps_its_promises_on_its_corpus() {
    replay("egress");
}

#[test]
fn retry_after_keeps_its_promises_on_its_corpus() {
    replay("retry_after");
}

#[test]
fn server_sent_events_keep_their_promises_on_their_corpus() {
    replay("sse");
}

#[test]
fn journals_keep_their_promises_on_their_corpus() {
    replay("journal");
}

#[test]
fn lifecycles_keep_their_promises_on_their_corpus() {
    replay("lifecycle");
}

#[test]
fn json_rpc_keeps_its_promises_on_its_corpus() {
    replay("json_rpc");
}

#[test]
fn mcp_json_keeps_its_promises_on_its_corpus() {
    replay("mcp_json");
}

#[test]
fn the_wire_keeps_its_promises_on_its_corpus() {
    replay("wire");
}

#[test]
fn registration_tokens_keep_their_promises_on_their_corpus() {
    replay("registration_token");
}

#[test]
fn remotes_keep_their_promises_on_their_corpus() {
    replay("remote");
}

#[test]
fn recordings_keep_their_promises_on_their_corpus() {
    replay("recording");
}

#[test]
fn every_target_has_its_file_and_its_corpus() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz_targets");
    let mut files: Vec<String> = fs::read_dir(&folder)
        .expect("the folder of targets can be listed")
        .flatten()
        .map(|entry| entry.path().file_stem().unwrap_or_default().to_string_lossy().into_owned())
        .collect();
    files.sort();
    assert_eq!(files, TARGETS.map(|(name, _)| name));
    for (name, _) in TARGETS {
        inputs(name);
    }
}

#[test]
fn oauth_keeps_its_promises_on_its_corpus() {
    replay("oauth");
}
