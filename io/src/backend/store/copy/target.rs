//! The PostgreSQL database that is filled, in one transaction.

use std::pin::pin;

use futures_util::TryStreamExt;
use rusqlite::types::ValueRef;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Transaction};

use super::super::StoreError;
use super::super::postgres::{Address, migrate};
use super::catalogue::{Table, quoted};
use super::source::{Source, broken, key};
use super::value::{Raw, same, sent};
use super::{CopyError, Progress, STRIDE, unopened};

/// The columns of each table, with their place in its key, and what it refers to.
const CATALOGUE: &str = "
SELECT c.relname::text, a.attname::text, a.attidentity::text <> '',
       array_position(i.indkey::int2[], a.attnum),
       ARRAY(SELECT t.relname::text FROM pg_constraint f JOIN pg_class t ON t.oid = f.confrelid
             WHERE f.contype = 'f' AND f.conrelid = c.oid)
FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND c.relkind IN ('r', 'p')
  AND c.relname <> 'refinery_schema_history'
ORDER BY c.relname, 4, a.attnum";

pub(super) struct Target {
    client: Client,
}

impl Target {
    /// Connects to the database at `url`, which holds nothing, and makes its schema.
    pub(super) async fn open(url: &str) -> Result<Target, CopyError> {
        let address = Address::read(url).map_err(|error| unopened(&error))?;
        let connected = address.connect().await;
        let client = connected.map_err(|error| unopened(&StoreError::Away(words(&error))))?;
        let target = Target { client };
        // A table may take longer than any statement of a Backend.
        target.client.batch_execute("SET statement_timeout = 0").await.map_err(failed)?;
        // Not one table more in a database that is not for it.
        let sql = "SELECT to_regclass('refinery_schema_history') IS NULL";
        let strange: bool = target.client.query_one(sql, &[]).await.map_err(failed)?.get(0);
        let tables = target.tables().await?;
        if let (true, Some(table)) = (strange, tables.first()) {
            return Err(CopyError::choice(
                format!("the target is not empty: it has a table {}", table.name),
                "copy into a new database: `createdb` makes one",
            ));
        }
        nothing_in(&target.client, &tables).await?;
        migrate(&address).await.map_err(|error| unopened(&error))?;
        Ok(target)
    }

    /// What it has tables for.
    pub(super) async fn tables(&self) -> Result<Vec<Table>, CopyError> {
        let mut tables: Vec<Table> = Vec::new();
        for row in self.client.query(CATALOGUE, &[]).await.map_err(failed)? {
            let (name, column): (String, String) = (row.get(0), row.get(1));
            if tables.last().is_none_or(|table| table.name != name) {
                let references = row.get::<_, Vec<String>>(4).into_iter().collect();
                tables.push(Table { name, references, ..Table::default() });
            }
            let Some(table) = tables.last_mut() else { continue };
            if row.get(2) {
                table.numbered = Some(column.clone());
            }
            if row.get::<_, Option<i32>>(3).is_some() {
                table.key.push(table.columns.len());
            }
            table.columns.push(column);
        }
        Ok(tables)
    }

    /// Begins to fill it. Until that is over, nobody else writes to it.
    pub(super) async fn begin(&mut self, tables: &[Table]) -> Result<Filling<'_>, CopyError> {
        let tx = self.client.transaction().await.map_err(failed)?;
        let names: Vec<String> = tables.iter().map(Table::quoted).collect();
        let sql = format!("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", names.join(", "));
        tx.batch_execute(&sql).await.map_err(|error| match error.code() {
            Some(&SqlState::LOCK_NOT_AVAILABLE) => CopyError::choice(
                "the target is in use: somebody else writes to it",
                "end what runs on it, and see whether it is still empty",
            ),
            _ => failed(error),
        })?;
        nothing_in(tx.client(), tables).await?;
        Ok(Filling { tx })
    }
}

/// Refuses a database in which a table has a row.
async fn nothing_in(client: &Client, tables: &[Table]) -> Result<(), CopyError> {
    for table in tables {
        let sql = format!("SELECT EXISTS (SELECT FROM {})", table.quoted());
        if client.query_one(&sql, &[]).await.map_err(failed)?.get(0) {
            return Err(CopyError::choice(
                format!("the target is not empty: there are rows in {}", table.name),
                "copy into a new database, on which no Backend was started yet: `createdb` makes one",
            ));
        }
    }
    Ok(())
}

/// The transaction in which it is filled. Dropped, it leaves no row behind.
pub(super) struct Filling<'a> {
    tx: Transaction<'a>,
}

impl Filling<'_> {
    /// Copies a table.
    pub(super) async fn fill(
        &self,
        table: &Table,
        source: &Source,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(), CopyError> {
        let failed = |error| at(&failed(error), &table.name);
        let kinds = self.kinds(table).await?;
        let sql = format!("COPY {} ({}) FROM STDIN BINARY", table.quoted(), table.list());
        let sink = self.tx.copy_in(&sql).await.map_err(failed)?;
        let mut writer = pin!(BinaryCopyInWriter::new(sink, &kinds));
        let mut statement = source.rows(table)?;
        let mut rows = statement.query([]).map_err(|error| broken(&error))?;
        let mut count = 0;
        while let Some(row) = rows.next().map_err(|error| broken(&error))? {
            let found = values(row, table)?;
            let mut sending = Vec::with_capacity(found.len());
            for ((value, kind), column) in found.iter().zip(&kinds).zip(&table.columns) {
                sending.push(sent(*value, kind).map_err(|why| {
                    CopyError::copy(
                        format!("{}.{column} of {} {why}", table.name, key(&found, table)),
                        "mend it in the source with `sqlite3 FILE`, and copy again",
                    )
                })?);
            }
            let sending: Vec<&(dyn ToSql + Sync)> =
                sending.iter().map(|value| value as &(dyn ToSql + Sync)).collect();
            writer.as_mut().write(&sending).await.map_err(failed)?;
            count += 1;
            if count % STRIDE == 0 {
                let (table, rows) = (table.name.as_str(), count);
                progress(Progress { comparing: false, table, rows, whole: false });
            }
        }
        writer.finish().await.map_err(failed)?;
        let table = table.name.as_str();
        progress(Progress { comparing: false, table, rows: count, whole: true });
        Ok(())
    }

    /// Reads a table from both databases, side by side; says how many rows it has.
    pub(super) async fn compare(
        &self,
        table: &Table,
        source: &Source,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<u64, CopyError> {
        let failed = |error| at(&failed(error), &table.name);
        let kinds = self.kinds(table).await?;
        let nothing: [&(dyn ToSql + Sync); 0] = [];
        let mut arrived = pin!(self.tx.query_raw(&table.query(), nothing).await.map_err(failed)?);
        let mut statement = source.rows(table)?;
        let mut rows = statement.query([]).map_err(|error| broken(&error))?;
        let mut count = 0;
        while let Some(row) = rows.next().map_err(|error| broken(&error))? {
            let expected = values(row, table)?;
            let Some(found) = arrived.try_next().await.map_err(failed)? else {
                return Err(differs(&format!(
                    "{} has no more than {count} rows in the target",
                    table.name
                )));
            };
            for (place, (value, kind)) in expected.iter().zip(&kinds).enumerate() {
                let found = found.try_get::<_, Option<Raw<'_>>>(place).map_err(failed)?;
                if !same(*value, kind, found.map(|Raw(bytes)| bytes)) {
                    let column = table.columns.get(place).map_or("?", String::as_str);
                    let key = key(&expected, table);
                    return Err(differs(&format!("{}.{column} of {key} differs", table.name)));
                }
            }
            count += 1;
            if count % STRIDE == 0 {
                let (table, rows) = (table.name.as_str(), count);
                progress(Progress { comparing: true, table, rows, whole: false });
            }
        }
        if arrived.try_next().await.map_err(failed)?.is_some() {
            return Err(differs(&format!("{} has more rows in the target", table.name)));
        }
        let table = table.name.as_str();
        progress(Progress { comparing: true, table, rows: count, whole: true });
        Ok(count)
    }

    /// Numbers that the database gives out go on after the last that the source gave out: who reads
    /// on after a number must miss nothing.
    pub(super) async fn go_on_numbering(
        &self,
        tables: &[Table],
        source: &Source,
    ) -> Result<(), CopyError> {
        for table in tables {
            let Some(column) = &table.numbered else { continue };
            let last = source.last_number(&table.name, column)?;
            let sql = "SELECT setval(pg_get_serial_sequence($1, $2), greatest($3, 1), $3 > 0)";
            let types = [Type::TEXT, Type::TEXT, Type::INT8];
            let statement = self.tx.prepare_typed(sql, &types).await.map_err(failed)?;
            let name = quoted(&table.name);
            self.tx.query(&statement, &[&name, column, &last]).await.map_err(failed)?;
        }
        Ok(())
    }

    /// Makes it stand.
    pub(super) async fn commit(self) -> Result<(), CopyError> {
        self.tx.commit().await.map_err(|error| match error.as_db_error() {
            Some(_) => failed(error),
            // Its answer was lost, and with it whether it happened.
            None => CopyError::copy(
                format!("everything was copied, and the target went away: {}", words(&error)),
                "copy again: where that says that the target is not empty, all of it is there",
            ),
        })
    }

    /// What each column takes.
    async fn kinds(&self, table: &Table) -> Result<Vec<Type>, CopyError> {
        let statement = self.tx.prepare(&table.query()).await.map_err(failed)?;
        Ok(statement.columns().iter().map(|column| column.type_().clone()).collect())
    }
}

/// A row of the source.
fn values<'r>(row: &'r rusqlite::Row<'_>, table: &Table) -> Result<Vec<ValueRef<'r>>, CopyError> {
    let places = 0..table.columns.len();
    places.map(|place| row.get_ref(place)).collect::<Result<_, _>>().map_err(|error| broken(&error))
}

fn differs(what: &str) -> CopyError {
    CopyError::copy(
        format!("the copy is not like the source: {what}"),
        "nothing of it was kept; see what else writes to the target, such as a trigger, and copy again",
    )
}

/// The same with the table that was being worked on.
fn at(error: &CopyError, table: &str) -> CopyError {
    let text = format!("{table}: {}", error.error);
    CopyError { cause: error.cause, error: text, hint: error.hint.clone() }
}

#[expect(clippy::needless_pass_by_value, reason = "`map_err` gives it away")]
fn failed(error: tokio_postgres::Error) -> CopyError {
    let hint = if error.as_db_error().is_some() {
        "nothing was kept in the target; mend that, and copy again"
    } else {
        "nothing was kept in the target; copy again when it can be reached"
    };
    CopyError::copy(format!("the target failed: {}", words(&error)), hint)
}

/// What went wrong, without the values that PostgreSQL may name with it.
fn words(error: &tokio_postgres::Error) -> String {
    let Some(cause) = error.as_db_error() else {
        return super::super::postgres::words(error);
    };
    let place = cause.where_().and_then(|text| text.lines().next());
    match place.filter(|place| place.starts_with("COPY ")).and_then(line_of) {
        Some(line) => format!("{}, in row {line}", DbError::message(cause)),
        None => cause.message().to_owned(),
    }
}

/// The number in `COPY table, line 3, column name`.
fn line_of(place: &str) -> Option<&str> {
    let (_, rest) = place.split_once(", line ")?;
    rest.split(|c: char| !c.is_ascii_digit()).next().filter(|digits| !digits.is_empty())
}
