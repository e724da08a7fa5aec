//! What `dev` remembers from one start to the next, so that the second needs no new pairing and
//! clients keep their tokens.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use satellite_core::id::{InstallationId, TeamId, UserId};
use satellite_core::secret::Secret;
use satellite_core::time::IsoTime;
use serde::{Deserialize, Serialize};

use super::super::dev_file::write_private;
use crate::exit::{Exit, fault};

/// The entities `dev` created at its Backend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Memory {
    /// The Backend's administration token, made here.
    pub(super) admin_token: Secret,
    /// The Backend's database: with another one, all the rest means nothing.
    pub(super) database_url: String,
    /// What the Backend seals users' tokens with.
    #[serde(default)]
    pub(super) encryption_secret: Option<Secret>,
    pub(super) team_id: Option<TeamId>,
    pub(super) user_id: Option<UserId>,
    /// The token for `/mcp`.
    pub(super) access: Option<Access>,
    /// By the server's name in `mcp.json`.
    pub(super) servers: BTreeMap<String, Remembered>,
}

/// An access token of the user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Access {
    pub(super) token: Secret,
    pub(super) expires_at: IsoTime,
}

/// A server and its installation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Remembered {
    pub(super) server_id: String,
    pub(super) installation_id: InstallationId,
    pub(super) instance_path: String,
    pub(super) instance_token: Secret,
    pub(super) template_digest: String,
    pub(super) tier_digest: String,
}

impl Memory {
    pub(super) fn path(directory: &Path) -> PathBuf {
        directory.join("state.json")
    }

    /// What is remembered for `database_url`; none for a first start, or with another database.
    pub(super) fn read(directory: &Path, database_url: &str) -> Result<Option<Self>, Exit> {
        let path = Self::path(directory);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable(&path, &error)),
        };
        let memory: Memory =
            serde_json::from_slice(&bytes).map_err(|error| unusable(&path, &error))?;
        Ok((memory.database_url == database_url).then_some(memory))
    }

    /// The server of an installation, and its name.
    pub(super) fn server_of(&self, installation: &InstallationId) -> Option<(&str, &Remembered)> {
        let mut servers = self.servers.iter();
        let (name, server) = servers.find(|(_, it)| it.installation_id == *installation)?;
        Some((name, server))
    }

    /// Writes it down. Called after every step, so that an interrupted start is taken up again.
    pub(super) fn write(&self, directory: &Path) -> Result<(), Exit> {
        write_private(&Self::path(directory), self)
    }
}

fn unusable(path: &Path, error: &dyn std::fmt::Display) -> Exit {
    fault(
        format!("{} cannot be read: {error}", path.display()),
        "delete the directory of --dir to begin anew; clients then need their new tokens",
    )
}
