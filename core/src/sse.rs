//! Server-sent events (WHATWG HTML, 9.2), as far as MCP needs them: the data of each event.

use alloc::vec::Vec;
use core::fmt;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Cuts a stream into events.
#[derive(Debug)]
pub struct Events {
    /// The line under way.
    line: Vec<u8>,
    /// The data of the event under way.
    data: Vec<u8>,
    has_data: bool,
    /// Whether the last byte was a carriage return, which a line feed may follow.
    after_return: bool,
    /// Whether no line has ended yet: the first may begin with a byte order mark.
    at_start: bool,
    limit: usize,
}

/// An event is longer than allowed. What follows it in the stream is not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// The bound in bytes.
    pub limit: usize,
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an event of the answer exceeds {} bytes", self.limit)
    }
}

impl Events {
    /// No event is longer than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Events {
            line: Vec::new(),
            data: Vec::new(),
            has_data: false,
            after_return: false,
            at_start: true,
            limit,
        }
    }

    /// Takes a piece of the stream and gives the data of the events it completes.
    ///
    /// # Errors
    ///
    /// When an event exceeds the bound.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, TooLong> {
        let mut complete = Vec::new();
        for &byte in bytes {
            let after_return = core::mem::take(&mut self.after_return);
            match byte {
                b'\n' if after_return => {}
                b'\n' | b'\r' => {
                    self.after_return = byte == b'\r';
                    complete.extend(self.end_line());
                }
                _ => self.line.push(byte),
            }
            if self.line.len() + self.data.len() > self.limit {
                return Err(TooLong { limit: self.limit });
            }
        }
        Ok(complete)
    }

    fn end_line(&mut self) -> Option<Vec<u8>> {
        let line = core::mem::take(&mut self.line);
        let mut line = line.as_slice();
        if core::mem::take(&mut self.at_start) {
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        if line.is_empty() {
            let has_data = core::mem::take(&mut self.has_data);
            let data = core::mem::take(&mut self.data);
            // An event with empty data only primes a client for resumption.
            return (has_data && !data.is_empty()).then_some(data);
        }
        let (name, value) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &[][..]),
        };
        if name == b"data" {
            if self.has_data {
                self.data.push(b'\n');
            }
            self.has_data = true;
            self.data.extend_from_slice(value.strip_prefix(b" ").unwrap_or(value));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::*;

    fn all(pieces: &[&[u8]]) -> Vec<String> {
        let mut events = Events::new(100);
        let data = pieces.iter().flat_map(|it| events.take(it).unwrap());
        data.map(|it| String::from_utf8(it).unwrap()).collect()
    }

    #[test]
    fn events_come_whole_however_the_stream_is_cut() {
        let stream = b": ping\r\n\r\nid: 1\r\nevent: message\r\ndata: {\"a\":\r\ndata: 1}\r\n\r\ndata:x\n\ndata\n\ndata: \n\n";
        let expected = ["{\"a\":\n1}", "x"];
        assert_eq!(all(&[stream]), expected);
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(all(&bytes), expected);
    }

    #[test]
    fn a_field_without_a_colon_is_an_empty_line_of_data() {
        assert_eq!(all(&[b"data:x\ndata\n\ndata\ndata:y\n\ndatas:z\n\n"]), ["x\n", "\ny"]);
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_line() {
        assert_eq!(all(&[b"\xef\xbb\xbfdata:x\n\n\xef\xbb\xbfdata:y\n\n"]), ["x"]);
    }

    #[test]
    fn an_event_without_its_empty_line_is_not_one_yet() {
        assert!(all(&[b"data: x\n"]).is_empty());
    }

    #[test]
    fn an_event_over_the_bound_is_refused() {
        let mut events = Events::new(10);
        assert!(events.take(b"data: 12345678901").is_err());
    }
}
