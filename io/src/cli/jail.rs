//! Whether and how the servers of a daemon are jailed.

use std::io;
use std::path::Path;

use crate::host::{HostOptions, JailOptions, LinuxHost, MissingPart};
use crate::settings::DaemonSettings;

/// A host whose servers are jailed, if the settings want it and this machine allows it; else
/// unjailed, with what is missing. `state` is the state directory.
pub(super) async fn host(
    settings: &DaemonSettings,
    state: &Path,
    options: HostOptions,
) -> io::Result<(LinuxHost, Option<MissingPart>)> {
    let wanted = &settings.jail;
    if !wanted.is_wanted {
        return Ok((LinuxHost::new(options)?, None));
    }
    let jail = JailOptions {
        readable: wanted.readable.clone(),
        // A relative name means a place that no server could tell.
        hidden: state.canonicalize().into_iter().collect(),
        is_offline: wanted.is_offline,
        makes_accounts: wanted.makes_accounts,
        ..JailOptions::default()
    };
    let host = LinuxHost::new(HostOptions { jail: Some(jail), ..options.clone() })?;
    match host.rehearse().await {
        Ok(()) => Ok((host, None)),
        Err(missing) => Ok((LinuxHost::new(options)?, Some(missing))),
    }
}
