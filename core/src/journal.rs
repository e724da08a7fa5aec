//! What the conversation with the Backend must remember across a crash, in one append-only file:
//! events until they are confirmed, commands from receipt to confirmed result, tool switches.
//!
//! # The file
//!
//! One entry a line: the CRC-32 of the JSON in eight hexadecimal digits, a space, the JSON. A line
//! that is cut short or does not match its checksum is no entry. At the end of the file that is a
//! torn tail, before other entries it is damage; either way the lines around it are used, what is
//! missing becomes a gap record, and the file is written anew before anything is appended.
//!
//! # When it is synced
//!
//! Appended means handed to the kernel: it outlives a killed process. Synced means `fdatasync`: it
//! outlives a power cut.
//!
//! | what | appended | synced |
//! |---|---|---|
//! | an event | when it is emitted | before the batch that first carries it is sent |
//! | a command | when it is received | before it is acknowledged and may begin |
//! | its beginning | before it is executed | likewise |
//! | its result | when it ends | before the result is sent |
//! | the start of a daemon | first | at once |
//! | confirmations, tool switches | when they happen | with whatever is synced next |
//! | the end of the daemon | last | at once |
//!
//! So a power cut loses at most events of the window that was open, and the next start says so in a
//! gap record.
//!
//! # When it cannot be written
//!
//! Events are sent from memory, and a daemon that dies takes their numbers along. So the head of the
//! first line is overwritten, in place, which a full disk allows: with a plus sign and seven digits
//! that say how many thousands of numbers beyond the journal's own may be in use ([`mark`]). The
//! daemon after that goes on beyond all of them, and says so in a gap record. Where even that cannot
//! be written, events wait. A rewriting, which holds everything, ends the mark.
//!
//! # Its size
//!
//! It is rewritten, atomically, when what was appended since the last rewriting exceeds that by
//! [`crate::limits::JOURNAL_SLACK_BYTES`]; what it then holds is bounded as the outbox and the
//! remembered commands are.

mod checksum;
mod codec;
mod recovery;
mod tool_switch;
mod writer;

use alloc::boxed::Box;
use alloc::string::String;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::id::{CommandId, EventId};
use crate::time::Timestamp;
use crate::wire::command::Command;

pub use codec::{Condition, Scan, condition, encode, mark, scan};
pub use recovery::{Pending, Recovered, StoredCommand, recover};
pub(crate) use tool_switch::Standing;
pub use tool_switch::ToolSwitch;
pub use writer::Kept;
pub(crate) use writer::{Journal, Waiter};

/// An entry of the journal.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// A daemon began. Everything emitted and not synced before is in doubt if the machine started
    /// anew in between.
    Started {
        /// Names the run of the machine's kernel; empty if it is not known.
        boot: String,
    },
    /// The daemon ended in order.
    Ended,
    /// An event was emitted. As the Backend will get it.
    Event(Box<RawValue>),
    /// Events were dropped; their numbers are the gap's from here on.
    Gap(Gap),
    /// Events up to this number may have been sent.
    Sending {
        /// The number.
        through: u64,
    },
    /// The Backend has the events up to this number, or never will.
    Confirmed {
        /// The number.
        through: u64,
    },
    /// A command was received.
    Received {
        /// The command, with the fields of its payload that its execution reads.
        command: Command,
        /// When.
        at: Timestamp,
    },
    /// A command's execution begins.
    Begun {
        /// The command.
        id: CommandId,
        /// When.
        at: Timestamp,
    },
    /// A command has ended.
    Finished {
        /// The command.
        id: CommandId,
        /// The result, as the Backend will get it.
        result: Box<RawValue>,
    },
    /// The Backend has confirmed a command's result, or will never take it.
    Reported {
        /// The command.
        id: CommandId,
    },
    /// An administrator switched a tool.
    ToolSwitched(ToolSwitch),
}

/// Events that were dropped, in their place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The id of the event that tells of it.
    pub id: EventId,
    /// The number of the first event dropped.
    pub from_seq: u64,
    /// The number of the last, which is the gap's own.
    pub to_seq: u64,
    /// How many were dropped.
    pub count: u64,
    /// When the last of them was.
    pub at: Timestamp,
    /// Why.
    pub reason: GapReason,
}

/// Why events were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// More waited than may.
    QueueFull,
    /// Lines in the middle of the journal could not be read.
    JournalDamaged,
    /// The end of the journal was cut short.
    JournalTorn,
    /// The machine went down before the last events were synced; the count is not known.
    PowerLoss,
    /// The journal could not be written when a daemon ended: events that were not sent by then are
    /// lost, and their count is not known.
    JournalUnwritable,
    /// They were emitted under a pairing that is no more.
    Unpaired,
}

impl GapReason {
    /// The wire's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            GapReason::QueueFull => "queue_full",
            GapReason::JournalDamaged => "journal_damaged",
            GapReason::JournalTorn => "journal_torn",
            GapReason::PowerLoss => "power_loss",
            GapReason::JournalUnwritable => "journal_unwritable",
            GapReason::Unpaired => "unpaired",
        }
    }
}
