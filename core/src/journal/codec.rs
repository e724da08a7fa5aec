//! Lines of the journal: written, and read back whatever has become of them.

use alloc::vec::Vec;
use core::fmt::Write;

use super::Entry;
use super::checksum::crc32;

/// Eight digits and a space.
const HEAD: usize = 9;
/// What a marked journal begins with; no digit.
const MARK: u8 = b'+';
/// Digits of a mark, sixteen kinds of them.
const MARK_DIGITS: usize = 7;
/// Numbers that one of a mark's count stands for: so many are skipped without need, at most.
pub(crate) const MARK_NUMBERS: u64 = 1_000;
/// The highest count of a mark.
const MARK_MAX: u64 = (1 << (4 * MARK_DIGITS)) - 1;

/// How a journal was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Bytes at its end that are no entry: what was being written when the machine stopped.
    pub torn_bytes: usize,
    /// Lines before its last entry that are no entries, or its whole content if none is: something
    /// has changed the file.
    pub damaged_lines: u64,
    /// Numbers beyond its last one that may be in use, by its mark; 0 if it has none.
    pub unwritten: u64,
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
    let mut lines = journal.split_inclusive(|byte| *byte == b'\n');
    if let Some(numbers) = marked(journal) {
        scan.condition.unwritten = numbers;
        // The first line of every journal says that a daemon started, as does one of each later
        // daemon; without its checksum it is passed over.
        lines.next();
    }
    for line in lines {
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
    if scan.entries.is_empty() && scan.condition.unwritten == 0 && !is_one_cut_line {
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

/// What the first bytes of a journal are overwritten with when `numbers` numbers beyond its last one
/// may be in use, or a few more. `None` if that is more than a mark can say.
pub fn mark(numbers: u64) -> Option<[u8; MARK_DIGITS + 1]> {
    let mut count = numbers.div_ceil(MARK_NUMBERS).max(1);
    if count > MARK_MAX {
        return None;
    }
    let mut mark = [MARK; MARK_DIGITS + 1];
    for place in mark.iter_mut().skip(1).rev() {
        let digit = (count % 16) as u8;
        *place = if digit < 10 { b'0' + digit } else { b'a' + digit - 10 };
        count /= 16;
    }
    Some(mark)
}

/// The numbers that a journal's mark stands for, if it has one.
fn marked(journal: &[u8]) -> Option<u64> {
    let (mark, _) = journal.split_at_checked(MARK_DIGITS + 1)?;
    let digits = core::str::from_utf8(mark).ok()?.strip_prefix(char::from(MARK))?;
    let count = digits
        .chars()
        .try_fold(0, |count: u64, digit| Some(count * 16 + u64::from(digit.to_digit(16)?)))?;
    (count > 0).then_some(count * MARK_NUMBERS)
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
