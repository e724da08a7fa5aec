//! Server-sent events (WHATWG HTML, 9.2).

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use memchr::{memchr, memchr2};

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// Longest name, id or number of an event that is kept. What is longer counts as absent.
const FIELD_MAX_BYTES: usize = 1_024;

/// Cuts a stream into events.
#[derive(Debug)]
pub struct Events {
    /// The line under way.
    line: Vec<u8>,
    /// The event under way.
    event: Event,
    has_data: bool,
    /// Whether the last byte was a carriage return, which a line feed may follow.
    after_return: bool,
    /// Whether no line has ended yet: the first may begin with a byte order mark.
    at_start: bool,
    limit: usize,
}

/// What stands between two empty lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Its id, with which a stream is resumed behind it. Printable ASCII only, as a header carries it.
    pub id: Option<String>,
    /// Its kind; `message` where it is absent.
    pub name: Option<String>,
    /// Its data; empty in an event that only gives an id or a time.
    pub data: Vec<u8>,
    /// How long to wait before a lost stream is asked for again.
    pub retry_ms: Option<u64>,
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
            event: Event::default(),
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
        let events = self.take_whole(bytes)?;
        Ok(events.into_iter().map(|event| event.data).filter(|data| !data.is_empty()).collect())
    }

    /// Takes a piece of the stream and gives the events it completes, those without data included.
    ///
    /// # Errors
    ///
    /// When an event exceeds the bound.
    pub fn take_whole(&mut self, mut bytes: &[u8]) -> Result<Vec<Event>, TooLong> {
        let mut complete = Vec::new();
        while let Some(first) = bytes.first() {
            if core::mem::take(&mut self.after_return) && *first == b'\n' {
                bytes = bytes.get(1..).unwrap_or_default();
                continue;
            }
            let end = memchr2(b'\n', b'\r', bytes);
            let piece = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
            if self.line.len() + self.event.data.len() + piece.len() > self.limit {
                return Err(TooLong { limit: self.limit });
            }
            let Some(end) = end else {
                self.line.extend_from_slice(piece);
                break;
            };
            self.after_return = bytes.get(end) == Some(&b'\r');
            bytes = bytes.get(end + 1..).unwrap_or_default();
            if self.line.is_empty() {
                complete.extend(self.end_line(piece));
            } else {
                self.line.extend_from_slice(piece);
                let line = core::mem::take(&mut self.line);
                complete.extend(self.end_line(&line));
            }
        }
        Ok(complete)
    }

    fn end_line(&mut self, mut line: &[u8]) -> Option<Event> {
        if core::mem::take(&mut self.at_start) {
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        if line.is_empty() {
            self.has_data = false;
            let event = core::mem::take(&mut self.event);
            let is_event = !event.data.is_empty() || event.id.is_some() || event.retry_ms.is_some();
            return is_event.then_some(event);
        }
        let (name, value) = match memchr(b':', line) {
            Some(colon) => {
                (line.get(..colon).unwrap_or_default(), line.get(colon + 1..).unwrap_or_default())
            }
            None => (line, &[][..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" => {
                if self.has_data {
                    self.event.data.push(b'\n');
                }
                self.has_data = true;
                self.event.data.extend_from_slice(value);
            }
            b"id" => self.event.id = short(value).filter(|id| is_printable(id)).map(String::from),
            b"event" => self.event.name = short(value).map(String::from),
            b"retry" => {
                let digits = short(value).filter(|it| it.bytes().all(|byte| byte.is_ascii_digit()));
                self.event.retry_ms = digits.and_then(|digits| digits.parse().ok());
            }
            _ => {}
        }
        None
    }
}

fn short(value: &[u8]) -> Option<&str> {
    let value = (1..=FIELD_MAX_BYTES).contains(&value.len()).then_some(value)?;
    core::str::from_utf8(value).ok()
}

fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
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

    #[test]
    fn an_event_carries_its_id_its_name_and_how_long_to_wait() {
        let mut events = Events::new(100);
        let stream = b"id: 7\ndata:\n\nevent: endpoint\ndata: /m\n\nretry: 250\n\nretry: x\n\n";
        let found = events.take_whole(stream).unwrap();
        let id = Some(String::from("7"));
        let name = Some(String::from("endpoint"));
        assert_eq!(
            found,
            [
                Event { id, ..Event::default() },
                Event { name, data: b"/m".to_vec(), ..Event::default() },
                Event { retry_ms: Some(250), ..Event::default() },
            ]
        );
    }

    #[test]
    fn an_id_that_no_header_could_carry_is_none() {
        let mut events = Events::new(5_000);
        for id in ["a\tb", "\u{e9}", "", &"x".repeat(1_025)] {
            let found = events.take_whole(alloc::format!("id: {id}\ndata: x\n\n").as_bytes());
            assert_eq!(found.unwrap()[0].id, None, "{id}");
        }
    }
}
