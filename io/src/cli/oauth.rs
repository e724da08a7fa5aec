//! What a Backend needs to connect users to remotes.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use satellite_core::secret::Secret;

use crate::backend::OauthSettings;
use crate::egress::EgressClient;
use crate::exit::{Exit, usage};
use crate::settings::{OutboundSettings, Sources};

const NAME: &str = "DEPLOYSTACK_ENCRYPTION_SECRET";
const FILE: &str = "DEPLOYSTACK_ENCRYPTION_SECRET_FILE";

/// The secret that tokens are sealed with, if one is set.
pub(super) fn secret(sources: &Sources) -> Result<Option<Secret>, Exit> {
    if let Some(text) = sources.given(NAME) {
        return long_enough(text, NAME).map(Some);
    }
    let Some(path) = sources.given(FILE) else { return Ok(None) };
    let cannot = |why: &dyn std::fmt::Display| {
        usage(
            format!("{FILE}: {path}: {why}"),
            "name a file with at least 32 random characters that only this user may read",
        )
    };
    let metadata = std::fs::metadata(Path::new(&path)).map_err(|error| cannot(&error))?;
    if metadata.mode() & 0o077 != 0 {
        return Err(cannot(&"others may read it; `chmod 600` it"));
    }
    let text = std::fs::read_to_string(&path).map_err(|error| cannot(&error))?;
    long_enough(text.trim().to_owned(), FILE).map(Some)
}

fn long_enough(text: String, name: &str) -> Result<Secret, Exit> {
    if text.len() < 32 {
        return Err(usage(
            format!("{name} is shorter than 32 characters"),
            "make one with `openssl rand -hex 32`, and keep it: what it sealed opens with it alone",
        ));
    }
    Ok(Secret::new(text))
}

/// The settings with this secret, for a Backend at `url` if that is known.
pub(super) fn settings(
    outbound: &OutboundSettings,
    url: Option<&str>,
    secret: Secret,
) -> Result<OauthSettings, Exit> {
    let options = outbound.egress(url, None);
    let rules = options.rules.clone();
    let client = EgressClient::new(options).map_err(|failure| {
        usage(format!("cannot make HTTP requests: {failure}"), "check the proxy's settings")
    })?;
    Ok(OauthSettings { encryption_secret: secret, outbound: Arc::new(client), rules })
}
