//! Our messages on their way: what each is, and where it stands.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::ExchangeId;
use super::failure::Failure;
use crate::time::Timestamp;

/// What a line of the relay is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// The request that begins a session.
    Initialize(u64),
    /// Any other request.
    Request(u64),
    /// The notification that ends the handshake.
    Initialized,
    /// The notification that a request is not waited for any more.
    Cancelled(u64),
    /// An answer to the server, or another notification.
    Other,
}

impl What {
    /// Reads a line that the relay has made: only its beginning, whose form is the relay's own.
    pub(super) fn of(line: &[u8]) -> What {
        if let Some((id, rest)) =
            line.strip_prefix(b"{\"jsonrpc\":\"2.0\",\"id\":").and_then(number)
        {
            return match rest {
                [b',', b'"', b'm', b'e', b't', b'h', b'o', b'd', b'"', b':', rest @ ..] => {
                    if rest.starts_with(b"\"initialize\"") {
                        What::Initialize(id)
                    } else {
                        What::Request(id)
                    }
                }
                _ => What::Other,
            };
        }
        let method = line.strip_prefix(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/");
        let Some(method) = method else { return What::Other };
        if method.starts_with(b"initialized\"") {
            return What::Initialized;
        }
        let cancelled = method.strip_prefix(b"cancelled\",\"params\":{\"requestId\":");
        cancelled.and_then(number).map_or(What::Other, |(id, _)| What::Cancelled(id))
    }

    /// The id of the request that it is.
    pub(super) fn request(self) -> Option<u64> {
        match self {
            What::Initialize(id) | What::Request(id) => Some(id),
            What::Initialized | What::Cancelled(_) | What::Other => None,
        }
    }
}

fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at_checked(digits)?;
    Some((core::str::from_utf8(digits).ok()?.parse().ok()?, rest))
}

/// Where a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It waits for a session, a token or its turn.
    Parked,
    /// It is sent again at this moment.
    Waiting(Timestamp),
    /// It is on its way, or its answer is being read.
    InFlight(ExchangeId),
    /// Its answer's stream broke off, and is asked for again at this moment.
    Resuming(Timestamp),
    /// The server has it, and answers on the stream of this session.
    Delivered(u64),
}

/// A message of ours.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) what: What,
    pub(super) body: Arc<Vec<u8>>,
    pub(super) place: Place,
    /// Exchanges that failed.
    pub(super) failures: u32,
    /// How the last one failed.
    pub(super) last_failure: Option<Failure>,
    /// Whether the server may have acted on one of them.
    pub(super) may_have_run: bool,
    /// Whether another token was fetched for it.
    pub(super) has_new_token: bool,
    /// Whether another session was begun for it.
    pub(super) has_new_session: bool,
    /// The endpoint that failed it last.
    pub(super) avoid: Option<usize>,
    /// The last event of its stream that has an id, and how long to wait before asking for more.
    pub(super) last_event: Option<String>,
    pub(super) retry_ms: Option<u64>,
    /// Times in a row that its stream was taken up again in vain.
    pub(super) resumptions: u32,
    /// Where it was last sent, and in which session.
    pub(super) endpoint: usize,
    pub(super) epoch: u64,
    /// When and in which exchange it was last sent, and how long the head of its answer took.
    pub(super) sent: Option<(Timestamp, ExchangeId)>,
    pub(super) round_trip_ms: Option<u64>,
}

/// All of them, and the way from requests to them.
#[derive(Debug, Default)]
pub(super) struct Messages {
    next: u64,
    all: BTreeMap<u64, Message>,
    requests: BTreeMap<u64, u64>,
}

impl Messages {
    /// Takes a message in, and gives it a number.
    pub(super) fn insert(&mut self, what: What, body: Vec<u8>) -> u64 {
        let number = self.next;
        self.next += 1;
        if let Some(id) = what.request() {
            self.requests.insert(id, number);
        }
        let message = Message {
            what,
            body: Arc::new(body),
            place: Place::Parked,
            failures: 0,
            last_failure: None,
            may_have_run: false,
            has_new_token: false,
            has_new_session: false,
            avoid: None,
            last_event: None,
            retry_ms: None,
            resumptions: 0,
            endpoint: 0,
            epoch: 0,
            sent: None,
            round_trip_ms: None,
        };
        self.all.insert(number, message);
        number
    }

    pub(super) fn get(&self, number: u64) -> Option<&Message> {
        self.all.get(&number)
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Message> {
        self.all.get_mut(&number)
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<Message> {
        let message = self.all.remove(&number)?;
        if let Some(id) = message.what.request() {
            self.requests.remove(&id);
        }
        Some(message)
    }

    /// The message of a request.
    pub(super) fn of_request(&self, id: u64) -> Option<u64> {
        self.requests.get(&id).copied()
    }

    /// Requests, each with its message's number.
    pub(super) fn requests(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.requests.iter().map(|(id, number)| (*id, *number))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Message)> {
        self.all.iter().map(|(number, message)| (*number, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{notification_line, request_line};

    #[test]
    fn lines_of_the_relay_are_told_apart_by_their_beginning() {
        assert_eq!(What::of(&request_line(1, "initialize", None, None)), What::Initialize(1));
        assert_eq!(What::of(&request_line(27, "tools/call", None, None)), What::Request(27));
        let cancelled = notification_line("notifications/cancelled", Some("{\"requestId\":8}"));
        assert_eq!(What::of(&cancelled), What::Cancelled(8));
        let initialized = notification_line("notifications/initialized", None);
        assert_eq!(What::of(&initialized), What::Initialized);
        for line in [
            &b"{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}"[..],
            b"{\"jsonrpc\":\"2.0\",\"id\":\"7\",\"error\":{}}",
            b"",
        ] {
            assert_eq!(What::of(line), What::Other);
        }
    }
}
