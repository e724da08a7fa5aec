//! What the outer keys of a line say when the line itself cannot be read.

use alloc::vec::Vec;

use memchr::memchr2;

use crate::json::number;

/// Longest key or id that is looked at.
const CAPTURED_MAX: usize = 64;

/// Follows the outermost object of a text of any length in constant memory, as far as to know
/// which request it answers. The text need not be valid JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    depth: u64,
    in_string: bool,
    escaped: bool,
    place: Place,
    captured: Vec<u8>,
    id: Option<Vec<u8>>,
    json_rpc: bool,
    answer: bool,
    method: bool,
}

/// Where in the outermost object the text is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Outside,
    Key,
    IdValue,
    OtherValue,
}

impl Outline {
    /// The outline of a whole text.
    pub fn of(text: &[u8]) -> Self {
        let mut outline = Outline::default();
        outline.feed(text);
        outline
    }

    /// The number of the request that this text certainly answers: it has a numeric `id` and a
    /// `result` or an `error`.
    pub fn answers(&self) -> Option<u64> {
        let id = self.id.as_deref().filter(|_| self.answer && !self.method)?;
        number(core::str::from_utf8(id).ok()?)
    }

    /// The `id` token, if the text has a `method`: it asks, and does not answer.
    pub fn asks(&self) -> Option<&str> {
        let id = self.id.as_deref().filter(|_| self.method)?;
        let id = core::str::from_utf8(id).ok()?;
        serde_json::from_str::<&serde_json::value::RawValue>(id).ok()?;
        Some(id)
    }

    /// Whether the text has a `method`, and so answers nothing.
    pub fn has_method(&self) -> bool {
        self.method
    }

    /// Whether the text has a `jsonrpc`: a log line in JSON may well have an `id` and an `error`.
    pub fn is_json_rpc(&self) -> bool {
        self.json_rpc
    }

    /// Reads on.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while let Some((&byte, rest)) = bytes.split_first() {
            if self.in_string && !self.escaped && !self.captures() {
                match memchr2(b'"', b'\\', bytes) {
                    Some(found) => bytes = bytes.get(found..).unwrap_or_default(),
                    None => return,
                }
                if let Some((&byte, rest)) = bytes.split_first() {
                    self.string_byte(byte);
                    bytes = rest;
                }
                continue;
            }
            if self.in_string {
                self.string_byte(byte);
            } else {
                self.plain_byte(byte);
            }
            bytes = rest;
        }
    }

    fn captures(&self) -> bool {
        self.depth == 1 && matches!(self.place, Place::Key | Place::IdValue)
    }

    fn capture(&mut self, byte: u8) {
        if self.captures() && self.captured.len() <= CAPTURED_MAX {
            self.captured.push(byte);
        }
    }

    fn string_byte(&mut self, byte: u8) {
        if self.escaped {
            self.escaped = false;
        } else if byte == b'\\' {
            self.escaped = true;
        } else if byte == b'"' {
            self.in_string = false;
        }
        self.capture(byte);
    }

    fn plain_byte(&mut self, byte: u8) {
        match byte {
            b'"' => {
                self.in_string = true;
                self.capture(byte);
            }
            b'{' | b'[' => {
                self.depth += 1;
                if self.depth == 1 && byte == b'{' {
                    self.begin(Place::Key);
                }
            }
            b'}' | b']' => {
                if self.depth == 1 {
                    self.end_value();
                    self.begin(Place::Outside);
                }
                self.depth = self.depth.saturating_sub(1);
            }
            b':' if self.depth == 1 && self.place == Place::Key => {
                let place = match self.captured.as_slice() {
                    b"\"id\"" => Place::IdValue,
                    key => {
                        self.answer |= matches!(key, b"\"result\"" | b"\"error\"");
                        self.json_rpc |= key == b"\"jsonrpc\"";
                        self.method |= key == b"\"method\"";
                        Place::OtherValue
                    }
                };
                self.begin(place);
            }
            b',' if self.depth == 1 && self.place != Place::Outside => {
                self.end_value();
                self.begin(Place::Key);
            }
            b' ' | b'\t' | b'\r' | b'\n' => {}
            _ => self.capture(byte),
        }
    }

    fn begin(&mut self, place: Place) {
        self.place = place;
        self.captured.clear();
    }

    fn end_value(&mut self) {
        let fits = self.captured.len() <= CAPTURED_MAX && !self.captured.is_empty();
        if self.place == Place::IdValue && fits && self.id.is_none() {
            self.id = Some(core::mem::take(&mut self.captured));
        }
    }
}
