//! Copies a Backend's data from SQLite into an empty PostgreSQL: every table that either of them
//! has, all of it or nothing, and every value compared before it stands.

mod catalogue;
mod source;
mod target;
#[cfg(test)]
mod tests;
mod value;

use std::fmt;
use std::path::Path;

use source::Source;
use target::Target;

use super::StoreError;

/// How many rows go by between two words of progress.
const STRIDE: u64 = 10_000;

/// A table that was copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Its name.
    pub table: String,
    /// Its rows: there are as many in both databases, and each value is the same.
    pub rows: u64,
}

/// How far a copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// Whether rows are compared already; first they are copied.
    pub comparing: bool,
    /// The table that they are of.
    pub table: &'a str,
    /// How many of it so far.
    pub rows: u64,
    /// Whether these are all.
    pub whole: bool,
}

/// Why nothing was copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyError {
    /// What is at fault.
    pub cause: Cause,
    /// What is wrong.
    pub error: String,
    /// What to do about it.
    pub hint: String,
}

/// What is at fault when nothing was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// One of the two databases is not what it must be; a copy was not begun.
    Choice,
    /// The databases themselves, or what is in them.
    Copy,
}

impl CopyError {
    fn choice(error: impl Into<String>, hint: impl Into<String>) -> CopyError {
        CopyError { cause: Cause::Choice, error: error.into(), hint: hint.into() }
    }

    fn copy(error: impl Into<String>, hint: impl Into<String>) -> CopyError {
        CopyError { cause: Cause::Copy, error: error.into(), hint: hint.into() }
    }
}

impl fmt::Display for CopyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error)
    }
}

impl std::error::Error for CopyError {}

/// Copies the SQLite database at `source` into the PostgreSQL at `target`, whose schema is made or
/// brought up to date first, and which must hold no rows. Nothing else can use the source meanwhile,
/// and nothing in it changes. On an error no row stays in the target.
///
/// # Errors
///
/// One of the databases is away, is another program's, is used, is damaged, or holds what the other
/// cannot.
pub async fn copy(
    source: &Path,
    target: &str,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Vec<Copied>, CopyError> {
    let source = Source::open(source)?;
    let mut target = Target::open(target).await?;
    let tables = catalogue::agreed(&source.columns()?, target.tables().await?)?;
    let tx = target.begin(&tables).await?;
    for table in &tables {
        tx.fill(table, &source, progress).await?;
    }
    let mut copied = Vec::new();
    for table in &tables {
        let rows = tx.compare(table, &source, progress).await?;
        copied.push(Copied { table: table.name.clone(), rows });
    }
    tx.go_on_numbering(&tables, &source).await?;
    tx.commit().await?;
    copied.sort_by(|one, other| one.table.cmp(&other.table));
    Ok(copied)
}

/// What keeps the target from being opened.
fn unopened(error: &StoreError) -> CopyError {
    CopyError::choice(
        format!("cannot open the target: {error}"),
        "check the URL, and that the database exists: `createdb` makes one",
    )
}
