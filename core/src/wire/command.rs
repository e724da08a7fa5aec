//! Commands: the poll, what it brings, and the result that goes back.

mod poll;
mod result;

pub use poll::{PollQuery, PollReply, PollingMode, Unreadable};
pub use result::{CommandResult, CommandStatus};

use alloc::borrow::ToOwned;
use alloc::string::String;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::id::{CommandId, InstallationId, TeamId, UserId};

/// A command of the Backend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Command {
    /// Its id. The same id is the same command, however often it is delivered.
    pub id: CommandId,
    /// What to do.
    pub command_type: CommandType,
    /// How urgent it is.
    #[serde(default)]
    pub priority: Priority,
    /// With what; its keys depend on the type. `null` has none.
    #[serde(default, deserialize_with = "super::lenient::or_default")]
    pub payload: Map<String, Value>,
    /// Ties the commands of one broadcast, and events about them, together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// Which delivery this is, from 1 (addition `command-lease`).
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "super::lenient::hint"
    )]
    pub attempt: Option<u64>,
    /// Seconds from receipt after which it must no longer be begun (addition `command-lease`).
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "super::lenient::hint"
    )]
    pub expires_in: Option<u64>,
    /// Seconds from receipt after which the Backend delivers it again, unless it was acknowledged
    /// or answered (addition `command-lease`).
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "super::lenient::hint"
    )]
    pub lease_seconds: Option<u64>,
}

impl Command {
    /// A text of the payload; an empty one counts as missing.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.payload.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// The team the command is for, if it names one.
    pub fn team(&self) -> Option<TeamId> {
        self.text("team_id").map(TeamId::new)
    }

    /// The installation it is about, if it names one.
    pub fn installation(&self) -> Option<InstallationId> {
        self.text("installation_id").map(InstallationId::new)
    }

    /// The user it is about, if it names one.
    pub fn user(&self) -> Option<UserId> {
        self.text("user_id").map(UserId::new)
    }

    /// What happened at the Backend, e.g. `mcp_recovery`.
    pub fn event(&self) -> Option<&str> {
        self.text("event")
    }

    /// What is wanted within the type, e.g. `update_tool_status`.
    pub fn action(&self) -> Option<&str> {
        self.text("action")
    }
}

/// What a command asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CommandType {
    /// Fetch and apply the configuration, or one of its `event`s and `action`s.
    Configure,
    /// Start a server.
    Spawn,
    /// End a server.
    Kill,
    /// End and start a server.
    Restart,
    /// Check servers, or one server's credentials.
    HealthCheck,
    /// Forget what is cached about a user.
    InvalidateUserTokenCache,
    /// A type this version does not know; it is answered by a failure.
    Unknown(String),
}

impl CommandType {
    /// The types that have a meaning.
    pub const KNOWN: [CommandType; 6] = [
        CommandType::Configure,
        CommandType::Spawn,
        CommandType::Kill,
        CommandType::Restart,
        CommandType::HealthCheck,
        CommandType::InvalidateUserTokenCache,
    ];

    /// The wire's spelling.
    pub fn as_str(&self) -> &str {
        match self {
            CommandType::Configure => "configure",
            CommandType::Spawn => "spawn",
            CommandType::Kill => "kill",
            CommandType::Restart => "restart",
            CommandType::HealthCheck => "health_check",
            CommandType::InvalidateUserTokenCache => "invalidate_user_token_cache",
            CommandType::Unknown(text) => text,
        }
    }

    /// Reads the wire's spelling.
    pub fn from_wire(text: &str) -> Self {
        CommandType::KNOWN
            .into_iter()
            .find(|known| known.as_str() == text)
            .unwrap_or_else(|| CommandType::Unknown(text.to_owned()))
    }
}

impl Serialize for CommandType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for CommandType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| CommandType::from_wire(&text))
    }
}

/// How urgent a command is. The most urgent is the smallest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Somebody waits for it.
    Immediate,
    /// Soon.
    High,
    /// Whenever.
    #[default]
    Normal,
    /// After everything else.
    Low,
}

impl Priority {
    /// The wire's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Priority::Immediate => "immediate",
            Priority::High => "high",
            Priority::Normal => "normal",
            Priority::Low => "low",
        }
    }

    /// Reads the wire's spelling.
    pub fn from_wire(text: &str) -> Option<Self> {
        match text {
            "immediate" => Some(Priority::Immediate),
            "high" => Some(Priority::High),
            "normal" => Some(Priority::Normal),
            "low" => Some(Priority::Low),
            _ => None,
        }
    }
}

impl Serialize for Priority {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Priority {
    /// A priority this version does not know is an ordinary one.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        Ok(text.as_deref().and_then(Priority::from_wire).unwrap_or_default())
    }
}
