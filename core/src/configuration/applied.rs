//! What a fetch brought: a configuration, or the reason why there is none. Both can be told to the
//! Backend as events.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::time::SECOND;
use crate::wire::configuration::{Configuration, Rejected, SatelliteConfig, Server};
use crate::wire::event::{ConfigError, ConfigErrorType, ConfigRefreshed, EventData};

/// A configuration to put in force.
#[derive(Clone, PartialEq)]
pub struct Applied {
    /// The configuration as the Backend sent it. It holds secrets.
    pub raw: Vec<u8>,
    /// The servers that can be used.
    pub servers: Vec<Server>,
    /// Entries that can't, and why.
    pub rejected: Vec<Rejected>,
    /// The satellite's own settings.
    pub satellite_config: SatelliteConfig,
    /// Grows with every change, if the Backend counts.
    pub version: Option<u64>,
    /// Whether it came from the Backend just now, not from disk.
    pub fresh: bool,
    /// SHA-256 of `raw` in lower-case hexadecimal.
    pub config_hash: String,
    /// Whether `raw` differs from that of the configuration before.
    pub change_detected: bool,
    /// How long fetching it took, in milliseconds; 0 from disk.
    pub fetch_duration_ms: u64,
}

impl Applied {
    /// Reads a configuration that took `fetched_in` milliseconds to fetch, or came from disk.
    pub(super) fn read(raw: Vec<u8>, fetched_in: Option<u64>) -> Result<Applied, String> {
        let Configuration { servers, rejected, satellite_config, version } =
            Configuration::decode(&raw)?;
        Ok(Applied {
            config_hash: hash(&raw),
            raw,
            servers,
            rejected,
            satellite_config,
            version,
            fresh: fetched_in.is_some(),
            change_detected: true,
            fetch_duration_ms: fetched_in.unwrap_or(0),
        })
    }

    /// What the Backend is told of it.
    pub fn in_brief(&self) -> ConfigRefreshed {
        let teams: BTreeSet<_> = self.servers.iter().map(|server| &server.team).collect();
        ConfigRefreshed {
            config_hash: self.config_hash.clone(),
            server_count: self.servers.len() as u64,
            teams_count: teams.len() as u64,
            change_detected: self.change_detected,
            fetch_duration_ms: self.fetch_duration_ms,
        }
    }
}

impl fmt::Debug for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `raw` holds secrets in the clear.
        f.debug_struct("Applied")
            .field("config_hash", &self.config_hash)
            .field("servers", &self.servers.len())
            .field("rejected", &self.rejected)
            .field("fresh", &self.fresh)
            .finish_non_exhaustive()
    }
}

/// Why there is no configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchFailure {
    /// What kind of failure.
    pub error_type: ConfigErrorType,
    /// What happened, for people.
    pub error_message: String,
    /// The status code, if there was an answer.
    pub status_code: Option<u16>,
    /// Milliseconds until the next attempt.
    pub retry_in_ms: u64,
}

impl FetchFailure {
    /// The event that tells of it.
    pub fn into_event(self) -> EventData {
        EventData::ConfigError(ConfigError {
            error_type: self.error_type,
            error_message: self.error_message,
            status_code: self.status_code,
            retry_in: self.retry_in_ms.div_ceil(SECOND),
        })
    }
}

fn hash(raw: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(raw) {
        // Writing into a string has no way to fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
