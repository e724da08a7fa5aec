//! What servers see and reach.

use std::collections::BTreeSet;
use std::path::PathBuf;

use satellite_core::isolation::Asked;

use super::check;
use super::sources::Sources;
use crate::exit::{Exit, usage};

/// What servers see and reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JailSettings {
    /// Whether they are jailed where this machine allows it.
    pub is_wanted: bool,
    /// What they may read beside the system and their own programs; absolute.
    pub readable: BTreeSet<PathBuf>,
    /// Whether they reach nothing but themselves.
    pub is_offline: bool,
    /// Whether each team gets an account of this machine.
    pub makes_accounts: bool,
}

impl JailSettings {
    /// Reads them.
    pub(super) fn read(sources: &Sources, asked: Asked) -> Result<Self, Exit> {
        let readable: BTreeSet<PathBuf> =
            check::list(sources, "SATELLITE_READABLE_PATHS").iter().map(PathBuf::from).collect();
        if let Some(path) = readable.iter().find(|path| !path.is_absolute()) {
            return Err(usage(
                format!("SATELLITE_READABLE_PATHS names {}", path.display()),
                "use absolute paths, with commas between",
            ));
        }
        let is_wanted = check::boolean(sources, "SATELLITE_SERVER_JAIL")?;
        if asked == Asked::Required && !is_wanted {
            return Err(usage(
                "isolation is required, and SATELLITE_SERVER_JAIL is false",
                "let servers be jailed, or use --isolation best-effort",
            ));
        }
        Ok(JailSettings {
            is_wanted,
            readable,
            is_offline: check::boolean(sources, "SATELLITE_SERVERS_OFFLINE")?,
            makes_accounts: check::boolean(sources, "SATELLITE_TEAM_ACCOUNTS")?,
        })
    }
}
