//! What the surface remembers of users: access tokens it asked about, and sessions.

use std::sync::Arc;

use satellite_core::control::Event;
use satellite_core::credentials::Credentials;
use satellite_core::id::{TeamId, UserId};
use tokio::sync::watch;

use super::identities::Identities;
use super::sessions::SessionTable;
use super::usage::Usage;
use crate::clock::Clock;
use crate::driver::Inbox;
use crate::entropy::Entropy;

/// What the surface remembers of users. Cheap to clone; all clones are one memory.
#[derive(Clone, Debug)]
pub struct Users {
    pub(super) identities: Arc<Identities>,
    pub(super) sessions: Arc<SessionTable>,
    pub(super) usage: Arc<Usage>,
    clock: Clock,
}

/// What was forgotten of a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Access tokens that were known to be the user's.
    pub identities: u64,
    /// Sessions that were ended.
    pub sessions: u64,
}

impl Users {
    /// Nobody is known yet. The satellite asks about tokens with its own `credentials`; `control` is
    /// told what users do; ids of sessions come from `entropy`. To be called on a runtime.
    pub fn new(
        credentials: watch::Receiver<Option<Credentials>>,
        control: Inbox<Event>,
        clock: Clock,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let usage = Arc::new(Usage::start(control, clock));
        Users {
            identities: Arc::new(Identities::new(credentials)),
            sessions: Arc::new(SessionTable::new(Arc::clone(&usage), entropy)),
            usage,
            clock,
        }
    }

    /// Forgets the user's access tokens and ends the user's sessions; with a team, only those that
    /// belong to the user as its member. The next request with such a token asks the Backend.
    pub fn forget(&self, user: &UserId, team: Option<&TeamId>) -> Forgotten {
        let identities = self.identities.forget(user, team);
        let sessions = self.sessions.close_all(self.clock.now(), user, team);
        Forgotten { identities, sessions }
    }
}
