//! What is due without a request: retention, silence, commands that nobody fetched, tokens about to end.

use std::sync::Arc;
use std::time::Duration;

use satellite_core::backend::{retention, status};
use satellite_core::id::SatelliteId;
use satellite_core::time::{DAY, Timestamp};
use satellite_core::wire::registration::SatelliteType;

use super::open::Backend;
use super::store::records::Retention;
use super::store::{AnyStore, Store, StoreError};

/// How often satellites are checked for silence and commands for their end.
const CHECK: Duration = Duration::from_secs(15);
/// How long after losing the way to hear other Backends another is sought. Held polls end by
/// themselves meanwhile.
const DEAF: Duration = Duration::from_secs(1);
/// How long events, usage and other history are kept.
const HISTORY_MS: u64 = 30 * DAY;

/// Runs the jobs for as long as it is polled. A failure is logged; the next round tries again.
pub async fn run_jobs(backend: Arc<Backend>) {
    // Authorisation servers may be slow; nothing else waits for them.
    tokio::join!(look_after_storage(&backend), renew_tokens(&backend), hear_others(&backend));
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
    let mut ticks = tokio::time::interval(CHECK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = backend.renew_due().await {
            tracing::error!(%error, operation = "oauth_renewal", "Tokens could not be renewed");
        }
    }
}

async fn look_after_storage(backend: &Backend) {
    let mut ticks = tokio::time::interval(CHECK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut next_cleanup = Timestamp::default();
    loop {
        ticks.tick().await;
        let now = backend.clock.now();
        if let Err(error) = check(backend, now).await {
            tracing::error!(%error, operation = "backend_check", "Background check failed");
        }
        if next_cleanup <= now {
            next_cleanup = now.after(retention::HEARTBEAT_CLEANUP_INTERVAL_MS);
            if let Err(error) = clean_up(backend, now).await {
                tracing::error!(%error, operation = "backend_cleanup", "Clean-up failed");
            }
        }
    }
}

async fn check(backend: &Backend, now: Timestamp) -> Result<(), StoreError> {
    let before = Timestamp(now.since(Timestamp(status::STALE_AFTER_MS)));
    for satellite in backend.store.mark_silent(before).await? {
        tracing::warn!(satelliteId = %satellite, operation = "satellite_silent", "Satellite is silent");
    }
    backend.store.lapse_commands(now).await?;
    Ok(())
}

async fn clean_up(backend: &Backend, now: Timestamp) -> Result<(), StoreError> {
    let kept = |kind| u32::try_from(retention::heartbeats_kept(kind)).unwrap_or(u32::MAX);
    let removed = backend
        .store
        .retain(Retention {
            global_heartbeats: kept(SatelliteType::Global),
            team_heartbeats: kept(SatelliteType::Team),
            instance_logs: u32::try_from(retention::LOGS_PER_INSTALLATION).unwrap_or(u32::MAX),
            history_before: Timestamp(now.since(Timestamp(HISTORY_MS))),
        })
        .await?;
    tracing::debug!(?removed, operation = "backend_cleanup", "Clean-up done");
    Ok(())
}
