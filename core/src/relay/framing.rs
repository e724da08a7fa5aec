//! Lines out of chunks: bounded, without copying what arrives whole.

mod outline;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;

use memchr::memchr;

pub use outline::Outline;

/// Capacity an idle framer keeps.
const KEPT_CAPACITY: usize = 16 * 1024;

const BYTE_ORDER_MARK: &[u8] = &[0xef, 0xbb, 0xbf];

/// Cuts a stream into lines of at most a given length.
#[derive(Debug)]
pub struct Framer {
    /// The beginning of a line whose end has not arrived.
    partial: Vec<u8>,
    limit: usize,
    skipping: Option<Skipping>,
}

/// A line beyond the limit, of which the rest is passed over.
#[derive(Debug)]
struct Skipping {
    outline: Outline,
    told: bool,
}

/// What a stream holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A line that is not blank, without its end.
    Line(&'a [u8]),
    /// A line beyond the limit: what its outer keys say, as far as they could be made out. Comes
    /// once for each such line, as soon as it is known whom the line answers.
    Oversized(Outline),
}

impl Framer {
    /// A framer for lines of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Framer { partial: Vec::new(), limit, skipping: None }
    }

    /// The frames that `chunk` completes.
    pub fn feed<'a>(&'a mut self, chunk: &'a [u8]) -> Frames<'a> {
        Frames { framer: self, chunk, joined: false }
    }

    /// The stream ended: the line that lacks its end, if there is one.
    pub fn finish(&mut self) -> Option<Vec<u8>> {
        self.skipping = None;
        let rest = core::mem::take(&mut self.partial);
        if is_blank(&rest) { None } else { Some(rest) }
    }

    fn forget_partial(&mut self) {
        self.partial.clear();
        if self.partial.capacity() > KEPT_CAPACITY {
            self.partial = Vec::new();
        }
    }
}

/// The frames of one chunk, one after the other.
#[derive(Debug)]
pub struct Frames<'a> {
    framer: &'a mut Framer,
    chunk: &'a [u8],
    /// The last frame was put together in the framer's buffer.
    joined: bool,
}

impl Frames<'_> {
    /// The next frame; `None` when the chunk is used up.
    pub fn advance(&mut self) -> Option<Frame<'_>> {
        loop {
            if core::mem::take(&mut self.joined) {
                self.framer.forget_partial();
            }
            if self.chunk.is_empty() {
                return None;
            }
            let (piece, ended) = self.piece();
            if let Some(mut skipping) = self.framer.skipping.take() {
                if !skipping.told {
                    skipping.outline.feed(piece);
                }
                match self.framer.skip(skipping, ended) {
                    Some(outline) => return Some(Frame::Oversized(outline)),
                    None => continue,
                }
            }
            if self.framer.partial.len() + piece.len() > self.framer.limit {
                let mut outline = Outline::default();
                outline.feed(&self.framer.partial);
                outline.feed(piece);
                self.framer.partial = Vec::new();
                match self.framer.skip(Skipping { outline, told: false }, ended) {
                    Some(outline) => return Some(Frame::Oversized(outline)),
                    None => continue,
                }
            }
            if !ended {
                self.framer.partial.extend_from_slice(piece);
                return None;
            }
            if self.framer.partial.is_empty() {
                if is_blank(piece) {
                    continue;
                }
                return Some(Frame::Line(trimmed(piece)));
            }
            self.framer.partial.extend_from_slice(piece);
            self.joined = true;
            if is_blank(&self.framer.partial) {
                continue;
            }
            return Some(Frame::Line(trimmed(&self.framer.partial)));
        }
    }
}

impl<'a> Frames<'a> {
    /// Takes the chunk up to its first line end, and says whether there was one.
    fn piece(&mut self) -> (&'a [u8], bool) {
        let chunk = self.chunk;
        let end = memchr(b'\n', chunk);
        let (piece, rest) = match end {
            Some(end) => (chunk.get(..end), chunk.get(end + 1..)),
            None => (Some(chunk), None),
        };
        self.chunk = rest.unwrap_or_default();
        (piece.unwrap_or_default(), end.is_some())
    }
}

impl Framer {
    /// Goes on with a line beyond the limit; the outline, if this is the moment to tell it.
    fn skip(&mut self, mut skipping: Skipping, ended: bool) -> Option<Outline> {
        let tell = !skipping.told && (ended || skipping.outline.answers().is_some());
        skipping.told |= tell;
        let outline = tell.then(|| skipping.outline.clone());
        if !ended {
            self.skipping = Some(skipping);
        }
        outline
    }
}

fn is_blank(line: &[u8]) -> bool {
    line.trim_ascii().is_empty()
}

fn trimmed(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line)
}
