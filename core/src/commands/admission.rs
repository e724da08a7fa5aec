//! Whether a command that arrived is executed: a plain decision, no state of its own.

use alloc::format;
use alloc::string::{String, ToString};

use crate::id::TeamId;
use crate::machine::Refusal;
use crate::wire::command::{Command, CommandType};

/// What is known of a command's id when it arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Nothing: it is here for the first time.
    New,
    /// It waits, or is being executed.
    Pending,
    /// It has ended, and its result is on its way.
    Reporting,
    /// It has ended, and the Backend has confirmed its result.
    Reported,
}

/// What becomes of a command that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is executed when its turn comes.
    Execute,
    /// It is not executed again. Says why.
    Ignore(&'static str),
    /// It is not executed again, but its result goes out once more: the Backend delivered it
    /// again, so it can't know the result.
    Repeat,
    /// It is answered by a failure.
    Refuse {
        /// The kind of refusal, for counters.
        refusal: Refusal,
        /// What the Backend is told.
        reason: String,
    },
}

/// Decides about `command`. `team` is the team this satellite serves; a global one serves all.
pub fn admit(command: &Command, known: Known, team: Option<&TeamId>) -> Admission {
    match known {
        Known::New => {}
        Known::Pending => return Admission::Ignore("the command waits already"),
        Known::Reporting => return Admission::Ignore("the command's result is on its way"),
        Known::Reported => return Admission::Repeat,
    }
    if let CommandType::Unknown(name) = &command.command_type {
        let known = CommandType::KNOWN.map(|known| known.as_str().to_string()).join(", ");
        let reason = format!("unknown command type {name:?}; this satellite knows {known}");
        return Admission::Refuse { refusal: Refusal::Unknown, reason };
    }
    if let (Some(own), Some(other)) = (team, command.team())
        && *own != other
    {
        let reason = format!("the command is for team {other}, and this satellite serves {own}");
        return Admission::Refuse { refusal: Refusal::ForeignTenant, reason };
    }
    if command.expires_in == Some(0) {
        return Admission::Refuse { refusal: Refusal::Stale, reason: expired(0) };
    }
    Admission::Execute
}

/// The reason of a command that was not begun in time.
pub(super) fn expired(expires_in: u64) -> String {
    format!("expired: it was not begun within {expires_in} s of its receipt")
}
