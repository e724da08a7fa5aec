//! Lines of the journal: written, and read back whatever has become of them.

use alloc::vec::Vec;
use core::fmt::Write;

use super::Entry;
use super::checksum::crc32;

/// Eight digits and a space.
const HEAD: usize = 9;

/// How a journal was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Bytes at its end that are no entry: what was being written when the machine stopped.
    pub torn_bytes: usize,
    /// Lines before its last entry that are no entries, or its whole content if none is: something
    /// has changed the file.
    pub damaged_lines: u64,
}

impl Condition {
    /// Whether it is as it was written.
    pub fn is_whole(self) -> bool {
        self == Condition::default()
    }
}

/// What a journal holds.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    /// The entries that can be read, in their order.
    pub entries: Vec<Entry>,
    /// What cannot.
    pub condition: Condition,
}

/// Appends the line of an entry to `out`.
pub fn encode(entry: &Entry, out: &mut Vec<u8>) {
    struct Head<'a>(&'a mut Vec<u8>);
    impl Write for Head<'_> {
        fn write_str(&mut self, text: &str) -> core::fmt::Result {
            self.0.extend_from_slice(text.as_bytes());
            Ok(())
        }
    }
    let mut json = crate::wire::encode(entry);
    // Raw JSON of others may have line ends between its tokens; in texts they are escaped.
    for byte in &mut json {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    // Writing to memory has no way to fail.
    let _ = write!(Head(out), "{:08x} ", crc32(&json));
    out.extend_from_slice(&json);
    out.push(b'\n');
}

/// Reads a journal. Total: any bytes have some entries, if only none.
pub fn scan(journal: &[u8]) -> Scan {
    let mut scan = Scan::default();
    let (mut pending_bytes, mut pending_lines) = (0, 0);
    for line in journal.split_inclusive(|byte| *byte == b'\n') {
        match read(line) {
            Some(entry) => {
                scan.entries.push(entry);
                scan.condition.damaged_lines += pending_lines;
                (pending_bytes, pending_lines) = (0, 0);
            }
            None => {
                pending_bytes += line.len();
                pending_lines += 1;
            }
        }
    }
    let is_one_cut_line = pending_lines == 1 && !journal.ends_with(b"\n");
    if scan.entries.is_empty() && !is_one_cut_line {
        scan.condition.damaged_lines = pending_lines;
    } else {
        scan.condition.torn_bytes = pending_bytes;
    }
    scan
}

/// How a journal is found, without reading what its entries say.
pub fn condition(journal: &[u8]) -> Condition {
    scan(journal).condition
}

fn read(line: &[u8]) -> Option<Entry> {
    let line = line.strip_suffix(b"\n")?;
    let (head, json) = line.split_at_checked(HEAD)?;
    let digits = core::str::from_utf8(head).ok()?.strip_suffix(' ')?;
    // One spelling only: another one is a changed byte.
    if !digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let checksum = u32::from_str_radix(digits, 16).ok()?;
    if crc32(json) != checksum {
        return None;
    }
    serde_json::from_slice(json).ok()
}

#[cfg(test)]
mod tests;
