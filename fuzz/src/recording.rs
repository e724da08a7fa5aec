//! Recordings: their reader, and the machine that hears whatever they say.

use satellite_core::recording::{Fault, Replay, sealed};

/// Replays any bytes: as they are, and line by line with checksums that fit, so that what stands in
/// them is read and heard. Each has an outcome, the same one twice.
///
/// # Panics
///
/// When a promise is broken.
pub fn run(data: &[u8]) {
    check(data);
    let lines = data.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let fitting: Vec<u8> = lines.flat_map(sealed).collect();
    check(&fitting);
}

fn check(recording: &[u8]) {
    let outcome = Replay::run(recording, None);
    assert_eq!(outcome, Replay::run(recording, None));
    let steps = recording.iter().filter(|byte| **byte == b'\n').count();
    assert!(outcome.steps <= steps as u64);
    match outcome.fault {
        Some(Fault::Unreadable(unreadable)) => {
            assert!(unreadable.line >= 1 && unreadable.line <= steps as u64 + 1);
            assert!(!unreadable.reason.is_empty());
        }
        Some(Fault::Parted(parted)) => assert_ne!(parted.recorded, parted.replayed),
        None => assert!(!outcome.version.is_empty() || outcome.steps == 0),
    }
}
