//! The list of event types: each with its text and the shape of its data.

use alloc::borrow::ToOwned;
use alloc::string::String;

use serde::{Serialize, Serializer};

use super::{
    ClientActivity, ClientConnected, ClientDisconnected, ConfigError, ConfigRefreshed,
    CredentialsAccessed, EventsGap, LimitExceeded, LogRateLimitExceeded, RequestLogs,
    SecurityAuthFailed, ServerCrashed, ServerDormant, ServerLogs, ServerPermanentlyFailed,
    ServerRespawned, ServerRestarted, ServerStarted, ServerStopped, StatusChanged, ToolExecuted,
    ToolsDiscovered, ToolsUpdated,
};
use crate::wire::decode;

/// Why an event cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventFault {
    /// Its type is not one of [`EventData::KINDS`].
    UnknownType(String),
    /// Its envelope or data is not as its type wants; says what.
    Invalid(String),
}

/// What a bound of a type's data is broken by, if any.
pub(super) trait Bounds {
    /// The complaint, if there is one.
    fn complaint(&self) -> Option<&'static str> {
        None
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:literal => $name:ident,)*) => {
        /// What happened: one shape for each event type.
        #[derive(Clone, Debug, PartialEq)]
        pub enum EventData {
            $($(#[$doc])* $name($name),)*
        }

        impl EventData {
            /// Every type there is.
            pub const KINDS: &'static [&'static str] = &[$($kind),*];

            /// The type spelled `kind`, or nothing but an empty one if there is no such.
            pub fn known_kind(kind: &str) -> &'static str {
                EventData::KINDS.iter().find(|known| **known == kind).copied().unwrap_or_default()
            }

            /// The event's type.
            pub fn kind(&self) -> &'static str {
                match self {
                    $(EventData::$name(_) => $kind,)*
                }
            }

            /// Reads the data of an event of type `kind`.
            ///
            /// # Errors
            ///
            /// The field that is wrong, or that the type is not known.
            pub fn read(kind: &str, data: &[u8]) -> Result<EventData, EventFault> {
                match kind {
                    $($kind => {
                        let data: $name = decode("data", data).map_err(EventFault::Invalid)?;
                        match data.complaint() {
                            Some(complaint) => Err(EventFault::Invalid(complaint.to_owned())),
                            None => Ok(EventData::$name(data)),
                        }
                    })*
                    _ => Err(EventFault::UnknownType(kind.to_owned())),
                }
            }
        }

        #[cfg(feature = "schema")]
        impl EventData {
            /// Every type with the schema of its data.
            pub(crate) fn schemas(
                generator: &mut schemars::SchemaGenerator,
            ) -> alloc::vec::Vec<(&'static str, schemars::Schema)> {
                alloc::vec![$(($kind, generator.subschema_for::<$name>())),*]
            }
        }

        impl Serialize for EventData {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(EventData::$name(data) => data.serialize(serializer),)*
                }
            }
        }

        $(impl From<$name> for EventData {
            fn from(data: $name) -> EventData {
                EventData::$name(data)
            }
        })*
    };
}

kinds! {
    /// An instance's published status changed.
    "mcp.server.status_changed" => StatusChanged,
    /// A process serves.
    "mcp.server.started" => ServerStarted,
    /// A process ended unasked.
    "mcp.server.crashed" => ServerCrashed,
    /// A process took the place of one that crashed.
    "mcp.server.restarted" => ServerRestarted,
    /// An idle process was ended; its tools stay known.
    "mcp.server.dormant" => ServerDormant,
    /// A dormant instance has a process again.
    "mcp.server.respawned" => ServerRespawned,
    /// A process crashed too often.
    "mcp.server.permanently_failed" => ServerPermanentlyFailed,
    /// A server was ended on purpose.
    "mcp.server.stopped" => ServerStopped,
    /// Lines a server logged.
    "mcp.server.logs" => ServerLogs,
    /// Lines of a server were dropped.
    "mcp.server.log_rate_limit_exceeded" => LogRateLimitExceeded,
    /// Calls of a server's tools, in detail.
    "mcp.request.logs" => RequestLogs,
    /// What tools a server has.
    "mcp.tools.discovered" => ToolsDiscovered,
    /// A server's tools changed.
    "mcp.tools.updated" => ToolsUpdated,
    /// A tool was called.
    "mcp.tool.executed" => ToolExecuted,
    /// What an MCP client did of late.
    "mcp.client.activity" => ClientActivity,
    /// An MCP client opened a session.
    "mcp.client.connected" => ClientConnected,
    /// An MCP client's session ended.
    "mcp.client.disconnected" => ClientDisconnected,
    /// A configuration was applied.
    "config.refreshed" => ConfigRefreshed,
    /// A configuration could not be fetched.
    "config.error" => ConfigError,
    /// Somebody was refused.
    "security.auth.failed" => SecurityAuthFailed,
    /// A server was given what is secret (addition).
    "security.credentials.accessed" => CredentialsAccessed,
    /// A bound was reached.
    "resource.limit.exceeded" => LimitExceeded,
    /// Events were lost before they could be sent.
    "satellite.events.gap" => EventsGap,
}
