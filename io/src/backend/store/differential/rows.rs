//! The rows of every table, as text that both databases write alike.

use std::collections::BTreeMap;

use rusqlite::types::ValueRef;
use tokio_postgres::Client;

use super::super::{AnyStore, StoreError};

/// Rows by table, sorted.
pub(in super::super) type Rows = BTreeMap<String, Vec<String>>;

pub(in super::super) async fn of_sqlite(store: &AnyStore) -> Rows {
    let AnyStore::Sqlite(store) = store else { panic!("{store:?}") };
    store
        .run(|tx| {
            let failed = |error: rusqlite::Error| StoreError::Failed(error.to_string());
            let mut rows = Rows::new();
            for table in names(tx).map_err(failed)? {
                let columns = columns(tx, &table).map_err(failed)?;
                rows.insert(table.clone(), read(tx, &table, &columns).map_err(failed)?);
            }
            Ok(rows)
        })
        .await
        .unwrap()
}

fn names(tx: &rusqlite::Transaction<'_>) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table'
               AND name NOT LIKE 'sqlite_%' AND name <> 'refinery_schema_history'";
    tx.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
}

/// In the order of their names.
fn columns(tx: &rusqlite::Transaction<'_>, table: &str) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT name FROM pragma_table_info(?1) WHERE name <> 'number' ORDER BY name";
    tx.prepare(sql)?.query_map([table], |row| row.get(0))?.collect()
}

fn read(
    tx: &rusqlite::Transaction<'_>,
    table: &str,
    columns: &[String],
) -> rusqlite::Result<Vec<String>> {
    let sql = format!(r#"SELECT {} FROM "{table}""#, columns.join(", "));
    let mut statement = tx.prepare(&sql)?;
    let mut rows = statement.query([])?;
    let mut lines = Vec::new();
    while let Some(row) = rows.next()? {
        let mut line = String::new();
        for (place, column) in columns.iter().enumerate() {
            let value = match row.get_ref(place)? {
                ValueRef::Null => continue,
                ValueRef::Integer(number) => number.to_string(),
                ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                other => panic!("{table}.{column}: {other:?}"),
            };
            line.push_str(&format!("{column}={value:?} "));
        }
        lines.push(line);
    }
    lines.sort();
    Ok(lines)
}

pub(in super::super) async fn of_postgres(client: &Client) -> Rows {
    let sql = "SELECT table_name::text, column_name::text, data_type::text
               FROM information_schema.columns JOIN information_schema.tables
                 USING (table_schema, table_name)
               WHERE table_schema = 'public' AND table_type = 'BASE TABLE'
                 AND table_name <> 'refinery_schema_history' AND column_name <> 'number'
               ORDER BY table_name, column_name COLLATE \"C\"";
    let mut tables: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for row in client.query(sql, &[]).await.unwrap() {
        let (table, column, kind): (String, String, String) = (row.get(0), row.get(1), row.get(2));
        let text = match kind.as_str() {
            "timestamp with time zone" => {
                format!(r#"to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"#)
            }
            "boolean" => format!("{column}::int::text"),
            // It writes a space after each comma.
            "jsonb" => format!("replace({column}::text, ', ', ',')"),
            _ => format!("{column}::text"),
        };
        tables.entry(table).or_default().push((column, text));
    }
    let mut rows = Rows::new();
    for (table, columns) in tables {
        let texts: Vec<&str> = columns.iter().map(|(_, text)| text.as_str()).collect();
        let sql = format!(r#"SELECT {} FROM "{table}""#, texts.join(", "));
        let mut lines = Vec::new();
        for row in client.query(&sql, &[]).await.unwrap() {
            let mut line = String::new();
            for (place, (column, _)) in columns.iter().enumerate() {
                if let Some(value) = row.get::<_, Option<String>>(place) {
                    line.push_str(&format!("{column}={value:?} "));
                }
            }
            lines.push(line);
        }
        lines.sort();
        rows.insert(table, lines);
    }
    rows
}
