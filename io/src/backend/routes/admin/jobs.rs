//! Background jobs: how they went, and one of them now.

use axum::extract::Path;
use satellite_core::backend::jobs::Job;
use satellite_core::time::SECOND;
use satellite_core::wire::admin::{JobData, JobRecord, JobsData};

use super::shown;
use crate::backend::answer::{Answer, Failure};
use crate::backend::authority::Authorised;
use crate::backend::open::Backend;
use crate::backend::store::records::{JobRun, JobState};
use crate::backend::store::{Store, StoreError};

pub(crate) async fn list(backend: Authorised) -> Answer {
    shown(JobsData { jobs: whole(&backend).await? })
}

/// Answers once it has ended, or at once where a run is under way.
pub(crate) async fn run(backend: Authorised, Path(name): Path<String>) -> Answer {
    let job = Job::named(&name).ok_or_else(|| Failure::not_found("job"))?;
    // One that never ran is due.
    backend.store.ask_job(name, backend.clock.now()).await?;
    backend.run_job(job).await?;
    let jobs = whole(&backend).await?;
    let job = jobs.into_iter().find(|record| record.name == job.as_str());
    shown(JobData { job: job.ok_or_else(|| Failure::not_found("job"))? })
}

async fn whole(backend: &Backend) -> Result<Vec<JobRecord>, StoreError> {
    let known = backend.store.jobs().await?;
    let now = backend.clock.now();
    let record = |job: Job| {
        let state = known.iter().find(|state| state.name == job.as_str());
        let last: Option<&JobRun> = state.and_then(|state| state.last.as_ref());
        let runs = |state: &JobState| state.leased_until.is_some_and(|until| now < until.0);
        JobRecord {
            name: job.as_str().to_owned(),
            every_seconds: job.every_ms() / SECOND,
            next_at: state.map(|state| state.next_at),
            under_way: state.is_some_and(runs),
            last_started_at: last.map(|run| run.started_at),
            last_duration_ms: last.map(|run| run.ended_at.0.since(run.started_at.0)),
            last_outcome: last.map(|run| if run.failed { "failed" } else { "done" }.to_owned()),
            last_message: last.map(|run| run.message.clone()),
        }
    };
    Ok(Job::ALL.into_iter().map(record).collect())
}
