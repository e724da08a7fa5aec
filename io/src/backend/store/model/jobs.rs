//! Background jobs.

use satellite_core::time::{IsoTime, Timestamp};

use super::super::StoreError;
use super::super::records::{JobEnd, JobState};
use super::tables::Tables;

pub(in super::super) fn begin_job(
    tables: &mut Tables,
    name: String,
    holder: String,
    now: Timestamp,
    until: Timestamp,
) -> Result<bool, StoreError> {
    let job = tables.jobs.entry(name.clone()).or_insert_with(|| JobState {
        name,
        next_at: IsoTime(now),
        lease_holder: None,
        leased_until: None,
        last: None,
    });
    if now < job.next_at.0 || job.leased_until.is_some_and(|until| now < until.0) {
        return Ok(false);
    }
    job.lease_holder = Some(holder);
    job.leased_until = Some(IsoTime(until));
    Ok(true)
}

pub(in super::super) fn end_job(tables: &mut Tables, end: JobEnd) -> Result<bool, StoreError> {
    let held = tables.jobs.get_mut(&end.name);
    let Some(job) = held.filter(|job| job.lease_holder.as_ref() == Some(&end.holder)) else {
        return Ok(false);
    };
    job.lease_holder = None;
    job.leased_until = None;
    if job.next_at <= end.run.started_at {
        job.next_at = IsoTime(end.next_at);
    }
    job.last = Some(end.run);
    Ok(true)
}

pub(in super::super) fn ask_job(
    tables: &mut Tables,
    name: String,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let job = tables.jobs.get_mut(&name);
    Ok(job.map(|job| job.next_at = IsoTime(now)).is_some())
}

pub(in super::super) fn jobs(tables: &mut Tables) -> Result<Vec<JobState>, StoreError> {
    Ok(tables.jobs.values().cloned().collect())
}
