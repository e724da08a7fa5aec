//! One HTTP exchange: what it is for, and what of its answer is being read.

use alloc::vec::Vec;

use super::classify::Trouble;
use crate::limits::MESSAGE_MAX_BYTES;
use crate::sse;
use crate::time::Timestamp;

/// An exchange under way.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) carries: Carries,
    pub(super) reading: Reading,
    /// The endpoint, while the exchange counts there.
    pub(super) counted: Option<Counted>,
    pub(super) endpoint: usize,
    /// The session it belongs to.
    pub(super) epoch: u64,
    /// Whether it named the session, so that the server can say that it does not know it.
    pub(super) has_session: bool,
    /// The token it carried.
    pub(super) token: Option<u64>,
    pub(super) began: Timestamp,
    /// When it is given up: only set where no request's own deadline does it.
    pub(super) ends: Option<Timestamp>,
}

/// What an exchange is at its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    /// Whether it is the one that tries an endpoint that rested.
    pub(super) tries: bool,
}

/// What an exchange is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carries {
    /// A message of ours.
    Message(u64),
    /// The rest of the answer to one, whose stream broke off.
    Rest(u64),
    /// What the server says of its own accord.
    Listening,
    /// Everything the server says, in the older transport.
    Stream,
    /// Nothing that matters any more.
    Nothing,
}

/// What of an answer is being read.
#[derive(Debug)]
pub(super) enum Reading {
    /// Its head is waited for.
    Head,
    /// One JSON text.
    Json(Vec<u8>),
    /// The body of a refusal: it may hold the answer to the request. If not, this is why there is
    /// none.
    Refusal {
        body: Vec<u8>,
        trouble: Trouble,
        /// The session that may be what is wrong.
        session: Option<u64>,
    },
    /// An event stream.
    Events(sse::Events),
    /// Nothing more of it.
    Nothing,
}

impl Reading {
    pub(super) fn events() -> Self {
        Reading::Events(sse::Events::new(MESSAGE_MAX_BYTES))
    }
}
