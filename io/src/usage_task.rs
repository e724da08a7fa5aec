//! The one task that has all processes measured.

use std::time::Duration;

use satellite_core::control;
use satellite_core::limits::USAGE_INTERVAL_MS;
use satellite_core::process::Samples;
use tokio::time::sleep;

use crate::clock::Clock;
use crate::driver::Inbox;
use crate::host::ProcessHost;

/// Tells the control machine at intervals what processes use, and those of each team together, while
/// there are any and once more when there are none, until the task is aborted. It decides what to
/// say of it.
pub async fn run<H: ProcessHost>(host: H, control: Inbox<control::Event>, clock: Clock) {
    let mut were_any = false;
    loop {
        // Not a fixed rate: a machine that is slow is not asked more often.
        sleep(Duration::from_millis(USAGE_INTERVAL_MS)).await;
        let Samples { processes, teams } = host.samples().await;
        let are_any = !processes.is_empty();
        if !std::mem::replace(&mut were_any, are_any) && !are_any {
            continue;
        }
        let measured = control::Event::Measured { at: clock.now(), samples: processes, teams };
        if control.send(measured).is_err() {
            return;
        }
    }
}
