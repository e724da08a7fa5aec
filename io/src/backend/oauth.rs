//! The Backend as a client of authorisation servers: it lets users connect to remotes, keeps their
//! tokens sealed, and renews them.
//!
//! Rules are in `satellite_core::backend::oauth`. A user opens a one-time link, which an
//! administrator (or `satellite server connect`) asked for; the page behind it leads to the
//! authorisation server and back. Nothing here knows a user's password or session: whoever holds
//! the link connects, so the page says for whom it is, the link is good for one try within 15
//! minutes, and the answer counts only in the browser that began.

mod connecting;
mod discovery;
mod outbound;
mod renewal;
mod seal;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use satellite_core::backend::oauth::pace::Pace;
use satellite_core::egress::Rules;
use satellite_core::id::SatelliteId;
use satellite_core::secret::Secret;
use satellite_core::time::Timestamp;
use tokio::sync::Notify;

pub(super) use connecting::{Begun, Obstacle};
pub use outbound::{Fetch, Reply};
pub(super) use renewal::Lookup;

use super::store::StoreError;
use seal::Sealer;

/// What a Backend needs in order to connect users to remotes.
#[derive(Clone)]
pub struct OauthSettings {
    /// What the stored tokens are sealed with: at least 32 bytes. Without it they are of no use.
    pub encryption_secret: Secret,
    /// Carries requests to authorisation servers and remotes.
    pub outbound: Arc<dyn Fetch>,
    /// Whom they may reach.
    pub rules: Rules,
}

impl fmt::Debug for OauthSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OauthSettings").field("rules", &self.rules).finish_non_exhaustive()
    }
}

/// The client half of a running Backend.
pub(super) struct Oauth {
    sealer: Sealer,
    outbound: Arc<dyn Fetch>,
    rules: Rules,
    renewed: Notify,
    pace: Mutex<Pace>,
}

impl Oauth {
    pub(super) fn open(settings: OauthSettings) -> Result<Oauth, StoreError> {
        Ok(Oauth {
            sealer: Sealer::new(&settings.encryption_secret)?,
            outbound: settings.outbound,
            rules: settings.rules,
            renewed: Notify::new(),
            pace: Mutex::default(),
        })
    }

    /// Lets a satellite ask for a token, or says after how many seconds it may.
    pub(super) fn admit(&self, who: &SatelliteId, now: Timestamp) -> Result<(), u64> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner).take(who, now)
    }
}
