//! The daemon's end, as a process sees it.

use alloc::string::String;

use serde::{Deserialize, Serialize};

/// The daemon has ended in order and wants to be started again, by its service manager.
pub const RESTART_WANTED: u8 = 75;

/// Why the daemon ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The process's exit code; the command line's help lists them.
    pub code: u8,
    /// What happened, for people. Empty after an ordinary shutdown.
    pub error: String,
    /// What to do about it.
    pub hint: String,
}
