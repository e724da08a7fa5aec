//! Ends what a killed daemon left behind: processes that carry this state directory's marker.

use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep};

use super::process_table::{Held, list, marker};

/// Ends every process whose marker begins with `daemon`: SIGTERM, and SIGKILL for those that still
/// run after `grace`. Returns how many there were.
///
/// The caller holds the state directory's lock, so no daemon that runs owns any of them. A process
/// is looked at again after a pidfd holds it, so that nobody else is ever signalled.
pub async fn sweep(daemon: &str, grace: Duration) -> usize {
    let kill_at = Instant::now() + grace;
    let mut seen: Vec<Held> = Vec::new();
    let mut pause = Duration::from_millis(2);
    loop {
        let prefix = format!("{daemon}:");
        let find = move || -> Vec<Held> {
            let is_left =
                |held: &Held| marker(held.pid).is_some_and(|value| value.starts_with(&prefix));
            list()
                .iter()
                .filter(|entry| marker(entry.pid).is_some_and(|value| value.starts_with(&prefix)))
                .filter_map(Held::take)
                .filter(is_left)
                .collect()
        };
        let left = tokio::task::spawn_blocking(find).await.unwrap_or_default();
        if left.is_empty() {
            // All are dead by now, so whoever became a child of this process can be reaped.
            seen.iter().for_each(Held::reap);
            return seen.len();
        }
        let is_over = Instant::now() >= kill_at;
        for held in left {
            let is_known = seen.iter().any(|known| known.pid == held.pid);
            if is_over {
                held.signal(Signal::SIGKILL);
            } else if !is_known {
                held.signal(Signal::SIGTERM);
            }
            if !is_known {
                seen.push(held);
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}
