//! The Backend as a client of the authorisation servers that protect remotes (OAuth 2.1, and the
//! authorisation chapter of MCP 2025-11-25).
//!
//! What a stranger's document says is judged before it is used: every address in it by the rules
//! of egress, every issuer against the one that was asked (RFC 8414 §3.3, RFC 9207), every token
//! by whether a header can carry it.

pub mod authorisation;
pub mod challenge;
pub mod client;
mod endpoint;
pub mod issuer;
pub mod pace;
pub mod refresh;
pub mod resource;
pub mod token;

use alloc::format;
use alloc::string::String;
use core::fmt;

pub use endpoint::endpoint;

/// The largest document or reply that is read, in bytes.
pub const DOCUMENT_MAX_BYTES: usize = 256 * 1024;
/// The longest text of one field, in bytes: a token or an identifier of a client.
pub const TEXT_MAX_BYTES: usize = 16 * 1024;
/// The most scopes that are asked for.
pub const SCOPES_MAX: usize = 64;

/// Why a user's connection to a remote could not be made, or not be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// A document or reply breaks its specification, or a rule here. Trying again changes nothing.
    Unacceptable(String),
    /// The user or the authorisation server said no, or the grant is over: the user must connect
    /// again.
    Declined(String),
    /// The authorisation server does not know the client any more: it must be registered anew.
    ClientUnknown(String),
    /// It may pass by itself.
    Temporary(String),
}

impl Problem {
    /// The text for people.
    pub fn message(&self) -> &str {
        match self {
            Problem::Unacceptable(text)
            | Problem::Declined(text)
            | Problem::ClientUnknown(text)
            | Problem::Temporary(text) => text,
        }
    }

    fn unreadable(what: &str, why: impl fmt::Display) -> Problem {
        Problem::Unacceptable(format!("{what} cannot be used: {why}"))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

/// Whether `text` is one scope (RFC 6749 §3.3).
fn is_scope(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    !text.is_empty() && text.len() <= 256 && text.bytes().all(allowed)
}

/// Whether a header or a form can carry `text` as it is: visible ASCII, not empty, not endless.
fn is_visible(text: &str) -> bool {
    (1..=TEXT_MAX_BYTES).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_graphic())
}

#[cfg(test)]
mod tests;
