//! Every column that there is, whatever later steps of the schema add: each gets a value and must
//! arrive with it.

use std::collections::BTreeMap;

use rusqlite::types::Value;
use satellite_core::time::{DAY, Timestamp};
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::super::super::contract::NOW;
use super::super::super::differential::rows;
use super::super::super::postgres::throwaway;
use super::super::catalogue::{self, Table, quoted};
use super::super::source::Source;
use super::super::target::Target;
use super::{Directory, backend_in, copied};

/// What columns must hold, by table and column.
type Given = BTreeMap<(String, String), String>;

/// The column that each column refers to.
async fn references(client: &Client) -> BTreeMap<(String, String), (String, String)> {
    let sql = "SELECT c.relname::text, a.attname::text, t.relname::text, b.attname::text
               FROM pg_constraint f
               JOIN pg_class c ON c.oid = f.conrelid
               JOIN pg_class t ON t.oid = f.confrelid
               CROSS JOIN LATERAL unnest(f.conkey, f.confkey) AS pair (one, other)
               JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = pair.one
               JOIN pg_attribute b ON b.attrelid = f.confrelid AND b.attnum = pair.other
               WHERE f.contype = 'f' AND c.relnamespace = 'public'::regnamespace";
    let rows = client.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| ((row.get(0), row.get(1)), (row.get(2), row.get(3)))).collect()
}

/// The last of the words that a column is limited to.
async fn words(client: &Client) -> Given {
    let sql = "SELECT c.relname::text, a.attname::text, pg_get_constraintdef(k.oid)
               FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
               JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.conkey[1]
               WHERE k.contype = 'c' AND array_length(k.conkey, 1) = 1";
    let rows = client.query(sql, &[]).await.unwrap();
    let last = |text: String| text.rsplit('\'').nth(1).unwrap().to_owned();
    rows.iter().map(|row| ((row.get(0), row.get(1)), last(row.get(2)))).collect()
}

/// Something for a column of this type.
fn any(kind: &Type, name: &str, count: i64) -> Value {
    match *kind {
        Type::TEXT => Value::Text(format!("{name} é \u{1f680} '\"\\\n\t\u{7f} \u{feff}")),
        Type::INT8 => Value::Integer(i64::MIN + count),
        Type::BOOL => Value::Integer(1),
        Type::JSON => Value::Text("{\"b\": [1e2,  \"\\u0000\"], \"a\" : null, \"a\": 2}".into()),
        Type::JSONB => Value::Text(r#"["b","a"]"#.into()),
        Type::TIMESTAMPTZ => {
            let day = u64::try_from(count).unwrap() * 20_000 * DAY / 100;
            Value::Text(Timestamp(NOW.0 + day + 1).to_iso())
        }
        Type::FLOAT8 => Value::Real(0.1),
        Type::BYTEA => Value::Blob(vec![0, 255, 128]),
        ref other => panic!("{name}: the copy does not know {other}"),
    }
}

#[tokio::test]
async fn every_column_of_every_table_arrives_as_it_was() {
    let (directory, url) = (Directory::new(), throwaway::database().await);
    let backend = backend_in(&directory);
    drop(backend);
    let tables: Vec<Table> = {
        let source = Source::open(&directory.file()).unwrap();
        let target = Target::open(&url).await.unwrap();
        catalogue::agreed(&source.columns().unwrap(), target.tables().await.unwrap()).unwrap()
    };
    let client = throwaway::client(&url).await;
    let (references, words) = (references(&client).await, words(&client).await);

    let connection = rusqlite::Connection::open(directory.file()).unwrap();
    connection.execute_batch("PRAGMA foreign_keys = ON").unwrap();
    let mut given: BTreeMap<(String, String), Value> = BTreeMap::new();
    let mut count = 0;
    for table in &tables {
        let kinds = client.prepare(&table.query()).await.unwrap();
        let mut row = Vec::new();
        for (column, kind) in table.columns.iter().zip(kinds.columns()) {
            count += 1;
            let name = (table.name.clone(), column.clone());
            let value = match (references.get(&name), words.get(&name)) {
                (Some(other), _) => given[other].clone(),
                (None, Some(word)) => Value::Text(word.clone()),
                (None, None) if table.numbered.as_ref() == Some(column) => Value::Integer(41),
                (None, None) => any(kind.type_(), &format!("{}.{column}", table.name), count),
            };
            given.insert(name, value.clone());
            row.push(value);
        }
        let places = vec!["?"; row.len()].join(", ");
        let sql = format!("INSERT INTO {} ({}) VALUES ({places})", table.quoted(), table.list());
        let put = connection.execute(&sql, rusqlite::params_from_iter(&row));
        assert_eq!(put.unwrap_or_else(|error| panic!("{}: {error}", table.name)), 1);
    }
    drop(connection);

    let copied = copied(&directory, &url).await.unwrap();
    assert!(copied.len() == tables.len() && copied.iter().all(|table| table.rows == 1));
    let store = backend_in(&directory);
    let expected = rows::of_sqlite(&store).await;
    let found = rows::of_postgres(&client).await;
    for (table, expected) in &expected {
        assert_eq!(expected, &found[table], "{table}");
    }
    for table in &tables {
        for column in &table.columns {
            let (table, column) = (quoted(&table.name), quoted(column));
            let sql = format!("SELECT count({column}) FROM {table}");
            let found: i64 = client.query_one(&sql, &[]).await.unwrap().get(0);
            assert_eq!(found, 1, "{table}.{column} has no value");
        }
    }
    let sql = r#"SELECT number FROM "satelliteEvents""#;
    assert_eq!(client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0), 41);
}

#[tokio::test]
async fn types_that_no_table_has_yet_arrive_as_well_and_so_does_a_huge_row() {
    let (directory, url) = (Directory::new(), throwaway::database().await);
    drop(backend_in(&directory));
    drop(Target::open(&url).await.unwrap());
    let client = throwaway::client(&url).await;
    let sql = "CREATE TABLE later (id text PRIMARY KEY, share float8, image bytea, note text)";
    client.batch_execute(sql).await.unwrap();
    let connection = rusqlite::Connection::open(directory.file()).unwrap();
    let sql = "CREATE TABLE later (id TEXT PRIMARY KEY, share REAL, image BLOB, note TEXT) STRICT;
               INSERT INTO later VALUES ('a', 0.1, x'00ff', NULL), ('b', -1e308, x'', ''),
                 ('c', 9e999, NULL, 'n'), ('d', 5e-324, NULL, 'n'),
                 ('huge', NULL, randomblob(12000000), hex(randomblob(10000000)))";
    connection.execute_batch(sql).unwrap();
    drop(connection);
    let copied = copied(&directory, &url).await.unwrap();
    assert_eq!(copied.iter().find(|it| it.table == "later").unwrap().rows, 5);
    let sql = "SELECT share, image FROM later WHERE id IN ('a', 'd') ORDER BY id";
    let rows = client.query(sql, &[]).await.unwrap();
    let (share, image): (f64, Vec<u8>) = (rows[0].get(0), rows[0].get(1));
    assert_eq!((share, image), (0.1, vec![0, 255]));
    assert_eq!(rows[1].get::<_, f64>(0), 5e-324);
    let sql = "SELECT length(note) FROM later WHERE id = 'huge'";
    assert_eq!(client.query_one(sql, &[]).await.unwrap().get::<_, i32>(0), 20_000_000);
}
