//! Servers elsewhere: how one is reached, what keeps it from being reached, and who may call it.
//!
//! A remote has no process. Its conversation is carried over HTTP: Streamable HTTP (MCP 2025-11-25,
//! 2025-06-18 and 2025-03-26, Transports) or the older HTTP with server-sent events (MCP 2024-11-05).

mod failure;
mod spec;
mod token;

pub use failure::{Failure, Fault};
pub use spec::RemoteSpec;
pub use token::AccessToken;
