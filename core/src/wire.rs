//! The messages between satellite and Backend: every field of the contract, nothing else.
//!
//! Readers are tolerant: unknown keys are ignored, optional ones may be missing or `null`, and a
//! value of an open set (a command type, a polling mode) that is not known is kept as text.
//! Writers send exactly the contract's fields. Both sides of the wire use the same types, so
//! neither can drift from the other.

pub mod admin;
pub mod capability;
pub mod command;
pub mod configuration;
mod decode;
pub mod error;
pub mod event;
pub mod health;
pub mod heartbeat;
pub mod introspection;
pub(crate) mod lenient;
mod nul;
pub mod path;
pub mod registration;
pub mod registration_token;
pub mod tokens;

pub use decode::{decode, encode};
pub use nul::{find_nul, has_nul, without_nul};

use alloc::string::String;

use serde::{Deserialize, Serialize};

/// The reply to what needs no data in return: command results, and refusals of nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Acknowledgement {
    /// Always `true`; failures have the shape of [`error::ErrorBody`].
    #[serde(default = "yes")]
    pub success: bool,
    /// For people.
    #[serde(default)]
    pub message: String,
}

impl Acknowledgement {
    /// A reply that says `message`.
    pub fn new(message: impl Into<String>) -> Self {
        Acknowledgement { success: true, message: message.into() }
    }
}

pub(crate) fn yes() -> bool {
    true
}
