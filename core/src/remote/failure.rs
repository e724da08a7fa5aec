//! Why a remote could not be used, by type: what a lifecycle does about it follows from the type.

use alloc::string::String;

use serde::{Deserialize, Serialize};

/// Whose turn it is to do something about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Nobody's: it may pass by itself. The instance is `offline`.
    Unreachable,
    /// The user's, who must allow the access again. The instance is `requires_reauth`.
    AuthorisationNeeded,
    /// Whoever runs or configures the server. The instance is in `error`.
    Broken,
}

/// A failure after everything that could be tried without anybody's help.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Its type.
    pub fault: Fault,
    /// What happened, then what to do next, for people. Without addresses' queries and secrets.
    pub message: String,
    /// How long the server asks to be left alone, in milliseconds.
    pub retry_after_ms: Option<u64>,
}

impl Failure {
    /// A failure of which the server said nothing about when to come back.
    pub fn new(fault: Fault, message: impl Into<String>) -> Self {
        Failure { fault, message: message.into(), retry_after_ms: None }
    }
}
