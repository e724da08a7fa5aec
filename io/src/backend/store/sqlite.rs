//! SQLite: one connection, used by one executor that is given from outside.

pub(super) mod accounts;
pub(super) mod commands;
pub(super) mod connections;
pub(super) mod events;
mod executor;
pub(super) mod health;
pub(super) mod installations;
pub(super) mod instances;
pub(super) mod jobs;
pub(super) mod lists;
pub(super) mod pairing;
mod row;
pub(super) mod satellites;
pub(super) mod servers;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use refinery::{Migration, Runner};
use rusqlite::{Connection, Transaction, TransactionBehavior};

pub use executor::{Executor, Inline, Job, Thread};

use super::StoreError;

/// The steps of the schema. They only go forward: a released one never changes.
const MIGRATIONS: [(&str, &str); 8] = [
    ("V1__satellites", include_str!("sqlite/migrations/V1__satellites.sql")),
    ("V2__servers", include_str!("sqlite/migrations/V2__servers.sql")),
    ("V3__command_timing", include_str!("sqlite/migrations/V3__command_timing.sql")),
    ("V4__config_version", include_str!("sqlite/migrations/V4__config_version.sql")),
    ("V5__remote_connections", include_str!("sqlite/migrations/V5__remote_connections.sql")),
    ("V6__events_of_teams", include_str!("sqlite/migrations/V6__events_of_teams.sql")),
    ("V7__jobs", include_str!("sqlite/migrations/V7__jobs.sql")),
    ("V8__lists", include_str!("sqlite/migrations/V8__lists.sql")),
];

/// A Backend's data in SQLite.
#[derive(Clone)]
pub struct Sqlite {
    connection: Arc<Mutex<Connection>>,
    executor: Arc<dyn Executor>,
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sqlite")
    }
}

impl Sqlite {
    /// Opens the database file, creating it if there is none, and brings its schema up to date.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, or is not a database of this program.
    pub fn open(path: &Path, executor: Arc<dyn Executor>) -> Result<Sqlite, StoreError> {
        Sqlite::prepare(Connection::open(path).map_err(failed)?, executor)
    }

    /// A database that lives as long as this value.
    ///
    /// # Errors
    ///
    /// SQLite cannot be started.
    pub fn in_memory(executor: Arc<dyn Executor>) -> Result<Sqlite, StoreError> {
        Sqlite::prepare(Connection::open_in_memory().map_err(failed)?, executor)
    }

    fn prepare(
        mut connection: Connection,
        executor: Arc<dyn Executor>,
    ) -> Result<Sqlite, StoreError> {
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
                 PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 5000;",
            )
            .map_err(failed)?;
        Runner::new(&steps()?)
            .set_abort_divergent(true)
            .run(&mut connection)
            .map_err(|error| StoreError::Failed(format!("the schema: {error}")))?;
        connection.set_prepared_statement_cache_capacity(128);
        Ok(Sqlite { connection: Arc::new(Mutex::new(connection)), executor })
    }

    /// Runs `work` as one transaction: committed if it succeeds, undone if not.
    pub(super) async fn run<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let connection = Arc::clone(&self.connection);
        let (sender, receiver) = tokio::sync::oneshot::channel();
        self.executor.execute(Box::new(move || {
            // A panic in one transaction rolled it back; the connection itself is sound.
            let mut connection = connection.lock().unwrap_or_else(|broken| broken.into_inner());
            // Whoever asked may have left; the transaction stands all the same.
            let _ = sender.send(transact(&mut connection, work));
        }));
        receiver.await.unwrap_or_else(|_| {
            Err(StoreError::Failed("the database thread ended; restart the Backend".to_owned()))
        })
    }
}

/// The steps of the schema, as the kept library wants them.
pub(super) fn steps() -> Result<Vec<Migration>, StoreError> {
    let steps = MIGRATIONS.iter().map(|(name, sql)| Migration::unapplied(name, sql));
    steps.collect::<Result<_, _>>().map_err(|error| StoreError::Failed(error.to_string()))
}

fn transact<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let output = work(&transaction)?;
    transaction.commit().map_err(failed)?;
    Ok(output)
}

/// A failure of SQLite in this crate's words; a broken uniqueness is a conflict, a broken reference
/// names what is missing.
pub(super) fn failed(error: rusqlite::Error) -> StoreError {
    use rusqlite::ffi;
    match &error {
        rusqlite::Error::SqliteFailure(cause, message) => match cause.extended_code {
            ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY => {
                let columns = message.as_deref().and_then(|text| text.split_once(": "));
                let columns = columns.map_or("it", |(_, columns)| columns);
                StoreError::Conflict(format!("{columns} exists already"))
            }
            ffi::SQLITE_CONSTRAINT_FOREIGNKEY => StoreError::Missing("something it refers to"),
            _ => StoreError::Failed(error.to_string()),
        },
        _ => StoreError::Failed(error.to_string()),
    }
}
