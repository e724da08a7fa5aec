//! Copies into a real PostgreSQL.

mod everything;
mod refusals;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use satellite_core::backend::sha256_hex;

use super::super::contract::given::{event, paired};
use super::super::differential::{self, rows};
use super::super::postgres::throwaway;
use super::super::records::EventQuery;
use super::super::{AnyStore, Inline, Postgres, Sqlite, Store};
use super::{Copied, CopyError, Progress, copy};

/// A directory that is gone with this value.
pub(super) struct Directory(PathBuf);

impl Directory {
    pub(super) fn new() -> Directory {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir();
        let path = path.join(format!("satellite-copy-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    pub(super) fn file(&self) -> PathBuf {
        self.0.join("satellite.db")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What stays is in the way of nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A Backend's SQLite database.
pub(super) fn backend_in(directory: &Directory) -> AnyStore {
    AnyStore::Sqlite(Sqlite::open(&directory.file(), Arc::new(Inline)).unwrap())
}

/// Copies it to `url` in silence.
pub(super) async fn copied(directory: &Directory, url: &str) -> Result<Vec<Copied>, CopyError> {
    copy(&directory.file(), url, &mut |_| {}).await
}

#[tokio::test]
async fn everything_arrives_and_a_backend_goes_on_where_the_other_ended() {
    let (directory, url) = (Directory::new(), throwaway::database().await);
    let store = backend_in(&directory);
    differential::perform(&store, 1_000).await;
    let satellite = paired(&store, "edge-one", None).await.id;
    let (secret, _) = store.secret("jwt_secret".to_owned(), sha256_hex(b"s")).await.unwrap();
    store.record_event(event(&satellite, "before")).await.unwrap();
    let last = store.events(EventQuery { limit: 100_000, ..EventQuery::default() }).await.unwrap();
    let last = last.last().unwrap().number;
    let expected = rows::of_sqlite(&store).await;
    drop(store);
    // The newest of them is gone, and its number is not given out again.
    let connection = rusqlite::Connection::open(directory.file()).unwrap();
    let sql = r#"DELETE FROM "satelliteEvents" WHERE event_id = 'before'"#;
    assert_eq!(connection.execute(sql, []).unwrap(), 1);
    drop(connection);

    let mut told = Vec::new();
    let file = directory.file();
    let mut tell = |it: Progress<'_>| {
        told.push((it.comparing, it.table.to_owned(), it.rows, it.whole));
    };
    let tables = copy(&file, &url, &mut tell).await.unwrap();
    assert_eq!(told.len(), tables.len() * 2, "copied and compared");
    for Copied { table, rows } in &tables {
        assert!(told.contains(&(true, table.clone(), *rows, true)), "{table}");
    }
    assert!(tables.iter().map(|it| it.rows).sum::<u64>() > 100, "{tables:?}");

    let found = rows::of_postgres(&throwaway::client(&url).await).await;
    for (table, expected) in &expected {
        let mut expected = expected.clone();
        if table == "satelliteEvents" {
            expected.retain(|row| !row.contains("before"));
        }
        assert_eq!(expected, found[table], "{table}");
    }
    let store = AnyStore::Postgres(Postgres::open(&url).await.unwrap());
    let other = store.secret("jwt_secret".to_owned(), sha256_hex(b"t")).await.unwrap();
    assert_eq!(other, (secret, false), "what was signed is still good");
    store.record_event(event(&satellite, "after")).await.unwrap();
    let query = EventQuery { after: last, limit: 10, ..EventQuery::default() };
    let events = store.events(query).await.unwrap();
    assert_eq!(events.len(), 1, "who has read up to {last} reads on");
    assert_eq!(events[0].number, last + 1);
    assert!(store.satellites().await.unwrap().iter().any(|it| it.id == satellite));
}

#[tokio::test]
async fn an_empty_backend_is_copied_and_its_first_event_has_the_first_number() {
    let (directory, url) = (Directory::new(), throwaway::database().await);
    drop(backend_in(&directory));
    let tables = copied(&directory, &url).await.unwrap();
    assert!(tables.len() > 20 && tables.iter().all(|table| table.rows == 0), "{tables:?}");
    let store = AnyStore::Postgres(Postgres::open(&url).await.unwrap());
    let satellite = paired(&store, "edge-one", None).await.id;
    store.record_event(event(&satellite, "first")).await.unwrap();
    let events = store.events(EventQuery { limit: 10, ..EventQuery::default() }).await.unwrap();
    assert_eq!(events[0].number, 1);
}
