//! `GET …/config`: which servers a satellite serves, and how.
//!
//! An entry that is wrong is rejected with its reason and costs only itself. An entry's text is
//! kept as it came, so that what this version does not know survives storing and comparing.

mod entry;
mod satellite_config;
mod server;

pub use entry::{SecretNames, ServerEntry, ServerSettings};
pub use satellite_config::{
    Logging, Network, PollingIntervals, ResourceLimits, SatelliteConfig, TeamSettings,
};
pub(crate) use server::is_http_url;
pub use server::{Launch, Server};

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::decode;

/// The header in which a satellite says which version is in force, where the Backend has sent one
/// (addition `config-version`): a Backend whose own count is lower was restored from a backup, and
/// counts on from there.
pub const VERSION_IN_FORCE: &str = "x-config-version";

/// The reply as the Backend writes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ConfigurationReply {
    /// Servers, by process key: `{server_slug}-{team_slug}-{user_id}-{installation_id}`.
    pub mcp_servers: BTreeMap<String, ServerEntry>,
    /// The satellite's own settings.
    pub satellite_config: SatelliteConfig,
    /// Grows with every change (addition `config-version`), though not with that alone: whether
    /// anything is different is said by the `ETag`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
}

/// The reply as a satellite reads it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Configuration {
    /// The servers, in the order of the reply.
    pub servers: Vec<Server>,
    /// Entries that cannot be used.
    pub rejected: Vec<Rejected>,
    /// The satellite's own settings.
    pub satellite_config: SatelliteConfig,
    /// Grows with every change (addition `config-version`).
    pub version: Option<u64>,
}

/// An entry that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Its process key, or `satellite_config`.
    pub key: String,
    /// Why, for people.
    pub reason: String,
}

impl Configuration {
    /// Reads a configuration.
    ///
    /// # Errors
    ///
    /// It is not JSON, or `mcp_servers` is missing or no map. Anything less than that is
    /// [`Configuration::rejected`].
    pub fn decode(bytes: &[u8]) -> Result<Configuration, String> {
        #[derive(Deserialize)]
        struct Raw {
            mcp_servers: Entries,
            #[serde(default)]
            satellite_config: Option<Box<RawValue>>,
            #[serde(default, deserialize_with = "super::lenient::hint")]
            version: Option<u64>,
        }
        let raw: Raw = decode("configuration", bytes)?;
        let mut configuration = Configuration { version: raw.version, ..Configuration::default() };
        let (mut keys, mut instances) = (BTreeSet::new(), BTreeSet::new());
        for (key, text) in raw.mcp_servers.0 {
            let server = if keys.insert(key.clone()) {
                Server::decode(&key, &text)
            } else {
                Err(String::from("the key appears twice; the first entry is used"))
            };
            match server {
                Ok(server) if instances.insert(server.key()) => configuration.servers.push(server),
                Ok(server) => configuration.rejected.push(Rejected {
                    key,
                    reason: alloc::format!(
                        "another entry is for the same team, installation and user ({}); \
                         the first one is used",
                        server.key()
                    ),
                }),
                Err(reason) => configuration.rejected.push(Rejected { key, reason }),
            }
        }
        if let Some(text) = raw.satellite_config.filter(|text| text.get() != "null") {
            match decode("satellite_config", text.get().as_bytes()) {
                Ok(settings) => configuration.satellite_config = settings,
                Err(reason) => configuration
                    .rejected
                    .push(Rejected { key: "satellite_config".to_string(), reason }),
            }
        }
        Ok(configuration)
    }
}

/// The entries in their order, repetitions included.
struct Entries(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of servers")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests;
