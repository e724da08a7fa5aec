//! Random operations on the model, SQLite and PostgreSQL: what each answers, and what they hold in
//! the end, is the same.

mod contents;
mod draw;
mod operations;
pub(super) mod rows;

use std::sync::Arc;

use super::postgres::throwaway;
use super::{AnyStore, Inline, Model, Postgres, Sqlite, StoreError};
use draw::Draw;

/// Operations in one run: `SATELLITE_DIFFERENTIAL_OPERATIONS`, or this many.
const OPERATIONS: u64 = 1_000;
/// Where the random operations begin: `SATELLITE_DIFFERENTIAL_SEED`, or here.
const SEED: u64 = 1;

#[expect(clippy::disallowed_methods, reason = "who runs this test says how long")]
fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|error| panic!("{name}: {error}")),
        Err(_) => default,
    }
}

/// What an operation came to, as text.
struct Told {
    text: String,
    error: Option<StoreError>,
}

impl Told {
    /// What everybody must agree on. Which of two reasons for a refusal is found first may differ
    /// between a model that looks and a database that is told.
    fn agreed(&self) -> &str {
        match self.error {
            Some(StoreError::Conflict(_) | StoreError::Missing(_)) => "refused",
            Some(_) | None => &self.text,
        }
    }

    /// The same where both are databases.
    fn kind(&self) -> &str {
        match self.error {
            Some(StoreError::Conflict(_)) => "conflict",
            Some(StoreError::Missing(_)) => "missing",
            Some(_) | None => &self.text,
        }
    }
}

/// Names the first line that differs.
fn same(expected: &[String], found: &[String], what: &str) {
    for (line, other) in expected.iter().zip(found) {
        assert_eq!(line, other, "{what}");
    }
    assert_eq!(expected.len(), found.len(), "{what}");
}

/// Performs that many random operations.
pub(super) async fn perform(store: &AnyStore, operations: u64) {
    for number in 0..operations {
        operations::perform(store, &mut Draw::of(SEED, number)).await;
    }
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "a long run is asked for its figures")]
async fn random_operations_have_the_same_answers_and_leave_the_same_in_every_store() {
    let operations = setting("SATELLITE_DIFFERENTIAL_OPERATIONS", OPERATIONS);
    let seed = setting("SATELLITE_DIFFERENTIAL_SEED", SEED);
    let url = throwaway::database().await;
    let model = AnyStore::Model(Model::new());
    let sqlite = AnyStore::Sqlite(Sqlite::in_memory(Arc::new(Inline)).unwrap());
    let postgres = AnyStore::Postgres(Postgres::open(&url).await.unwrap());
    let (mut performed, mut refused) = (0, 0);
    for number in 0..operations {
        let mut told = Vec::new();
        for store in [&model, &sqlite, &postgres] {
            told.push(operations::perform(store, &mut Draw::of(seed, number)).await);
        }
        let [by_model, by_sqlite, by_postgres] = &told[..] else { unreachable!() };
        let place = format!("operation {number} of seed {seed}");
        assert_eq!(by_model.agreed(), by_sqlite.agreed(), "{place}: model and SQLite");
        assert_eq!(by_model.agreed(), by_postgres.agreed(), "{place}: model and PostgreSQL");
        assert_eq!(by_sqlite.kind(), by_postgres.kind(), "{place}: SQLite and PostgreSQL");
        if by_model.error.is_some() {
            refused += 1
        } else {
            performed += 1
        }
        if number % 250 == 249 || number + 1 == operations {
            let expected = contents::of(&model).await;
            same(&expected, &contents::of(&sqlite).await, &format!("{place}: SQLite's contents"));
            let found = contents::of(&postgres).await;
            same(&expected, &found, &format!("{place}: PostgreSQL's contents"));
        }
    }
    let in_sqlite = rows::of_sqlite(&sqlite).await;
    let in_postgres = rows::of_postgres(&throwaway::client(&url).await).await;
    assert_eq!(in_sqlite.keys().collect::<Vec<_>>(), in_postgres.keys().collect::<Vec<_>>());
    let mut rows = 0;
    for (table, expected) in &in_sqlite {
        same(expected, &in_postgres[table], &format!("{table} of seed {seed}"));
        rows += expected.len();
    }
    println!(
        "{operations} operations, {performed} performed, {refused} refused; {rows} rows alike"
    );
    assert!(performed > refused && refused > operations / 50 && rows > 20);
}
