//! What is due without a request: retention, silence, commands that nobody fetched, tokens about to end.

use std::sync::Arc;
use std::time::Duration;

use satellite_core::backend::jobs::{self, Job};
use satellite_core::backend::{retention, status};
use satellite_core::id::SatelliteId;
use satellite_core::time::{DAY, IsoTime, Timestamp};
use satellite_core::wire::registration::SatelliteType;

use super::open::Backend;
use super::store::records::{JobEnd, JobRun, Retained, Retention};
use super::store::{AnyStore, Store, StoreError};

/// How often it is looked what is due.
const CHECK: Duration = Duration::from_secs(5);
/// How often tokens are looked for that are about to end.
const RENEWALS: Duration = Duration::from_secs(15);
/// How long after losing the way to hear other Backends another is sought. Held polls end by
/// themselves meanwhile.
const DEAF: Duration = Duration::from_secs(1);
/// How long events, usage and other history are kept.
const HISTORY_MS: u64 = 30 * DAY;

/// Runs the jobs for as long as it is polled. A failure is logged; the next round tries again.
pub async fn run_jobs(backend: Arc<Backend>) {
    // Authorisation servers may be slow; nothing else waits for them.
    tokio::join!(run_what_is_due(&backend), renew_tokens(&backend), hear_others(&backend));
}

/// Wakes the polls that are held here for what other Backends on the same database did.
async fn hear_others(backend: &Backend) {
    let AnyStore::Postgres(store) = &backend.store else { return };
    loop {
        let heard = store.listen(|satellite| match satellite {
            Some(id) => backend.waiting.wake(&SatelliteId::from(id)),
            None => backend.waiting.wake_all(),
        });
        if let Err(error) = heard.await {
            tracing::warn!(%error, operation = "backend_listen", "Other Backends are not heard");
        }
        tokio::time::sleep(DEAF).await;
    }
}

async fn renew_tokens(backend: &Arc<Backend>) {
    let mut ticks = tokio::time::interval(RENEWALS);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = backend.renew_due().await {
            tracing::error!(%error, operation = "oauth_renewal", "Tokens could not be renewed");
        }
    }
}

/// Runs what is due, unless another Backend on the same database does.
async fn run_what_is_due(backend: &Backend) {
    let mut ticks = tokio::time::interval(CHECK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for job in Job::ALL {
            if let Err(error) = backend.run_job(job).await {
                let job = job.as_str();
                tracing::error!(%error, job, operation = "backend_job", "A job was not run");
            }
        }
    }
}

impl Backend {
    /// Runs a job if it is due and nobody runs it. Its failure is on its record.
    pub(super) async fn run_job(&self, job: Job) -> Result<bool, StoreError> {
        let (name, holder, started) = (job.as_str().to_owned(), self.id("run_"), self.clock.now());
        let until = started.after(jobs::LEASE_MS);
        if !self.store.begin_job(name.clone(), holder.clone(), started, until).await? {
            return Ok(false);
        }
        let outcome = match job {
            Job::SilentSatellites => self.mark_silent(started).await,
            Job::CommandEnds => self.store.lapse_commands(started).await.map(counted("commands")),
            Job::Retention => self.clean_up(started).await,
        };
        let failed = outcome.is_err();
        let message = outcome.unwrap_or_else(|error| {
            tracing::error!(%error, job = name, operation = "backend_job", "A job failed");
            error.to_string()
        });
        let run = JobRun {
            started_at: IsoTime(started),
            ended_at: IsoTime(self.clock.now()),
            failed,
            message,
        };
        let next_at = started.after(job.every_ms());
        self.store.end_job(JobEnd { name, holder, run, next_at }).await
    }

    async fn mark_silent(&self, now: Timestamp) -> Result<String, StoreError> {
        let before = Timestamp(now.since(Timestamp(status::STALE_AFTER_MS)));
        let silent = self.store.mark_silent(before).await?;
        for satellite in &silent {
            let operation = "satellite_silent";
            tracing::warn!(satelliteId = %satellite, operation, "Satellite is silent");
        }
        Ok(counted("satellites")(silent.len() as u64))
    }

    async fn clean_up(&self, now: Timestamp) -> Result<String, StoreError> {
        let kept = |kind| u32::try_from(retention::heartbeats_kept(kind)).unwrap_or(u32::MAX);
        let Retained { heartbeats, logs, history } = self
            .store
            .retain(Retention {
                global_heartbeats: kept(SatelliteType::Global),
                team_heartbeats: kept(SatelliteType::Team),
                instance_logs: u32::try_from(retention::LOGS_PER_INSTALLATION).unwrap_or(u32::MAX),
                history_before: Timestamp(now.since(Timestamp(HISTORY_MS))),
            })
            .await?;
        Ok(format!("removed {heartbeats} heartbeats, {logs} lines of logs, {history} others"))
    }
}

fn counted(of: &'static str) -> impl Fn(u64) -> String {
    move |count| format!("{count} {of}")
}
