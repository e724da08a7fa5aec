//! `POST …/command-result`: what became of a command.

use alloc::string::String;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::id::CommandId;
use crate::time::IsoTime;

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CommandResult {
    /// The command.
    pub command_id: CommandId,
    /// How far it got.
    pub status: CommandStatus,
    /// What it brought; the keys depend on the command's type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Map<String, Value>>,
    /// Why it failed, under the name satellites have always sent. Backends never read it, so that
    /// one of another type is no fault.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::wire::lenient::text"
    )]
    pub error: Option<String>,
    /// Why it failed, under the name Backends have always read. Both are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// The command's own correlation id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// Which delivery of the command this answers (addition `command-lease`).
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::wire::lenient::hint"
    )]
    pub attempt: Option<u64>,
    /// When it was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<IsoTime>,
    /// How long it took.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::wire::lenient::hint"
    )]
    pub duration_ms: Option<u64>,
}

impl CommandResult {
    /// A result without anything but its status.
    pub fn new(command_id: CommandId, status: CommandStatus) -> Self {
        CommandResult {
            command_id,
            status,
            result: None,
            error: None,
            error_message: None,
            correlation_id: None,
            attempt: None,
            started_at: None,
            duration_ms: None,
        }
    }

    /// The result with a reason for its failure, under both names.
    #[must_use]
    pub fn with_error(mut self, error: impl Into<String>) -> Self {
        let error = error.into();
        self.error = Some(error.clone());
        self.error_message = Some(error);
        self
    }

    /// Why it failed, under whichever name it came.
    pub fn failure(&self) -> Option<&str> {
        self.error_message.as_deref().or(self.error.as_deref())
    }
}

/// A command's status, at the Backend and in results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum CommandStatus {
    /// It waits.
    Pending,
    /// The satellite has stored it.
    Acknowledged,
    /// The satellite works at it.
    Executing,
    /// Done.
    Completed,
    /// It was not, or could not be, done.
    Failed,
}

impl CommandStatus {
    /// The wire's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            CommandStatus::Pending => "pending",
            CommandStatus::Acknowledged => "acknowledged",
            CommandStatus::Executing => "executing",
            CommandStatus::Completed => "completed",
            CommandStatus::Failed => "failed",
        }
    }

    /// Reads the wire's spelling.
    pub fn from_wire(text: &str) -> Option<Self> {
        match text {
            "pending" => Some(CommandStatus::Pending),
            "acknowledged" => Some(CommandStatus::Acknowledged),
            "executing" => Some(CommandStatus::Executing),
            "completed" => Some(CommandStatus::Completed),
            "failed" => Some(CommandStatus::Failed),
            _ => None,
        }
    }

    /// Whether nothing follows it.
    pub fn is_final(self) -> bool {
        matches!(self, CommandStatus::Completed | CommandStatus::Failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{decode, encode};

    #[test]
    fn a_failure_travels_under_both_names() {
        let failed = CommandResult::new(CommandId::from("c"), CommandStatus::Failed)
            .with_error("no such server");
        assert_eq!(
            encode(&failed),
            br#"{"command_id":"c","status":"failed","error":"no such server","error_message":"no such server"}"#
        );
    }

    #[test]
    fn a_failure_is_read_under_either_name() {
        for json in [
            r#"{"command_id":"c","status":"failed","error":"why"}"#,
            r#"{"command_id":"c","status":"failed","error_message":"why","result":null}"#,
        ] {
            let result: CommandResult = decode("command result", json.as_bytes()).unwrap();
            assert_eq!(result.failure(), Some("why"));
        }
    }

    #[test]
    fn a_failure_that_is_no_text_costs_no_result() {
        let json = br#"{"command_id":"c","status":"failed","error":{"code":7}}"#;
        let result: CommandResult = decode("command result", json).unwrap();
        assert_eq!(result.failure(), None);
    }

    #[test]
    fn a_status_outside_the_contract_is_refused() {
        let error =
            decode::<CommandResult>("command result", br#"{"command_id":"c","status":"exploded"}"#)
                .unwrap_err();
        assert!(error.contains("status"), "{error}");
    }
}
