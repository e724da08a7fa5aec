//! Being asked to end.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::{DONE, Exit, INTERRUPTED, fault};

/// Watches for SIGTERM and Ctrl-C from the moment it is made.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn watch() -> Result<Self, Exit> {
        let make = || -> io::Result<Self> {
            Ok(Signals {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
            })
        };
        make().map_err(|error| fault(format!("cannot watch for signals: {error}"), ""))
    }

    /// Waits for the next one and gives the exit code it stands for.
    pub(super) async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.terminate.recv() => DONE,
            _ = self.interrupt.recv() => INTERRUPTED,
        }
    }

    /// Waits for Ctrl-C.
    pub(super) async fn interrupted(&mut self) {
        self.interrupt.recv().await;
    }
}
