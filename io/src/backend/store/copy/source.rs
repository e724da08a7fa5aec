//! The SQLite database that is copied. It is held alone, so that what is read is all there is, and
//! only read.

use std::path::Path;
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags, Statement};

use super::super::sqlite;
use super::CopyError;
use super::catalogue::{Columns, Table, quoted};

pub(super) struct Source {
    connection: Connection,
}

impl Source {
    /// Opens the database at `path` for this program alone until it is dropped.
    pub(super) fn open(path: &Path) -> Result<Source, CopyError> {
        let shown = path.display();
        match std::fs::metadata(path) {
            Err(error) => {
                return Err(CopyError::choice(
                    format!("cannot open the source {shown}: {error}"),
                    "name the Backend's database: --database-url sqlite:PATH",
                ));
            }
            Ok(found) if !found.is_file() => {
                let what = if found.is_dir() { "a directory" } else { "no ordinary file" };
                return Err(CopyError::choice(
                    format!("cannot open the source {shown}: it is {what}"),
                    "name the file: --database-url sqlite:PATH",
                ));
            }
            Ok(_) => {}
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(path, flags).and_then(|connection| {
            connection.busy_timeout(Duration::ZERO)?;
            // A Backend keeps its connection: while one runs, nobody else gets the file alone.
            connection.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE")?;
            Ok(connection)
        });
        let source = Source { connection: opened.map_err(|error| unopened(path, &error))? };
        source.is_of_this_program()?;
        source.is_sound()?;
        Ok(source)
    }

    /// Its schema must be the one that this program makes: then the target's means the same.
    fn is_of_this_program(&self) -> Result<(), CopyError> {
        let steps = sqlite::steps()
            .map_err(|error| CopyError::copy(error.to_string(), ""))?
            .iter()
            .map(|step| (i64::from(step.version()), step.checksum().to_string()))
            .collect::<Vec<_>>();
        let sql = "SELECT version, checksum FROM refinery_schema_history ORDER BY version";
        let taken: Vec<(i64, String)> = self
            .connection
            .prepare(sql)
            .and_then(|mut rows| {
                rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
            })
            .map_err(|error| match error.sqlite_error_code() {
                // There is no such table.
                Some(ErrorCode::Unknown) => CopyError::choice(
                    "the source is not a Backend's database",
                    "name the one that the Backend uses: --database-url sqlite:PATH",
                ),
                _ => broken(&error),
            })?;
        if taken == steps {
            return Ok(());
        }
        Err(if steps.starts_with(&taken) {
            CopyError::choice(
                format!(
                    "the source's schema is of an earlier program: it ends with step {}, this \
                     program's with step {}",
                    taken.len(),
                    steps.len()
                ),
                "start this program's Backend on it once, end that, and copy then",
            )
        } else {
            CopyError::choice(
                "the source's schema is of a later program, or of another",
                "copy with the program that the Backend ran last",
            )
        })
    }

    /// An index that lacks a row would hide it from the copy and from the comparison alike.
    fn is_sound(&self) -> Result<(), CopyError> {
        let sql = "PRAGMA integrity_check(1)";
        let words: String =
            self.connection.query_row(sql, [], |row| row.get(0)).map_err(|error| broken(&error))?;
        if words == "ok" {
            return Ok(());
        }
        Err(CopyError::copy(
            format!("the source is damaged: {words}"),
            "restore it from a backup, or have `sqlite3 FILE .recover` save what can be saved",
        ))
    }

    /// Its tables and their columns.
    pub(super) fn columns(&self) -> Result<Columns, CopyError> {
        let sql = "SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c
                   WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
                     AND t.name <> 'refinery_schema_history'";
        let read = || -> rusqlite::Result<Columns> {
            let mut columns = Columns::new();
            let mut statement = self.connection.prepare(sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                columns.entry(row.get(0)?).or_default().insert(row.get(1)?);
            }
            Ok(columns)
        };
        read().map_err(|error| broken(&error))
    }

    /// The query of all rows of a table, in the order of their keys.
    pub(super) fn rows(&self, table: &Table) -> Result<Statement<'_>, CopyError> {
        self.connection.prepare(&table.query()).map_err(|error| broken(&error))
    }

    /// The last number that was given out for `column`, also to a row that is gone.
    pub(super) fn last_number(&self, table: &str, column: &str) -> Result<i64, CopyError> {
        let sql = format!(
            "SELECT max((SELECT coalesce(max({}), 0) FROM {}),
                        (SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = ?1))",
            quoted(column),
            quoted(table)
        );
        self.connection.query_row(&sql, [table], |row| row.get(0)).map_err(|error| broken(&error))
    }
}

/// A row's key for people.
pub(super) fn key(values: &[ValueRef<'_>], table: &Table) -> String {
    let mut words = Vec::new();
    for place in &table.key {
        let (Some(column), Some(value)) = (table.columns.get(*place), values.get(*place)) else {
            continue;
        };
        let text = match value {
            ValueRef::Text(text) => {
                let text = String::from_utf8_lossy(text);
                let mut short: String = text.chars().take(60).collect();
                if short.len() < text.len() {
                    short.push('…');
                }
                format!("{short:?}")
            }
            ValueRef::Integer(number) => number.to_string(),
            ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_) => String::from("?"),
        };
        words.push(format!("{column} {text}"));
    }
    words.join(", ")
}

/// SQLite failed while it was read.
pub(super) fn broken(error: &rusqlite::Error) -> CopyError {
    CopyError::copy(
        format!("the source cannot be read: {error}"),
        "check the disk; `sqlite3 FILE 'PRAGMA integrity_check'` says what is damaged",
    )
}

fn unopened(path: &Path, error: &rusqlite::Error) -> CopyError {
    let shown = path.display();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => CopyError::choice(
            format!("the source {shown} is in use"),
            "end the Backend that runs on it first: what it stored after the copy would be lost",
        ),
        Some(ErrorCode::NotADatabase) => CopyError::choice(
            format!("the source {shown} is not an SQLite database"),
            "name the Backend's database: --database-url sqlite:PATH",
        ),
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            CopyError::choice(
                format!("cannot open the source {shown}: {error}"),
                "copy as the user that the Backend runs as: to hold the file alone, it must be writable",
            )
        }
        _ => broken(error),
    }
}
