//! How much the Backend keeps.

use crate::time::{DAY, MINUTE};
use crate::wire::registration::SatelliteType;

/// How often surplus heartbeats are removed.
pub const HEARTBEAT_CLEANUP_INTERVAL_MS: u64 = 3 * MINUTE;
/// How often surplus logs are removed.
pub const LOG_CLEANUP_INTERVAL_MS: u64 = 10 * MINUTE;
/// Lines, and calls in detail, kept of each installation.
pub const LOGS_PER_INSTALLATION: u64 = 100;
/// How long a finished command is kept.
pub const FINISHED_COMMAND_MS: u64 = 7 * DAY;

/// Heartbeats kept of a satellite: the newest, 8.3 hours' worth of a global one, 4.2 of a team's.
pub fn heartbeats_kept(satellite_type: SatelliteType) -> u64 {
    match satellite_type {
        SatelliteType::Global => 1_000,
        SatelliteType::Team => 500,
    }
}
