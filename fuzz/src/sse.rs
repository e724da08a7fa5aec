//! The reader of server-sent events.

use satellite_core::sse::{Events, TooLong};

/// How long an event may be here.
const LIMIT: usize = 64;

/// Reads any stream, cut as its first byte says: the events are those of the whole text, however
/// it was cut, and none is longer than the bound.
///
/// # Panics
///
/// When a promise is broken.
pub fn run(data: &[u8]) {
    let Some((&size, stream)) = data.split_first() else { return };
    let (singly, end) = read(stream, 1);
    let (pieces, same_end) = read(stream, usize::from(size % 16) + 1);
    assert_eq!(end, same_end);
    // What a piece completed before it grew too long is not given out.
    assert!(singly.starts_with(&pieces) && (end.is_err() || singly == pieces));
    for event in &singly {
        assert!(!event.is_empty() && event.len() <= LIMIT && !event.contains(&b'\r'));
    }
    let plain = plain(stream);
    assert!(plain.starts_with(&singly) && (end.is_err() || singly == plain));
}

/// The events of a stream that comes in pieces of `size` bytes, up to the first that is too long.
fn read(stream: &[u8], size: usize) -> (Vec<Vec<u8>>, Result<(), TooLong>) {
    let mut events = Events::new(LIMIT);
    let mut seen = Vec::new();
    for piece in stream.chunks(size) {
        match events.take(piece) {
            Ok(complete) => seen.extend(complete),
            Err(error) => return (seen, Err(error)),
        }
    }
    (seen, Ok(()))
}

/// The same by splitting the whole text into lines and blocks.
fn plain(stream: &[u8]) -> Vec<Vec<u8>> {
    let stream = stream.strip_prefix("\u{feff}".as_bytes()).unwrap_or(stream);
    // One line ending for all three.
    let mut text: Vec<u8> = Vec::new();
    for (at, byte) in stream.iter().enumerate() {
        match byte {
            b'\r' => text.push(b'\n'),
            b'\n' if at > 0 && stream[at - 1] == b'\r' => {}
            byte => text.push(*byte),
        }
    }
    let mut events = Vec::new();
    let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    // What follows the last line ending is no line.
    lines.pop();
    let mut data: Vec<&[u8]> = Vec::new();
    for line in lines {
        if line.is_empty() {
            let event = data.join(&b'\n');
            if !event.is_empty() {
                events.push(event);
            }
            data.clear();
        } else if line == b"data" {
            data.push(b"");
        } else if let Some(value) = line.strip_prefix(b"data:") {
            data.push(value.strip_prefix(b" ").unwrap_or(value));
        }
    }
    events
}
