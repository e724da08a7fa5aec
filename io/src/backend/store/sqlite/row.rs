//! Between columns and fields.

use rusqlite::{Params, Row, Transaction};
use satellite_core::time::{IsoTime, Timestamp};

use super::super::StoreError;
use super::super::records::JsonText;
use super::failed;

type Read<T> = fn(&Row<'_>) -> rusqlite::Result<T>;

/// Every row of a query.
pub(super) fn list<T>(
    tx: &Transaction<'_>,
    sql: &str,
    parameters: impl Params,
    read: Read<T>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = tx.prepare_cached(sql).map_err(failed)?;
    let rows = statement.query_map(parameters, read).map_err(failed)?;
    rows.collect::<Result<_, _>>().map_err(failed)
}

/// The first row of a query.
pub(super) fn one<T>(
    tx: &Transaction<'_>,
    sql: &str,
    parameters: impl Params,
    read: Read<T>,
) -> Result<Option<T>, StoreError> {
    let mut statement = tx.prepare_cached(sql).map_err(failed)?;
    let mut rows = statement.query(parameters).map_err(failed)?;
    match rows.next().map_err(failed)? {
        Some(row) => read(row).map(Some).map_err(failed),
        None => Ok(None),
    }
}

/// Runs a statement; says how many rows it changed.
pub(super) fn change(
    tx: &Transaction<'_>,
    sql: &str,
    parameters: impl Params,
) -> Result<u64, StoreError> {
    let changed = tx.prepare_cached(sql).and_then(|mut s| s.execute(parameters)).map_err(failed)?;
    Ok(u64::try_from(changed).unwrap_or(u64::MAX))
}

/// A text column as an identifier.
pub(super) fn id<T: From<String>>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    row.get::<_, String>(column).map(T::from)
}

/// A text column as an identifier, if it is set.
pub(super) fn id_option<T: From<String>>(
    row: &Row<'_>,
    column: &str,
) -> rusqlite::Result<Option<T>> {
    Ok(row.get::<_, Option<String>>(column)?.map(T::from))
}

/// A text column as a moment.
pub(super) fn moment(row: &Row<'_>, column: &str) -> rusqlite::Result<IsoTime> {
    read_moment(column, &row.get::<_, String>(column)?)
}

/// A text column as a moment, if it is set.
pub(super) fn moment_option(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<IsoTime>> {
    row.get::<_, Option<String>>(column)?.map(|text| read_moment(column, &text)).transpose()
}

/// A text column as JSON.
pub(super) fn json(row: &Row<'_>, column: &str) -> rusqlite::Result<JsonText> {
    JsonText::parse(row.get(column)?).map_err(|error| damaged(column, &error.to_string()))
}

/// A text column as JSON, if it is set.
pub(super) fn json_option(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<JsonText>> {
    row.get::<_, Option<String>>(column)?
        .map(|text| JsonText::parse(text).map_err(|error| damaged(column, &error.to_string())))
        .transpose()
}

/// A text column as a JSON list of texts.
pub(super) fn texts(row: &Row<'_>, column: &str) -> rusqlite::Result<Vec<String>> {
    serde_json::from_str(&row.get::<_, String>(column)?)
        .map_err(|error| damaged(column, &error.to_string()))
}

/// An integer column as an unsigned number; a negative one is 0.
pub(super) fn number(row: &Row<'_>, column: &str) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|value| u64::try_from(value).unwrap_or(0))
}

/// An integer column as an unsigned number, if it is set.
pub(super) fn number_option(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<u64>> {
    let value = row.get::<_, Option<i64>>(column)?;
    Ok(value.map(|value| u64::try_from(value).unwrap_or(0)))
}

/// A number as SQLite keeps it: the largest it has, where it is larger still.
pub(super) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A moment as its column keeps it.
pub(super) fn iso(moment: Option<IsoTime>) -> Option<String> {
    moment.map(|moment| moment.0.to_iso())
}

/// The text of an optional document.
pub(super) fn text(document: Option<&JsonText>) -> Option<&str> {
    document.map(JsonText::as_str)
}

fn read_moment(column: &str, text: &str) -> rusqlite::Result<IsoTime> {
    Timestamp::from_iso(text)
        .map(IsoTime)
        .ok_or_else(|| damaged(column, "it is not an ISO 8601 date-time"))
}

fn damaged(column: &str, why: &str) -> rusqlite::Error {
    let why = format!("column {column} is damaged: {why}");
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, why.into())
}
