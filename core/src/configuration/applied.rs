//! What a fetch brought: a configuration, or the reason why there is none. Both can be told to the
//! Backend as events.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::fmt::Write as _;

use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::time::SECOND;
use crate::wire;
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
    /// Those of them whose last good version is among `servers`, or is `satellite_config`.
    pub kept: BTreeSet<String>,
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
            kept: BTreeSet::new(),
            satellite_config,
            version,
            fresh: fetched_in.is_some(),
            change_detected: true,
            fetch_duration_ms: fetched_in.unwrap_or(0),
        })
    }

    /// Lets each rejected entry stand as it was in `former`, so that a slip in one entry does not
    /// end the server it is about. What is stored then is what is in force.
    pub(super) fn keep_last_good(&mut self, former: &str) {
        let Ok(former) = Configuration::decode(former.as_bytes()) else { return };
        for rejected in &self.rejected {
            if rejected.key == SATELLITE_CONFIG {
                self.satellite_config = former.satellite_config.clone();
                self.kept.insert(rejected.key.clone());
                continue;
            }
            let last_good = former.servers.iter().find(|one| one.names.process == rejected.key);
            if let Some(server) = last_good
                && !self.servers.iter().any(|one| one.key() == server.key())
            {
                self.servers.push(server.clone());
                self.kept.insert(rejected.key.clone());
            }
        }
        if !self.kept.is_empty() {
            self.raw = wire::encode(&InForce {
                mcp_servers: self
                    .servers
                    .iter()
                    .map(|server| (server.names.process.as_str(), &*server.raw))
                    .collect(),
                satellite_config: &self.satellite_config,
                version: self.version,
            });
        }
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

/// The key under which rejected settings of the satellite itself are listed.
const SATELLITE_CONFIG: &str = "satellite_config";

/// A configuration that is put together of parts, each as it came.
#[derive(Serialize)]
struct InForce<'a> {
    mcp_servers: BTreeMap<&'a str, &'a RawValue>,
    satellite_config: &'a SatelliteConfig,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
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
