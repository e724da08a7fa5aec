//! One value: as SQLite holds it, as it travels, and as PostgreSQL gives it back.

use std::borrow::Cow;
use std::error::Error;

use rusqlite::types::ValueRef;
use satellite_core::time::Timestamp;
use tokio_postgres::types::{FromSql, Type};

use super::super::postgres::row::Value;
use super::super::records::JsonText;

/// From the beginning of Unix's time to that of PostgreSQL's, in microseconds.
const EPOCH: i64 = 946_684_800_000_000;

/// What goes into a column of type `kind`, or why nothing can.
pub(super) fn sent<'v>(value: ValueRef<'v>, kind: &Type) -> Result<Value<'v>, String> {
    match value {
        ValueRef::Null => Ok(Value::Nothing),
        ValueRef::Integer(number) if *kind == Type::INT8 => Ok(Value::Number(number)),
        ValueRef::Integer(number @ (0 | 1)) if *kind == Type::BOOL => Ok(Value::Truth(number == 1)),
        ValueRef::Integer(_) if *kind == Type::BOOL => Err("is neither 0 nor 1".to_owned()),
        ValueRef::Real(number) if *kind == Type::FLOAT8 => Ok(Value::Real(number)),
        ValueRef::Blob(bytes) if *kind == Type::BYTEA => Ok(Value::Bytes(bytes)),
        ValueRef::Text(bytes) => {
            let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?;
            text_sent(text, kind)
        }
        other => Err(format!("is {}, which {kind} does not take", other.data_type())),
    }
}

fn text_sent<'v>(text: &'v str, kind: &Type) -> Result<Value<'v>, String> {
    match *kind {
        Type::TEXT | Type::JSON | Type::JSONB if text.contains('\0') => {
            Err("holds the character U+0000, which PostgreSQL does not".to_owned())
        }
        Type::TEXT => Ok(Value::Text(Cow::Borrowed(text))),
        // What a Backend could not read there is no use here.
        Type::JSON | Type::JSONB => match JsonText::parse(text.to_owned()) {
            Ok(_) => Ok(Value::Text(Cow::Borrowed(text))),
            Err(error) => Err(format!("is no JSON: {error}")),
        },
        Type::TIMESTAMPTZ => match Timestamp::from_iso(text) {
            Some(at) if at.to_iso() == text => Ok(Value::Moment(at)),
            _ => Err("is no moment as a Backend writes it".to_owned()),
        },
        _ => Err(format!("is text, which {kind} does not take")),
    }
}

/// Whether PostgreSQL holds what SQLite does. What came back is turned into what SQLite would hold,
/// so that a wrong conversion on the way there does not hide itself.
pub(super) fn same(value: ValueRef<'_>, kind: &Type, found: Option<&[u8]>) -> bool {
    let Some(found) = found else { return value == ValueRef::Null };
    match value {
        ValueRef::Null => false,
        ValueRef::Integer(number) if *kind == Type::BOOL => found == [u8::from(number == 1)],
        ValueRef::Integer(number) => found == number.to_be_bytes(),
        ValueRef::Real(number) => found == number.to_bits().to_be_bytes(),
        ValueRef::Blob(bytes) => found == bytes,
        ValueRef::Text(text) => match *kind {
            Type::TIMESTAMPTZ => moment(found).is_some_and(|found| found.as_bytes() == text),
            Type::JSONB => match found {
                // It keeps what a document says, and not how.
                [1, document @ ..] => {
                    let read = |text| serde_json::from_slice::<serde_json::Value>(text).ok();
                    read(document).is_some() && read(document) == read(text)
                }
                _ => false,
            },
            _ => found == text,
        },
    }
}

fn moment(raw: &[u8]) -> Option<String> {
    let since = i64::from_be_bytes(raw.try_into().ok()?).checked_add(EPOCH)?;
    let millis = u64::try_from(since).ok().filter(|since| since % 1_000 == 0)? / 1_000;
    Some(Timestamp(millis).to_iso())
}

/// A column as it travels.
pub(super) struct Raw<'a>(pub(super) &'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Raw<'a>, Box<dyn Error + Sync + Send>> {
        Ok(Raw(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_column_cannot_hold_is_refused_with_a_reason() {
        for (value, kind, expected) in [
            (ValueRef::Text(b"a\0b"), Type::TEXT, "U+0000"),
            (ValueRef::Text(b"\"\0\""), Type::JSON, "U+0000"),
            (ValueRef::Text(b"a\xffb"), Type::TEXT, "UTF-8"),
            (ValueRef::Text(b"{"), Type::JSON, "no JSON"),
            (ValueRef::Text(b"{"), Type::JSONB, "no JSON"),
            (ValueRef::Text(b"2026-01-31T09:15:02Z"), Type::TIMESTAMPTZ, "no moment"),
            (ValueRef::Text(b"12026-01-31T09:15:02.123Z"), Type::TIMESTAMPTZ, "no moment"),
            (ValueRef::Text(b"yesterday"), Type::TIMESTAMPTZ, "no moment"),
            (ValueRef::Text(b"1"), Type::INT8, "text, which int8"),
            (ValueRef::Integer(2), Type::BOOL, "neither 0 nor 1"),
            (ValueRef::Integer(2), Type::TEXT, "Integer, which text"),
            (ValueRef::Real(0.5), Type::INT8, "Real, which int8"),
            (ValueRef::Blob(b"a"), Type::TEXT, "Blob, which text"),
        ] {
            let error = sent(value, &kind).unwrap_err();
            assert!(error.contains(expected), "{value:?} as {kind}: {error}");
        }
    }

    #[test]
    fn a_value_that_came_back_changed_is_not_the_same() {
        let at = |text: &str| {
            let micros = i64::try_from(Timestamp::from_iso(text).unwrap().0).unwrap() * 1_000;
            micros - EPOCH
        };
        let noon = at("2026-01-31T12:00:00.000Z");
        let text = ValueRef::Text(b"2026-01-31T12:00:00.000Z");
        let kind = Type::TIMESTAMPTZ;
        assert!(same(text, &kind, Some(&noon.to_be_bytes())));
        assert!(!same(text, &kind, Some(&(noon + 1).to_be_bytes())));
        assert!(!same(text, &kind, Some(&(noon + 1_000).to_be_bytes())));
        assert!(!same(text, &kind, Some(b"")));
        for (value, kind, found, expected) in [
            (ValueRef::Null, Type::TEXT, None, true),
            (ValueRef::Null, Type::TEXT, Some(&b""[..]), false),
            (ValueRef::Text(b""), Type::TEXT, None, false),
            (ValueRef::Text(b"a"), Type::TEXT, Some(b"a"), true),
            (ValueRef::Text(b"a"), Type::TEXT, Some(b"a "), false),
            (ValueRef::Text(b"[1, 2]"), Type::JSON, Some(b"[1, 2]"), true),
            (ValueRef::Text(b"[1, 2]"), Type::JSON, Some(b"[1,2]"), false),
            (ValueRef::Text(b"[1,2]"), Type::JSONB, Some(b"\x01[1, 2]"), true),
            (ValueRef::Text(b"[1,2]"), Type::JSONB, Some(b"\x01[1, 3]"), false),
            (ValueRef::Text(b"[1,2]"), Type::JSONB, Some(b"\x02[1, 2]"), false),
            (ValueRef::Text(b"{"), Type::JSONB, Some(b"\x01{"), false),
            (ValueRef::Integer(1), Type::BOOL, Some(&[1]), true),
            (ValueRef::Integer(0), Type::BOOL, Some(&[1]), false),
            (ValueRef::Integer(-2), Type::INT8, Some(&(-2_i64).to_be_bytes()), true),
            (ValueRef::Integer(-2), Type::INT8, Some(&2_i64.to_be_bytes()), false),
            (ValueRef::Real(0.1), Type::FLOAT8, Some(&0.1_f64.to_bits().to_be_bytes()), true),
            (ValueRef::Real(0.1), Type::FLOAT8, Some(&0.2_f64.to_bits().to_be_bytes()), false),
            (ValueRef::Blob(b"\0\xff"), Type::BYTEA, Some(b"\0\xff"), true),
            (ValueRef::Blob(b"\0\xff"), Type::BYTEA, Some(b"\0"), false),
        ] {
            assert_eq!(same(value, &kind, found), expected, "{value:?} {kind} {found:?}");
        }
    }
}
