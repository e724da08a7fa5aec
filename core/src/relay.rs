//! The relay: one per instance, it owns the request table, the framing and the era of one MCP peer.
//!
//! It carries what it does not interpret token for token, gives requests ids of its own, and sees
//! to it that every call ends in exactly one [`CallOutcome`]. It tells the control machine only
//! what lifecycles need, as [`Report`]s.

mod below;
mod calls;
mod discovery;
mod framing;
mod handshake;
mod inventory;
mod machine;
mod peer;
mod reporting;
mod table;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::recording::words::Word;
use crate::remote;
use crate::view::Inventory;

pub use framing::{Frame, Framer, Frames, Outline};
pub(crate) use handshake::METHOD as HANDSHAKE;
pub use machine::{Relay, RelaySettings};

/// Names a call of a client at this relay; the host chooses it and never reuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// What can happen to a relay.
#[derive(Debug)]
pub enum Event {
    /// The pipes to the child are open: begin with the handshake.
    Opened,
    /// Bytes arrived on the child's standard output.
    Read(Vec<u8>),
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
    /// The control machine wants to know whether the peer is alive.
    Probed,
    /// The child's standard output ended, or writing to it failed, or the child is gone.
    Closed {
        /// What is known of the end, for the callers.
        reason: String,
    },
    /// Time has passed.
    Tick,
}

/// A call of a client.
#[derive(Debug)]
pub struct Call {
    /// Its name at this relay.
    pub id: CallId,
    /// The JSON-RPC method.
    pub method: String,
    /// The `params`, word for word, as [`crate::json::parse`] read them.
    pub params: Option<Box<RawValue>>,
    /// How long it may take, counted anew by each progress notification.
    pub timeout_ms: u64,
    /// Whether it may be sent again after it may have been carried out.
    pub repeatable: bool,
}

/// What a relay asks for.
#[derive(Debug)]
pub enum Effect {
    /// Write these bytes, whole lines, to the child's standard input.
    Write(Vec<u8>),
    /// End a call. Exactly one for each [`Event::Called`].
    Answer {
        /// The call.
        call: CallId,
        /// How it ended.
        outcome: CallOutcome,
    },
    /// Pass a notification of the child to the client whose call it concerns.
    ///
    /// A progress token is the client's own again.
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

/// How a call ended.
#[derive(Debug)]
pub enum CallOutcome {
    /// The child answered with a result, word for word. For a tool, `isError` may be set in it.
    Result(Box<RawValue>),
    /// The child answered with a JSON-RPC error object, word for word.
    Error(Box<RawValue>),
    /// The child never saw the call.
    RejectedBeforeSend(Rejection),
    /// The client took it back.
    Cancelled,
    /// The time-out passed; the child was told.
    TimedOut {
        /// How long it was waited for.
        after_ms: u64,
    },
    /// The child ended, or its answer was lost: it may or may not have done the work.
    OutcomeUnknown {
        /// What happened, for people.
        reason: String,
    },
}

/// Why a call was never sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The handshake is not over.
    NotReady,
    /// The child is gone.
    Closed {
        /// What is known of the end.
        reason: String,
    },
    /// The call itself is wrong; asking again will not help.
    Malformed {
        /// What is wrong with it.
        what: &'static str,
    },
    /// Too many calls are in flight.
    TooManyCalls {
        /// The bound.
        limit: usize,
    },
    /// The remote was tried, or is left alone after many failures, and never saw the call.
    Unreached(remote::Failure),
    /// The message is larger than a child is sent.
    TooLarge {
        /// The bound in bytes.
        limit: usize,
    },
}

/// What lifecycles need to know of a relay.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// The handshake succeeded.
    Initialized,
    /// The lists are known: after the handshake, after a list change, or because they were wanted.
    Listed(#[serde(with = "crate::recording::shared")] Arc<Inventory>),
    /// Asking for the lists again failed. Those known before stay in force.
    ListsStale {
        /// The list that failed: `tools/list`.
        #[serde(deserialize_with = "crate::recording::words::read")]
        step: Word,
        /// What happened, for people.
        reason: String,
    },
    /// The handshake or the first lists failed; the peer is of no use.
    Unusable {
        /// The step that failed: `initialize`, `tools/list`, ….
        #[serde(deserialize_with = "crate::recording::words::read")]
        step: Word,
        /// What happened, for people.
        reason: String,
    },
    /// A probe was answered, or was not answered in time.
    Probe {
        /// Whether it was.
        answered: bool,
    },
    /// Calls since the last report: at most one report a second, the last within a second of the
    /// last call's end. What the relay asks for itself is no activity.
    Activity(Activity),
    /// The child broke the protocol: garbage, an oversized line, an answer to nothing.
    Violation {
        /// What it did, without its content.
        #[serde(deserialize_with = "crate::recording::words::read")]
        what: Word,
        /// How often since the last report.
        count: u64,
    },
    /// A round trip to a remote, through the path of a call, succeeded: at most one report a second.
    /// Sent by remotes only.
    Reached {
        /// From the request's first byte to the answer's, in milliseconds.
        round_trip_ms: u64,
        /// Whether it was the greeting of a session begun anew: what the server offers is being
        /// asked for already.
        discovers: bool,
    },
    /// The handshake, a list, a probe or a call of a remote failed after everything that could be
    /// tried. Sent by remotes only.
    Failed(remote::Failure),
    /// The pipes are closed, and every call in flight has been answered. The process may live on.
    Closed {
        /// What is known of the end.
        reason: String,
    },
}

/// Calls through a relay, in totals since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// Calls sent to the child.
    pub messages: u64,
    /// Calls that ended in an error, a time-out or unknown.
    pub errors: u64,
    /// Answers that came after their call had ended.
    pub late: u64,
    /// Calls in flight now.
    pub in_flight: usize,
}
