//! The command queue: in what order commands are handed out, when they come back, when they end.
//!
//! A command handed out stays the satellite's for a lease. If no word comes within it, the command
//! waits again with the next attempt, so that a crash of either side loses nothing. Each command
//! gets one result: the first final one stands.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;

use crate::id::CommandId;
use crate::time::{MINUTE, SECOND, Timestamp};
use crate::wire::command::{CommandStatus, Priority};

/// For how long a command that was handed out is not handed out again.
pub const LEASE_MS: u64 = MINUTE;
/// The same once the satellite has said that it has stored it, or works at it.
pub const HELD_LEASE_MS: u64 = 15 * MINUTE;
/// Repetitions of a command, unless its row says otherwise.
pub const MAX_RETRIES: u64 = 3;
/// Commands handed out at once, unless the poll says otherwise; and at most.
pub const LIMIT_STANDARD: u32 = 10;
/// The largest `limit` of a poll.
pub const LIMIT_MAX: u32 = 50;

/// What the queue must know of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Its id.
    pub id: CommandId,
    /// How urgent it is.
    pub priority: Priority,
    /// How far it got.
    pub status: CommandStatus,
    /// How often it was handed out.
    pub attempt: u64,
    /// How often it may be handed out again.
    pub max_retries: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it is the satellite's. Nothing before it was handed out.
    pub leased_until: Option<Timestamp>,
    /// When it must no longer be begun.
    pub expires_at: Option<Timestamp>,
}

/// How a command stands at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It can be handed out.
    Ready,
    /// A satellite has it.
    Leased,
    /// It has ended.
    Final,
    /// It must be marked as failed, for the reason given.
    Spent(String),
}

impl Queued {
    /// How it stands.
    pub fn standing(&self, now: Timestamp) -> Standing {
        if self.status.is_final() {
            return Standing::Final;
        }
        if self.leased_until.is_some_and(|until| now < until) {
            return Standing::Leased;
        }
        // A satellite that stored a command in time may finish it after its end.
        let begun = matches!(self.status, CommandStatus::Acknowledged | CommandStatus::Executing);
        if !begun && self.expires_at.is_some_and(|end| now >= end) {
            return Standing::Spent("expired before the satellite began it".to_owned());
        }
        if self.attempt > self.max_retries {
            return Standing::Spent(format!("handed out {} times without a result", self.attempt));
        }
        Standing::Ready
    }

    /// It as it is once handed out: pending in name, leased, with the next attempt.
    #[must_use]
    pub fn handed_out(mut self, now: Timestamp) -> Self {
        self.status = CommandStatus::Pending;
        self.attempt = self.attempt.saturating_add(1);
        self.leased_until = Some(now.after(LEASE_MS));
        self
    }

    /// Whole seconds from `now` after which it must no longer be begun, for `expires_in`.
    pub fn expires_in(&self, now: Timestamp) -> Option<u64> {
        self.expires_at.map(|end| end.since(now) / SECOND)
    }
}

/// The order of handing out: the most urgent first, then the oldest, then by id so that the order
/// never depends on storage.
pub fn order(left: &Queued, right: &Queued) -> Ordering {
    (left.priority, left.created_at, &left.id).cmp(&(right.priority, right.created_at, &right.id))
}

/// What a poll does to a satellite's queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draw {
    /// Commands to hand out, in this order, as they are from then on.
    pub handed_out: Vec<Queued>,
    /// Commands to mark as failed, with the reason.
    pub spent: Vec<(CommandId, String)>,
    /// The most urgent of the commands handed out and of those still waiting, for the guidance.
    pub most_urgent: Option<Priority>,
}

/// Draws up to `limit` commands from a satellite's queue.
pub fn draw(queue: Vec<Queued>, limit: usize, now: Timestamp) -> Draw {
    let mut draw = Draw::default();
    let mut ready = Vec::new();
    for command in queue {
        match command.standing(now) {
            Standing::Ready => ready.push(command),
            Standing::Spent(reason) => draw.spent.push((command.id, reason)),
            Standing::Leased | Standing::Final => {}
        }
    }
    ready.sort_by(order);
    draw.most_urgent = ready.first().map(|command| command.priority);
    draw.handed_out =
        ready.into_iter().take(limit).map(|command| command.handed_out(now)).collect();
    draw
}

/// The `limit` of a poll, within its bounds.
pub fn limit(asked: Option<u32>) -> usize {
    asked.unwrap_or(LIMIT_STANDARD).clamp(1, LIMIT_MAX) as usize
}

/// What a satellite's report does to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// It takes the status, and is leased until the moment given, if one is.
    Takes(CommandStatus, Option<Timestamp>),
    /// Nothing: it says what is known, or came after the end. Answered like the first.
    Repeats,
}

/// Decides on a report. A satellite cannot put a command back into the queue.
pub fn report(current: CommandStatus, reported: CommandStatus, now: Timestamp) -> Report {
    match reported {
        _ if current.is_final() => Report::Repeats,
        CommandStatus::Pending => Report::Repeats,
        CommandStatus::Completed | CommandStatus::Failed => Report::Takes(reported, None),
        CommandStatus::Acknowledged if current == CommandStatus::Executing => Report::Repeats,
        CommandStatus::Acknowledged | CommandStatus::Executing => {
            Report::Takes(reported, Some(now.after(HELD_LEASE_MS)))
        }
    }
}

#[cfg(test)]
mod tests;
