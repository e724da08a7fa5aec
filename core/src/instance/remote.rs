//! An instance that is reached over a network: it has no process, it has a conversation.
//!
//! ```text
//!  Connecting ──► Discovering ──► Online
//!     ▲   │            │            │ a call or a probe failed
//!     │   ▼            ▼            ▼
//!     └── Down: offline · error · requires_reauth
//!      a round trip succeeded, or somebody asked for a recovery
//! ```
//!
//! What calls meet and what probes find feed the one machine. While it is down the server is tried
//! now and then, and nothing of that is told before a round trip succeeds: then, and only then, it
//! is discovered anew. What it offered stays on offer until more is known.

mod down;
mod linked;

use serde::{Deserialize, Serialize};

use super::Event;
use super::state::{Purpose, Then};
use crate::id::Incarnation;
use crate::remote::Fault;
use crate::time::Timestamp;
use crate::view::InstanceStatus;

pub(super) use linked::handle;

/// The state of an instance that is reached over a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "remote", rename_all = "snake_case")]
pub enum Remote {
    /// It is being greeted.
    Connecting {
        /// The conversation.
        link: Link,
        /// What for.
        purpose: Purpose,
        /// When it is given up.
        until: Timestamp,
    },
    /// It is being asked what it offers.
    Discovering {
        /// The conversation.
        link: Link,
        /// What for.
        purpose: Purpose,
        /// When it is given up.
        until: Timestamp,
    },
    /// Serving.
    Online {
        /// The conversation.
        link: Link,
        /// Since when.
        since: Timestamp,
        /// When it was last asked for a sign of life.
        asked: Option<Timestamp>,
    },
    /// The last that is known of it is a failure.
    Down {
        /// The conversation.
        link: Link,
        /// Whose turn it is to do something about it.
        fault: Fault,
        /// How it is tried again.
        attempt: Attempt,
    },
    /// The conversation has been told to end.
    Disconnecting {
        /// The conversation.
        link: Link,
        /// What follows.
        then: Then,
        /// When its end is believed in any case.
        until: Timestamp,
    },
}

/// One conversation with the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Which one.
    pub incarnation: Incarnation,
    /// When it was asked for.
    pub since: Timestamp,
    /// Whether the server has ever answered the handshake, so that calls can be sent.
    pub is_greeted: bool,
    /// Whether it ended by itself.
    pub is_closed: bool,
}

/// How a server that is down is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attempt {
    /// Not before somebody wants it.
    Awaited,
    /// At this moment.
    Due {
        /// When.
        at: Timestamp,
    },
    /// It is being discovered anew.
    Running {
        /// When that is given up.
        until: Timestamp,
    },
}

impl Remote {
    /// The state's name in tables, traces and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Remote::Connecting { .. } => "connecting",
            Remote::Discovering { .. } => "discovering",
            Remote::Online { .. } => "online",
            Remote::Down { fault: Fault::Unreachable, .. } => "offline",
            Remote::Down { fault: Fault::AuthorisationNeeded, .. } => "requires_reauth",
            Remote::Down { fault: Fault::Broken, .. } => "error",
            Remote::Disconnecting { .. } => "disconnecting",
        }
    }

    /// The status the outside sees.
    pub fn status(&self) -> InstanceStatus {
        match self {
            Remote::Connecting { .. } => InstanceStatus::Connecting,
            Remote::Discovering { .. } => InstanceStatus::DiscoveringTools,
            Remote::Online { .. } => InstanceStatus::Online,
            Remote::Down { fault: Fault::Unreachable, .. } => InstanceStatus::Offline,
            Remote::Down { fault: Fault::AuthorisationNeeded, .. } => {
                InstanceStatus::RequiresReauth
            }
            Remote::Down { fault: Fault::Broken, .. } => InstanceStatus::Error,
            Remote::Disconnecting { then: Then::Restart { .. }, .. } => InstanceStatus::Restarting,
            Remote::Disconnecting { .. } => InstanceStatus::Offline,
        }
    }

    /// Its conversation.
    pub fn link(&self) -> &Link {
        match self {
            Remote::Connecting { link, .. }
            | Remote::Discovering { link, .. }
            | Remote::Online { link, .. }
            | Remote::Down { link, .. }
            | Remote::Disconnecting { link, .. } => link,
        }
    }

    /// Where calls go: also to a server that is down, as a call may be what finds it back; but not
    /// where only a person can help.
    pub fn takes_calls(&self) -> bool {
        let link = self.link();
        let is_open = !matches!(
            self,
            Remote::Down { fault: Fault::AuthorisationNeeded, .. } | Remote::Disconnecting { .. }
        );
        is_open && link.is_greeted && !link.is_closed
    }

    /// What an event tells besides, of which nothing was said before: who was greeted was reached,
    /// and who told its lists was greeted. So no step of a way up is skipped, whatever was left out
    /// of the reports because a failure came between.
    pub(super) fn implied_by(&self, event: &Event) -> Option<Event> {
        let Link { incarnation, is_closed, .. } = *self.link();
        if event.incarnation() != Some(incarnation) || is_closed {
            return None;
        }
        match (self, event) {
            (Remote::Down { .. }, Event::Initialized { .. }) => {
                Some(Event::Reached { incarnation, discovers: true })
            }
            (Remote::Connecting { .. }, Event::Listed { .. }) => {
                Some(Event::Initialized { incarnation })
            }
            _ => None,
        }
    }

    /// Whether it is being found out how the server is.
    pub fn is_busy(&self) -> bool {
        matches!(
            self,
            Remote::Connecting { .. }
                | Remote::Discovering { .. }
                | Remote::Disconnecting { .. }
                | Remote::Down { attempt: Attempt::Running { .. }, .. }
        )
    }
}
