//! Background jobs.

use rusqlite::{Row, Transaction, params};
use satellite_core::time::Timestamp;

use super::super::StoreError;
use super::super::records::{JobEnd, JobRun, JobState};
use super::row::{change, list, moment, moment_option};

pub(in super::super) fn begin_job(
    tx: &Transaction<'_>,
    name: String,
    holder: String,
    now: Timestamp,
    until: Timestamp,
) -> Result<bool, StoreError> {
    let sql = r#"INSERT INTO "backendJobs" (name, next_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING"#;
    change(tx, sql, [&name, &now.to_iso()])?;
    let sql = r#"UPDATE "backendJobs" SET lease_holder = ?2, leased_until = ?3
                 WHERE name = ?1 AND next_at <= ?4 AND (leased_until IS NULL OR leased_until <= ?4)"#;
    Ok(change(tx, sql, [&name, &holder, &until.to_iso(), &now.to_iso()])? > 0)
}

pub(in super::super) fn end_job(tx: &Transaction<'_>, end: JobEnd) -> Result<bool, StoreError> {
    let sql = r#"UPDATE "backendJobs"
                 SET lease_holder = NULL, leased_until = NULL, started_at = ?3, ended_at = ?4,
                     failed = ?5, message = ?6,
                     next_at = CASE WHEN next_at <= ?3 THEN ?7 ELSE next_at END
                 WHERE name = ?1 AND lease_holder = ?2"#;
    let JobRun { started_at, ended_at, failed, message } = end.run;
    let (started, ended) = (started_at.0.to_iso(), ended_at.0.to_iso());
    let next = end.next_at.to_iso();
    let values = params![end.name, end.holder, started, ended, failed, message, next];
    Ok(change(tx, sql, values)? > 0)
}

pub(in super::super) fn ask_job(
    tx: &Transaction<'_>,
    name: String,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let sql = r#"UPDATE "backendJobs" SET next_at = ?2 WHERE name = ?1"#;
    Ok(change(tx, sql, [name, now.to_iso()])? > 0)
}

pub(in super::super) fn jobs(tx: &Transaction<'_>) -> Result<Vec<JobState>, StoreError> {
    list(tx, r#"SELECT * FROM "backendJobs" ORDER BY name"#, [], read_job)
}

fn read_job(row: &Row<'_>) -> rusqlite::Result<JobState> {
    let last = match (moment_option(row, "started_at")?, moment_option(row, "ended_at")?) {
        (Some(started_at), Some(ended_at)) => Some(JobRun {
            started_at,
            ended_at,
            failed: row.get("failed")?,
            message: row.get("message")?,
        }),
        _ => None,
    };
    Ok(JobState {
        name: row.get("name")?,
        next_at: moment(row, "next_at")?,
        lease_holder: row.get("lease_holder")?,
        leased_until: moment_option(row, "leased_until")?,
        last,
    })
}
