//! Word to the Backend that commands are stored here, so that it need not deliver them again.
//!
//! Each is sent once: should it be lost, the command comes again and is acknowledged again.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::id::CommandId;
use crate::limits::COMMANDS_WAITING_MAX;
use crate::wire;
use crate::wire::command::{Command, CommandResult, CommandStatus};

/// The acknowledgements on their way.
#[derive(Debug, Default)]
pub(super) struct Acknowledgements {
    unsent: VecDeque<(CommandId, Vec<u8>)>,
    in_flight: Option<u64>,
    requests: u64,
}

impl Acknowledgements {
    /// Has the receipt of a command acknowledged.
    pub(super) fn put(&mut self, command: &Command) {
        self.unsent.retain(|(id, _)| *id != command.id);
        if self.unsent.len() >= COMMANDS_WAITING_MAX {
            return;
        }
        let mut word = CommandResult::new(command.id.clone(), CommandStatus::Acknowledged);
        word.attempt = command.attempt;
        word.correlation_id.clone_from(&command.correlation_id);
        self.unsent.push_back((command.id.clone(), wire::encode(&word)));
    }

    /// The next to send and the number of its request, unless one is in flight.
    pub(super) fn next(&mut self) -> Option<(u64, Vec<u8>)> {
        if self.in_flight.is_some() {
            return None;
        }
        let (_, body) = self.unsent.pop_front()?;
        self.requests += 1;
        self.in_flight = Some(self.requests);
        Some((self.requests, body))
    }

    /// Request `number` ended, however. Says whether it was awaited.
    pub(super) fn answered(&mut self, number: u64) -> bool {
        self.in_flight.take_if(|awaited| *awaited == number).is_some()
    }
}
