//! What goes wrong between here and PostgreSQL, and whether another try may go right.

use std::error::Error;
use std::ops::ControlFlow;
use std::time::Duration;

use deadpool_postgres::PoolError;
use tokio_postgres::error::{DbError, SqlState};

use super::super::StoreError;

/// How often a transaction is tried before its asker hears of a collision.
const TRIES: u32 = 6;
/// The pause before the second try; it doubles with each.
const PAUSE: Duration = Duration::from_millis(10);

/// What a step of a transaction comes to.
pub(in super::super) type Outcome<T> = Result<T, Fault>;

/// Why a transaction did not happen.
#[derive(Debug)]
pub(in super::super) enum Fault {
    /// It would fail again.
    Stands(StoreError),
    /// Another transaction was in its way, or its connection broke before it was committed: nothing
    /// happened, and another try may succeed.
    Passes(StoreError),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Fault {
        Fault::Stands(error)
    }
}

impl From<PoolError> for Fault {
    fn from(error: PoolError) -> Fault {
        match error {
            PoolError::Backend(error) => Fault::Stands(away(&error)),
            PoolError::Timeout(_) => Fault::Stands(StoreError::Away(
                "no connection became free in time; it is down, unreachable or overloaded"
                    .to_owned(),
            )),
            other => Fault::Stands(StoreError::Away(other.to_string())),
        }
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Fault {
        let Some(cause) = error.as_db_error() else {
            // Not PostgreSQL's word: the way there broke, or a column is not what it should be.
            let broken = error.is_closed()
                || error.source().is_some_and(|source| source.is::<std::io::Error>());
            return if broken {
                Fault::Passes(away(&error))
            } else {
                Fault::Stands(StoreError::Failed(words(&error)))
            };
        };
        match *cause.code() {
            SqlState::UNIQUE_VIOLATION => {
                Fault::Stands(StoreError::Conflict(format!("{} exists already", place(cause))))
            }
            SqlState::FOREIGN_KEY_VIOLATION => {
                Fault::Stands(StoreError::Missing("something it refers to"))
            }
            SqlState::T_R_SERIALIZATION_FAILURE
            | SqlState::T_R_DEADLOCK_DETECTED
            | SqlState::ADMIN_SHUTDOWN
            | SqlState::CRASH_SHUTDOWN => Fault::Passes(away(&error)),
            SqlState::QUERY_CANCELED
            | SqlState::LOCK_NOT_AVAILABLE
            | SqlState::CANNOT_CONNECT_NOW
            | SqlState::TOO_MANY_CONNECTIONS
            | SqlState::READ_ONLY_SQL_TRANSACTION
            | SqlState::DISK_FULL
            | SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT => Fault::Stands(away(&error)),
            _ => Fault::Stands(StoreError::Failed(words(&error))),
        }
    }
}

impl Fault {
    /// What a failed commit means: with the connection gone, nobody knows whether it happened, and
    /// only the asker can tell whether it may be done again.
    pub(in super::super) fn of_commit(error: tokio_postgres::Error) -> Fault {
        let refused = matches!(
            error.code(),
            Some(&SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED)
        );
        match Fault::from(error) {
            Fault::Passes(error) if !refused => Fault::Stands(error),
            other => other,
        }
    }

    fn into_error(self) -> StoreError {
        match self {
            Fault::Stands(error) | Fault::Passes(error) => error,
        }
    }
}

/// The tries of one transaction.
#[derive(Debug, Default)]
pub(in super::super) struct Tries {
    failed: u32,
}

impl Tries {
    /// Whether `outcome` is the end of it. If it is not, the pause before the next try is over.
    pub(in super::super) async fn judge<T>(
        &mut self,
        outcome: Outcome<T>,
    ) -> ControlFlow<Result<T, StoreError>> {
        let fault = match outcome {
            Ok(output) => return ControlFlow::Break(Ok(output)),
            Err(fault) => fault,
        };
        self.failed += 1;
        if self.failed >= TRIES || matches!(fault, Fault::Stands(_)) {
            return ControlFlow::Break(Err(fault.into_error()));
        }
        tokio::time::sleep(PAUSE * (1 << self.failed)).await;
        ControlFlow::Continue(())
    }
}

fn away(error: &tokio_postgres::Error) -> StoreError {
    StoreError::Away(words(error))
}

/// The whole of an error in one line. None of them repeats a password.
pub(in super::super) fn words(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !words.contains(&text) {
            words = format!("{words}: {text}");
        }
        source = cause.source();
    }
    words
}

/// `table.column` of a broken uniqueness, without the values that PostgreSQL names with them.
fn place(cause: &DbError) -> String {
    let table = cause.table().unwrap_or("it");
    let columns = cause.detail().and_then(|detail| detail.strip_prefix("Key ("));
    match columns.and_then(|rest| rest.split_once(")=(")) {
        Some((columns, _)) => columns
            .split(", ")
            .map(|column| format!("{table}.{column}"))
            .collect::<Vec<_>>()
            .join(", "),
        None => table.to_owned(),
    }
}
