//! The one task that has all processes measured.

use std::time::Duration;

use satellite_core::control;
use satellite_core::limits::USAGE_INTERVAL_MS;
use tokio::time::sleep;

use crate::clock::Clock;
use crate::driver::Inbox;
use crate::host::ProcessHost;

/// Tells the control machine at intervals what processes use, while there are any, until the task is
/// aborted. It decides what to say of it.
pub async fn run<H: ProcessHost>(host: H, control: Inbox<control::Event>, clock: Clock) {
    loop {
        // Not a fixed rate: a machine that is slow is not asked more often.
        sleep(Duration::from_millis(USAGE_INTERVAL_MS)).await;
        let samples = host.samples().await;
        if samples.is_empty() {
            continue;
        }
        let measured = control::Event::Measured { at: clock.now(), samples };
        if control.send(measured).is_err() {
            return;
        }
    }
}
