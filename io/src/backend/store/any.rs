//! The storage chosen at the start.

use super::{Model, Postgres, Sqlite};

/// One of the implementations of [`super::Store`].
#[derive(Clone, Debug)]
pub enum AnyStore {
    /// In memory.
    Model(Model),
    /// SQLite.
    Sqlite(Sqlite),
    /// PostgreSQL.
    Postgres(Postgres),
}
