//! The Backend's rules, free of I/O: tokens, admission, queue order, guidance, merge, retention.
//!
//! Time and random bytes are inputs. Storage asks these functions inside its transactions, so that
//! every store decides alike.

pub mod access_token;
pub mod admission;
pub mod api_key;
pub mod config_version;
mod digest;
pub mod guidance;
pub mod instance_token;
pub mod introspection;
pub mod jobs;
pub mod merge;
pub mod oauth;
mod owner;
pub mod processes;
pub mod queue;
pub mod registration;
pub mod registration_token;
pub mod retention;
pub mod roles;
pub mod status;

pub use digest::{same_text, sha256_hex};
pub use owner::Owner;
