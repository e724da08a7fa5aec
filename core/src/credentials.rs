//! The stored pairing: `backend.key.json`, in the field's own form.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::id::{SatelliteId, TeamId};
use crate::secret::Secret;
use crate::time::IsoTime;

/// A pairing with a Backend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Credentials {
    /// The key of every later call.
    pub api_key: Secret,
    /// The satellite's id.
    pub satellite_id: SatelliteId,
    /// The satellite's name.
    pub satellite_name: String,
    /// The team it serves; a global satellite has none.
    #[serde(default)]
    pub team_id: Option<TeamId>,
    /// The Backend they are for.
    #[serde(default)]
    pub backend_url: Option<String>,
    /// When it was paired.
    pub registered_at: IsoTime,
    /// When the Backend last accepted the key.
    pub last_verified: IsoTime,
}

impl Credentials {
    /// Reads the stored form. A file whose key or id is `null` holds no pairing.
    pub fn decode(bytes: &[u8]) -> Result<Option<Credentials>, String> {
        #[derive(Deserialize)]
        struct Probe {
            api_key: Option<Secret>,
            satellite_id: Option<SatelliteId>,
        }
        // Read from bytes, a text that nobody asks for might be anything.
        let text = core::str::from_utf8(bytes).map_err(|error| alloc::format!("{error}"))?;
        let probe: Probe = serde_json::from_str(text).map_err(|error| alloc::format!("{error}"))?;
        if probe.api_key.is_none() || probe.satellite_id.is_none() {
            return Ok(None);
        }
        serde_json::from_str(text).map(Some).map_err(|error| alloc::format!("{error}"))
    }

    /// Writes the stored form.
    pub fn encode(&self) -> Vec<u8> {
        // Serialising text, options and times has no way to fail.
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }
}
