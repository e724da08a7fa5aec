//! Servers elsewhere: how one is spoken to, and what keeps it from being reached.
//!
//! A remote has no process. Its conversation is that of a [`crate::relay::Relay`], as with a child;
//! below it a [`Peer`] turns each message into an HTTP exchange, and what becomes of the exchange
//! into messages or into a [`Failure`]. It speaks Streamable HTTP (MCP 2025-11-25, 2025-06-18 and
//! 2025-03-26, Transports) and the older HTTP with server-sent events (MCP 2024-11-05).
//!
//! A message is sent again only where the server certainly did not act on it, or where its
//! request may be carried out twice. Every call ends in exactly one outcome.

mod access;
mod breaker;
mod classify;
mod endpoints;
mod exchange;
mod failing;
mod failure;
mod head;
mod legacy;
mod listening;
mod messages;
mod peer;
mod receiving;
mod request;
mod sending;
mod session;
mod spec;
#[cfg(test)]
mod tests;
mod token;
mod told;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::value::RawValue;

use crate::http::HttpFailure;
use crate::relay::{Call, CallId, CallOutcome, Report};

pub use failure::{Failure, Fault};
pub use head::Head;
pub use peer::Peer;
pub use request::{Method, Request};
pub use spec::RemoteSpec;
pub use token::AccessToken;

/// Names an exchange of a peer; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExchangeId(pub u64);

/// What can happen to a peer.
#[derive(Debug)]
pub enum Event {
    /// Begin with the handshake.
    Opened,
    /// A client calls a method.
    Called(Call),
    /// A client no longer wants a call's answer.
    Cancelled {
        /// The call.
        call: CallId,
        /// The client's reason, if it gave one.
        reason: Option<String>,
    },
    /// The control machine wants the lists asked for anew.
    Relist,
    /// The control machine wants to know whether the server is alive.
    Probed,
    /// The control machine wants a session and lists that are certainly of today. Those known stay
    /// in force until then, and calls go on.
    Reconnect,
    /// The head of an answer arrived.
    Head {
        /// The exchange.
        exchange: ExchangeId,
        /// What it says.
        head: Head,
    },
    /// A piece of its body arrived.
    Chunk {
        /// The exchange.
        exchange: ExchangeId,
        /// The piece.
        bytes: Vec<u8>,
    },
    /// The body is complete.
    Ended {
        /// The exchange.
        exchange: ExchangeId,
    },
    /// There is no answer, or no more of it.
    Failed {
        /// The exchange.
        exchange: ExchangeId,
        /// Why.
        failure: HttpFailure,
    },
    /// The user's access token was fetched, or could not be had.
    Token(Result<AccessToken, Failure>),
    /// The user's tokens are not to be used any more: the next request fetches one anew.
    TokenDropped,
    /// The instance is removed or its configuration changed: say goodbye.
    Close,
    /// Time has passed.
    Tick,
}

/// What a peer asks for.
#[derive(Debug)]
pub enum Effect {
    /// Send a request. Answered by [`Event::Head`], [`Event::Chunk`]s and [`Event::Ended`], or by
    /// [`Event::Failed`] at any point.
    Exchange {
        /// The exchange.
        exchange: ExchangeId,
        /// The request.
        request: Request,
    },
    /// Give up an exchange. Nothing more of it is wanted.
    Abort {
        /// The exchange.
        exchange: ExchangeId,
    },
    /// Fetch the user's access token. Answered by [`Event::Token`].
    FetchToken {
        /// A token that the server refused: not this one again.
        stale: Option<u64>,
    },
    /// End a call. Exactly one for each [`Event::Called`].
    Answer {
        /// The call.
        call: CallId,
        /// How it ended.
        outcome: CallOutcome,
    },
    /// Pass a notification of the server to the client whose call it concerns.
    NotifyCall {
        /// The call.
        call: CallId,
        /// The whole notification, one line of JSON without its newline.
        message: Box<RawValue>,
    },
    /// Pass a notification that concerns no call to every client session of the instance.
    NotifyAll {
        /// The whole notification.
        message: Box<RawValue>,
    },
    /// Tell the control machine.
    Report(Report),
}
