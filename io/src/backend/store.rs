//! Storage: one method per business transaction, several implementations, one contract.
//!
//! Every transaction is whole or has not happened. The in-memory [`Model`] says what they mean;
//! `contract.rs` holds all implementations to it.

mod any;
#[cfg(test)]
mod contract;
pub mod copy;
#[cfg(test)]
mod differential;
#[expect(clippy::needless_pass_by_value, reason = "transactions own what they are given")]
mod model;
mod postgres;
pub mod records;
#[expect(clippy::needless_pass_by_value, reason = "transactions own what they are given")]
mod sqlite;
mod transactions;

use std::fmt;

pub use any::AnyStore;
pub use model::Model;
pub use postgres::Postgres;
pub use sqlite::{Executor, Inline, Job, Sqlite, Thread};
pub use transactions::Store;

#[cfg(test)]
pub(super) use postgres::throwaway;

/// Why a transaction did not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// It names something that does not exist: what.
    Missing(&'static str),
    /// It would make two of what must be unique, or remove what is in use: why.
    Conflict(String),
    /// The storage cannot be reached, or cannot do it at this moment; another try may succeed.
    Away(String),
    /// The storage itself failed.
    Failed(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Missing(what) => write!(f, "{what} not found"),
            StoreError::Conflict(why) => f.write_str(why),
            StoreError::Away(why) => write!(f, "the database is away: {why}"),
            StoreError::Failed(why) => write!(f, "the database failed: {why}"),
        }
    }
}

impl std::error::Error for StoreError {}
