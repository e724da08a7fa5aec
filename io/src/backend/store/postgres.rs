//! PostgreSQL: a pool of connections, each transaction on one of them. Any number of Backends may
//! share a database: what one of them reads in order to change it, it holds.

pub(super) mod accounts;
mod address;
pub(super) mod commands;
pub(super) mod connections;
pub(super) mod events;
mod fault;
pub(super) mod health;
pub(super) mod installations;
pub(super) mod instances;
pub(super) mod jobs;
mod listening;
pub(super) mod lists;
pub(super) mod pairing;
pub(super) mod row;
pub(super) mod satellites;
pub(super) mod servers;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(in crate::backend) mod throwaway;
mod tls;

use std::fmt;
use std::sync::Arc;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use refinery::{Migration, Runner};

use super::StoreError;
pub(super) use address::Address;
use address::CONNECT;
pub(super) use fault::{Fault, Outcome, Tries, words};

/// A transaction, with the statements that its connection has prepared.
pub(super) type Tx<'a> = deadpool_postgres::Transaction<'a>;

/// Connections at most. PostgreSQL takes 100 as it comes, of all Backends together.
const CONNECTIONS: usize = 16;
/// Held while the schema is brought up to date. The number is "schema" in ASCII.
const SCHEMA: i64 = 0x7363_6865_6d61;

/// The steps of the schema. They only go forward: a released one never changes.
const MIGRATIONS: [(&str, &str); 8] = [
    (
        "V1__tenants_and_satellites",
        include_str!("postgres/migrations/V1__tenants_and_satellites.sql"),
    ),
    ("V2__servers", include_str!("postgres/migrations/V2__servers.sql")),
    ("V3__reports", include_str!("postgres/migrations/V3__reports.sql")),
    ("V4__folded_names", include_str!("postgres/migrations/V4__folded_names.sql")),
    ("V5__wake_polls", include_str!("postgres/migrations/V5__wake_polls.sql")),
    ("V6__events_of_teams", include_str!("postgres/migrations/V6__events_of_teams.sql")),
    ("V7__jobs", include_str!("postgres/migrations/V7__jobs.sql")),
    ("V8__lists", include_str!("postgres/migrations/V8__lists.sql")),
];

/// A Backend's data in PostgreSQL.
#[derive(Clone)]
pub struct Postgres {
    address: Arc<Address>,
    pool: Pool,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Postgres")
    }
}

impl Postgres {
    /// Connects to the database at `url` and brings its schema up to date. Where several Backends
    /// start at once, one does, and the others wait for it.
    ///
    /// # Errors
    ///
    /// The URL cannot be read, the database is away or refuses, or its schema is of a later program.
    pub async fn open(url: &str) -> Result<Postgres, StoreError> {
        let address = Address::read(url)?;
        migrate(&address).await?;
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(address.config.clone(), address.tls.clone(), recycling);
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(CONNECT))
            .create_timeout(Some(CONNECT * 2))
            .build()
            .map_err(|error| StoreError::Failed(error.to_string()))?;
        Ok(Postgres { address: Arc::new(address), pool })
    }

    /// A connection that nobody else uses.
    pub(super) async fn connection(&self) -> Outcome<Object> {
        Ok(self.pool.get().await?)
    }
}

/// Brings the schema of the database at `address` up to date.
pub(super) async fn migrate(address: &Address) -> Result<(), StoreError> {
    let away = |error: tokio_postgres::Error| StoreError::Away(words(&error));
    let steps = MIGRATIONS
        .iter()
        .map(|(name, sql)| Migration::unapplied(name, sql))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| StoreError::Failed(error.to_string()))?;
    let (mut client, connection) =
        address.config.connect(address.tls.clone()).await.map_err(away)?;
    let connection = tokio::spawn(connection);
    let sql = format!(
        "SET statement_timeout = 0; SET lock_timeout = '60s'; SELECT pg_advisory_lock({SCHEMA})"
    );
    client.batch_execute(&sql).await.map_err(away)?;
    let outcome = Runner::new(&steps).set_abort_divergent(true).run_async(&mut client).await;
    // The lock ends with its connection.
    drop(client);
    // How the connection ended is of no interest any more.
    let _ = connection.await;
    outcome
        .map(|_| ())
        .map_err(|error| StoreError::Failed(format!("the schema: {}", words(&error))))
}
