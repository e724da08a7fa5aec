//! What `satellite dev` leaves in its directory for the other commands: where it listens, and the
//! tokens for it.

#[cfg(feature = "backend")]
use std::io::Write;
#[cfg(feature = "backend")]
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use satellite_core::id::{InstallationId, SatelliteId, TeamId, UserId};
use satellite_core::secret::Secret;
use serde::{Deserialize, Serialize};

use crate::exit::{Exit, fault, usage};

/// The file: `dev.json`, readable by its owner alone. Its keys are those of the ready line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct DevFile {
    pub(super) backend_url: String,
    pub(super) satellite_url: String,
    pub(super) mcp_url: String,
    pub(super) token: Secret,
    pub(super) admin_token: Secret,
    pub(super) satellite_id: SatelliteId,
    pub(super) team_id: TeamId,
    pub(super) user_id: UserId,
    pub(super) database_url: String,
    pub(super) instances: Vec<DevInstance>,
}

/// A server of `dev`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct DevInstance {
    pub(super) server: String,
    pub(super) installation_id: InstallationId,
    pub(super) instance_url: String,
    pub(super) instance_token: Secret,
    pub(super) status: String,
    pub(super) error: Option<String>,
    /// Where its user signs in, if that is what it waits for. Good once, and not for long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) connect_url: Option<Secret>,
}

impl DevFile {
    /// Where the file is in `dev`'s directory.
    pub(super) fn path(directory: &Path) -> PathBuf {
        directory.join("dev.json")
    }

    /// Reads the file of a `dev` that runs, or ran.
    pub(super) fn read(directory: &Path) -> Result<Self, Exit> {
        let path = Self::path(directory);
        let bytes = std::fs::read(&path).map_err(|error| {
            usage(
                format!("no `satellite dev` has run here: {}: {error}", path.display()),
                "start one with `satellite dev`, name its --dir, or give --url and --token",
            )
        })?;
        serde_json::from_slice(&bytes).map_err(|error| {
            fault(
                format!("{} cannot be read: {error}", path.display()),
                "delete it; the next `satellite dev` writes it anew",
            )
        })
    }

    /// Writes the file whole or not at all.
    #[cfg(feature = "backend")]
    pub(super) fn write(&self, directory: &Path) -> Result<(), Exit> {
        write_private(&Self::path(directory), self)
    }
}

#[cfg(feature = "backend")]
/// Writes `value` as JSON to a file that only its owner may read, whole or not at all.
pub(super) fn write_private(path: &Path, value: &impl Serialize) -> Result<(), Exit> {
    let cannot = |error: &dyn std::fmt::Display| {
        fault(
            format!("cannot write {}: {error}", path.display()),
            "check the directory's permissions",
        )
    };
    let json = serde_json::to_vec_pretty(value).map_err(|error| cannot(&error))?;
    let beside = path.with_extension("json.partial");
    let write = || -> std::io::Result<()> {
        // A left-over would keep its own mode.
        match std::fs::remove_file(&beside) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(&json)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    };
    write().map_err(|error| cannot(&error))
}

#[cfg(all(test, feature = "backend"))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_file_goes_out_and_comes_back_and_is_private() {
        let directory =
            std::env::temp_dir().join(format!("satellite-dev-file-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let file = DevFile {
            backend_url: String::from("http://127.0.0.1:3000"),
            satellite_url: String::from("http://127.0.0.1:3001"),
            mcp_url: String::from("http://127.0.0.1:3001/mcp"),
            token: Secret::new("t"),
            admin_token: Secret::new("a"),
            satellite_id: SatelliteId::from("s"),
            team_id: TeamId::from("t"),
            user_id: UserId::from("u"),
            database_url: String::from("sqlite:x"),
            instances: vec![DevInstance {
                server: String::from("demo"),
                installation_id: InstallationId::from("i"),
                instance_url: String::from("http://127.0.0.1:3001/i/x/mcp"),
                instance_token: Secret::new("x"),
                status: String::from("online"),
                error: None,
                connect_url: None,
            }],
        };
        file.write(&directory).unwrap();
        file.write(&directory).unwrap();
        let mode = std::fs::metadata(DevFile::path(&directory)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(DevFile::read(&directory).unwrap(), file);
        std::fs::remove_dir_all(&directory).unwrap();
        assert_eq!(DevFile::read(&directory).unwrap_err().code, crate::exit::USAGE);
    }
}
