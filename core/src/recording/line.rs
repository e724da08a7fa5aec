//! Lines of a recording: written with a checksum, and read back with it.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::{End, FORMAT, Header, Step};

/// What stands between a line's content and its checksum.
const SUM: &str = ",\"sum\":\"";

/// A line.
#[derive(Clone, Debug)]
pub(super) enum Line {
    /// The first.
    Header(Header),
    /// An event.
    Step(Step),
    /// The last.
    End(End),
}

/// A line that cannot be read, or does not belong where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Which line, from 1.
    pub line: u64,
    /// What is wrong with it, and what to do.
    pub reason: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

/// Writes a line with its checksum and its newline. `content` serialises as an object.
pub(super) fn write(content: &impl Serialize) -> Vec<u8> {
    sealed(&crate::wire::encode(content))
}

/// Ends an object of JSON with its checksum and a newline; one that has a checksum gets another.
pub fn sealed(json: &[u8]) -> Vec<u8> {
    let content = match memchr::memmem::rfind(json, SUM.as_bytes()) {
        Some(at) => json.get(..at),
        None => json.strip_suffix(b"}"),
    };
    let mut line = content.unwrap_or(json).to_vec();
    let sum = Digest::of(&line);
    line.extend_from_slice(SUM.as_bytes());
    line.extend_from_slice(sum.to_string().as_bytes());
    line.extend_from_slice(b"\"}\n");
    line
}

/// Reads the line numbered `number`, without its newline.
pub(super) fn read(number: u64, line: &[u8]) -> Result<Line, Unreadable> {
    let unreadable = |reason: String| Unreadable { line: number, reason };
    let damaged = |what: &str| {
        unreadable(alloc::format!(
            "it is damaged: {what}; take the recording again from where it was copied"
        ))
    };
    let text = core::str::from_utf8(line).map_err(|_| damaged("it is no text"))?;
    let (content, sum) = text.rsplit_once(SUM).ok_or_else(|| damaged("it has no checksum"))?;
    if sum.strip_suffix("\"}") != Some(&Digest::of(content.as_bytes()).to_string()) {
        return Err(damaged("its checksum does not fit"));
    }
    let whole = [content, "}"].concat();
    let kind: Kind = serde_json::from_str(&whole).map_err(|error| damaged(&error.to_string()))?;
    if let Some(format) = kind.recording.filter(|format| *format != FORMAT) {
        return Err(unreadable(alloc::format!(
            "it is a recording of format {format}, and this program reads format {FORMAT}; \
             replay it with the program that took it"
        )));
    }
    let read = if kind.recording.is_some() {
        serde_json::from_str(&whole).map(Line::Header)
    } else if kind.end.is_some() {
        serde_json::from_str(&whole).map(Line::End)
    } else {
        serde_json::from_str(&whole).map(Line::Step)
    };
    read.map_err(|error| {
        unreadable(alloc::format!(
            "this program does not know what it says: {error}; replay it with the program that \
             took it"
        ))
    })
}

/// What tells the kinds of lines apart.
#[derive(Deserialize)]
struct Kind {
    recording: Option<u32>,
    end: Option<String>,
}
