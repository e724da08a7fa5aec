//! Between columns and fields.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::time::{Duration, SystemTime};

use bytes::{BufMut, BytesMut};
use satellite_core::id::{CommandId, InstallationId, InstanceId, SatelliteId, TeamId, UserId};
use satellite_core::time::{IsoTime, Timestamp};
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, FromSqlOwned, IsNull, ToSql, Type, to_sql_checked};

use super::super::StoreError;
use super::super::records::JsonText;
use super::{Fault, Outcome, Tx};

type Read<T> = fn(&Row) -> Outcome<T>;

/// The last moment that four digits of a year can write.
const LAST: u64 = 253_402_300_799_999;

/// What is given to a statement in place of `$1`, `$2`, …
pub(in super::super) enum Value<'a> {
    Nothing,
    Truth(bool),
    Number(i64),
    Real(f64),
    Bytes(&'a [u8]),
    Text(Cow<'a, str>),
    Texts(Vec<&'a str>),
    Moment(Timestamp),
}

/// The values of a statement, in their order.
macro_rules! values {
    ($($value:expr),* $(,)?) => { &[$($crate::backend::store::postgres::row::Value::from($value)),*] };
}
pub(super) use values;

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Hashes of keys and sealed tokens are among them.
        f.write_str("Value")
    }
}

impl ToSql for Value<'_> {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Value::Nothing => Ok(IsNull::Yes),
            Value::Truth(value) => value.to_sql_checked(kind, out),
            Value::Number(value) => value.to_sql_checked(kind, out),
            Value::Real(value) => value.to_sql_checked(kind, out),
            Value::Bytes(value) => value.to_sql_checked(kind, out),
            Value::Texts(values) => values.to_sql_checked(kind, out),
            Value::Moment(at) => {
                let since = Duration::from_millis(at.0.min(LAST));
                (SystemTime::UNIX_EPOCH + since).to_sql_checked(kind, out)
            }
            Value::Text(text) if matches!(*kind, Type::JSON | Type::JSONB) => {
                if *kind == Type::JSONB {
                    out.put_u8(JSONB_VERSION);
                }
                out.put_slice(text.as_bytes());
                Ok(IsNull::No)
            }
            Value::Text(text) => text.to_sql_checked(kind, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        // Each value checks the type itself.
        true
    }

    to_sql_checked!();
}

/// The first byte of a `jsonb` as it travels.
const JSONB_VERSION: u8 = 1;

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Value<'a> {
        // PostgreSQL's text holds every character but this one, which people at the other end of a
        // wire do send.
        Value::Text(if text.contains('\0') {
            Cow::Owned(text.replace('\0', "\u{fffd}"))
        } else {
            Cow::Borrowed(text)
        })
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Value<'a> {
        Value::from(text.as_str())
    }
}

impl<'a> From<&'a JsonText> for Value<'a> {
    fn from(document: &'a JsonText) -> Value<'a> {
        Value::from(document.as_str())
    }
}

impl<'a> From<Vec<&'a str>> for Value<'a> {
    fn from(texts: Vec<&'a str>) -> Value<'a> {
        Value::Texts(texts)
    }
}

macro_rules! from_ids {
    ($($id:ident),*) => {$(
        impl<'a> From<&'a $id> for Value<'a> {
            fn from(id: &'a $id) -> Value<'a> {
                Value::from(id.as_str())
            }
        }
    )*};
}

from_ids!(CommandId, InstallationId, InstanceId, SatelliteId, TeamId, UserId);

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Value::Truth(value)
    }
}

impl From<u32> for Value<'_> {
    fn from(value: u32) -> Self {
        Value::Number(i64::from(value))
    }
}

impl From<u64> for Value<'_> {
    /// The largest number a column holds, where it is larger still.
    fn from(value: u64) -> Self {
        Value::Number(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<Timestamp> for Value<'_> {
    fn from(at: Timestamp) -> Self {
        Value::Moment(at)
    }
}

impl From<IsoTime> for Value<'_> {
    fn from(at: IsoTime) -> Self {
        Value::Moment(at.0)
    }
}

impl<'a, T> From<Option<T>> for Value<'a>
where
    Value<'a>: From<T>,
{
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Nothing, Value::from)
    }
}

/// Every row of a query.
pub(super) async fn list<T>(
    tx: &Tx<'_>,
    sql: &str,
    values: &[Value<'_>],
    read: Read<T>,
) -> Outcome<Vec<T>> {
    let statement = tx.prepare_cached(sql).await?;
    let rows = tx.query(&statement, &borrowed(values)).await?;
    rows.iter().map(read).collect()
}

/// The first row of a query.
pub(super) async fn one<T>(
    tx: &Tx<'_>,
    sql: &str,
    values: &[Value<'_>],
    read: Read<T>,
) -> Outcome<Option<T>> {
    let statement = tx.prepare_cached(sql).await?;
    let rows = tx.query(&statement, &borrowed(values)).await?;
    rows.first().map(read).transpose()
}

/// Runs a statement; says how many rows it changed.
pub(super) async fn change(tx: &Tx<'_>, sql: &str, values: &[Value<'_>]) -> Outcome<u64> {
    let statement = tx.prepare_cached(sql).await?;
    Ok(tx.execute(&statement, &borrowed(values)).await?)
}

fn borrowed<'v>(values: &'v [Value<'_>]) -> Vec<&'v (dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

/// A column as it is.
pub(super) fn get<T: FromSqlOwned>(row: &Row, column: &str) -> Outcome<T> {
    Ok(row.try_get(column)?)
}

/// A text column as an identifier.
pub(super) fn id<T: From<String>>(row: &Row, column: &str) -> Outcome<T> {
    get::<String>(row, column).map(T::from)
}

/// A text column as an identifier, if it is set.
pub(super) fn id_option<T: From<String>>(row: &Row, column: &str) -> Outcome<Option<T>> {
    Ok(get::<Option<String>>(row, column)?.map(T::from))
}

/// A column as a moment.
pub(super) fn moment(row: &Row, column: &str) -> Outcome<IsoTime> {
    get(row, column).map(read_moment)
}

/// A column as a moment, if it is set.
pub(super) fn moment_option(row: &Row, column: &str) -> Outcome<Option<IsoTime>> {
    Ok(get::<Option<SystemTime>>(row, column)?.map(read_moment))
}

/// A column as JSON.
pub(super) fn json(row: &Row, column: &str) -> Outcome<JsonText> {
    read_json(column, get::<Document>(row, column)?)
}

/// A column as JSON, if it is set.
pub(super) fn json_option(row: &Row, column: &str) -> Outcome<Option<JsonText>> {
    get::<Option<Document>>(row, column)?.map(|text| read_json(column, text)).transpose()
}

/// A column as a JSON list of texts.
pub(super) fn texts(row: &Row, column: &str) -> Outcome<Vec<String>> {
    let Document(text) = get(row, column)?;
    serde_json::from_str(&text).map_err(|error| damaged(column, &error.to_string()))
}

/// A column as an unsigned number; a negative one is 0.
pub(super) fn number(row: &Row, column: &str) -> Outcome<u64> {
    get::<i64>(row, column).map(|value| u64::try_from(value).unwrap_or(0))
}

/// A column as an unsigned number, if it is set.
pub(super) fn number_option(row: &Row, column: &str) -> Outcome<Option<u64>> {
    Ok(get::<Option<i64>>(row, column)?.map(|value| u64::try_from(value).unwrap_or(0)))
}

/// A column as a small number: the largest there is, where it is larger still.
pub(super) fn small(row: &Row, column: &str) -> Outcome<u32> {
    number(row, column).map(|value| u32::try_from(value).unwrap_or(u32::MAX))
}

/// The text of a document, whether its column is text, `json` or `jsonb`.
struct Document(String);

impl<'a> FromSql<'a> for Document {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Document, Box<dyn Error + Sync + Send>> {
        let text = match (kind, raw) {
            (&Type::JSONB, [JSONB_VERSION, text @ ..]) => text,
            (&Type::JSONB, _) => return Err("this version of jsonb is not known".into()),
            (_, text) => text,
        };
        Ok(Document(std::str::from_utf8(text)?.to_owned()))
    }

    fn accepts(kind: &Type) -> bool {
        matches!(*kind, Type::TEXT | Type::VARCHAR | Type::JSON | Type::JSONB)
    }
}

fn read_json(column: &str, Document(text): Document) -> Outcome<JsonText> {
    JsonText::parse(text).map_err(|error| damaged(column, &error.to_string()))
}

fn read_moment(at: SystemTime) -> IsoTime {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    IsoTime(Timestamp(u64::try_from(since.as_millis()).unwrap_or(LAST)))
}

fn damaged(column: &str, why: &str) -> Fault {
    Fault::Stands(StoreError::Failed(format!("column {column} is damaged: {why}")))
}
