//! Background jobs.

use satellite_core::time::Timestamp;
use tokio_postgres::Row;

use super::super::records::{JobEnd, JobRun, JobState};
use super::row::{change, get, list, moment, moment_option, values};
use super::{Outcome, Tx};

pub(in super::super) async fn begin_job(
    tx: &Tx<'_>,
    name: &str,
    holder: &str,
    now: &Timestamp,
    until: &Timestamp,
) -> Outcome<bool> {
    let sql = r#"INSERT INTO "backendJobs" (name, next_at) VALUES ($1, $2) ON CONFLICT DO NOTHING"#;
    change(tx, sql, values![name, *now]).await?;
    let sql = r#"UPDATE "backendJobs" SET lease_holder = $2, leased_until = $3
                 WHERE name = $1 AND next_at <= $4 AND (leased_until IS NULL OR leased_until <= $4)"#;
    Ok(change(tx, sql, values![name, holder, *until, *now]).await? > 0)
}

pub(in super::super) async fn end_job(tx: &Tx<'_>, end: &JobEnd) -> Outcome<bool> {
    let sql = r#"UPDATE "backendJobs"
                 SET lease_holder = NULL, leased_until = NULL, started_at = $3, ended_at = $4,
                     failed = $5, message = $6,
                     next_at = CASE WHEN next_at <= $3 THEN $7 ELSE next_at END
                 WHERE name = $1 AND lease_holder = $2"#;
    let JobRun { started_at, ended_at, failed, message } = &end.run;
    let values =
        values![&end.name, &end.holder, *started_at, *ended_at, *failed, message, end.next_at];
    Ok(change(tx, sql, values).await? > 0)
}

pub(in super::super) async fn ask_job(tx: &Tx<'_>, name: &str, now: &Timestamp) -> Outcome<bool> {
    let sql = r#"UPDATE "backendJobs" SET next_at = $2 WHERE name = $1"#;
    Ok(change(tx, sql, values![name, *now]).await? > 0)
}

pub(in super::super) async fn jobs(tx: &Tx<'_>) -> Outcome<Vec<JobState>> {
    list(tx, r#"SELECT * FROM "backendJobs" ORDER BY name"#, values![], read_job).await
}

fn read_job(row: &Row) -> Outcome<JobState> {
    let last = match (moment_option(row, "started_at")?, moment_option(row, "ended_at")?) {
        (Some(started_at), Some(ended_at)) => Some(JobRun {
            started_at,
            ended_at,
            failed: get(row, "failed")?,
            message: get(row, "message")?,
        }),
        _ => None,
    };
    Ok(JobState {
        name: get(row, "name")?,
        next_at: moment(row, "next_at")?,
        lease_holder: get(row, "lease_holder")?,
        leased_until: moment_option(row, "leased_until")?,
        last,
    })
}
