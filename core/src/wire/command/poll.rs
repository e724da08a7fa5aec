//! `GET …/commands`: the question and its reply.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use super::Command;
use crate::id::CommandId;
use crate::time::IsoTime;
use crate::wire::{decode, path};

/// The query of a poll.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PollQuery {
    /// When the last successful poll began. Also sent as the header `X-Last-Poll`. The Backend
    /// stores it and withholds nothing because of it.
    #[serde(default)]
    pub last_poll: Option<IsoTime>,
    /// How many commands to hand out at most, 1..=50; 10 if missing.
    #[serde(default)]
    pub limit: Option<u32>,
    /// For how many whole seconds the Backend may hold the poll (addition `poll-wait`).
    #[serde(default)]
    pub wait: Option<u64>,
}

impl PollQuery {
    /// The query string with its question mark; nothing for an empty query.
    pub fn to_query(&self) -> String {
        let mut query = String::new();
        let mut push = |name: &str, value: &str| {
            query.push(if query.is_empty() { '?' } else { '&' });
            query.push_str(&format!("{name}={}", path::escape(value)));
        };
        if let Some(last_poll) = self.last_poll {
            push("last_poll", &last_poll.0.to_iso());
        }
        if let Some(limit) = self.limit {
            push("limit", &format!("{limit}"));
        }
        if let Some(wait) = self.wait {
            push("wait", &format!("{wait}"));
        }
        query
    }
}

/// The reply to a poll.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PollReply {
    /// The commands handed out, the most urgent first.
    pub commands: Vec<Command>,
    /// How the Backend sees the satellite's pace.
    pub polling_mode: PollingMode,
    /// Seconds until the next poll should start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_poll_interval: Option<u64>,
    /// Whether a maintenance window is open (addition; missing means no).
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    pub maintenance: bool,
    /// Commands that could not be read. Never sent.
    #[serde(skip_serializing)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub unreadable: Vec<Unreadable>,
}

/// A command that could not be read; the others of its reply are none the worse for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Its id, if that much could be read: then it can be answered by a failure.
    pub id: Option<CommandId>,
    /// What is wrong with it.
    pub reason: String,
}

impl<'de> Deserialize<'de> for PollReply {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Raw {
            #[serde(default)]
            commands: Option<Vec<Box<RawValue>>>,
            #[serde(default)]
            polling_mode: Option<PollingMode>,
            #[serde(default, deserialize_with = "crate::wire::lenient::hint")]
            next_poll_interval: Option<u64>,
            #[serde(default)]
            maintenance: Option<bool>,
        }
        #[derive(Deserialize)]
        struct Named {
            id: CommandId,
        }
        let raw = Raw::deserialize(deserializer)?;
        let (mut commands, mut unreadable) = (Vec::new(), Vec::new());
        for text in raw.commands.unwrap_or_default() {
            match decode::<Command>("command", text.get().as_bytes()) {
                Ok(command) => commands.push(command),
                Err(reason) => {
                    let named = decode::<Named>("command", text.get().as_bytes()).ok();
                    unreadable.push(Unreadable { id: named.map(|named| named.id), reason });
                }
            }
        }
        Ok(PollReply {
            commands,
            polling_mode: raw.polling_mode.unwrap_or(PollingMode::Normal),
            next_poll_interval: raw.next_poll_interval,
            maintenance: raw.maintenance.unwrap_or_default(),
            unreadable,
        })
    }
}

/// A poll's pace in a word; the interval beside it is what counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PollingMode {
    /// An immediate command waits or was just handed out.
    Immediate,
    /// Ordinary.
    Normal,
    /// Nothing waits.
    Slow,
    /// A word this version does not know.
    Other(String),
}

impl PollingMode {
    /// The wire's spelling.
    pub fn as_str(&self) -> &str {
        match self {
            PollingMode::Immediate => "immediate",
            PollingMode::Normal => "normal",
            PollingMode::Slow => "slow",
            PollingMode::Other(text) => text,
        }
    }
}

impl Serialize for PollingMode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for PollingMode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(match text.as_str() {
            "immediate" => PollingMode::Immediate,
            "normal" => PollingMode::Normal,
            "slow" => PollingMode::Slow,
            other => PollingMode::Other(other.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;
    use crate::wire::command::{CommandType, Priority};
    use crate::wire::encode;

    #[test]
    fn the_query_is_escaped_and_empty_without_fields() {
        assert_eq!(PollQuery::default().to_query(), "");
        let query = PollQuery {
            last_poll: Some(IsoTime(Timestamp(1_769_850_902_123))),
            limit: Some(10),
            wait: Some(25),
        };
        assert_eq!(query.to_query(), "?last_poll=2026-01-31T09%3A15%3A02.123Z&limit=10&wait=25");
    }

    #[test]
    fn a_reply_of_the_field_is_read() {
        let reply: PollReply = decode(
            "poll reply",
            br#"{"commands":[{"id":"cmd_a1","command_type":"configure","priority":"immediate",
                "payload":{"event":"mcp_installation_created","installation_id":"inst_1",
                "team_id":"team_9","user_id":"user_1"},"correlation_id":"corr_7"}],
                "polling_mode":"immediate","next_poll_interval":2}"#,
        )
        .unwrap();
        assert_eq!(reply.polling_mode, PollingMode::Immediate);
        assert_eq!(reply.next_poll_interval, Some(2));
        assert!(!reply.maintenance);
        let command = &reply.commands[0];
        assert_eq!(command.command_type, CommandType::Configure);
        assert_eq!(command.priority, Priority::Immediate);
        assert_eq!(command.team().unwrap().as_str(), "team_9");
        assert_eq!(command.event(), Some("mcp_installation_created"));
        assert_eq!(command.attempt, None);
    }

    #[test]
    fn one_unreadable_command_costs_only_itself() {
        let reply: PollReply = decode(
            "poll reply",
            br#"{"commands":[{"id":"a","command_type":"kill","payload":null},
                {"id":"b","command_type":7},{"command_type":"kill"},
                {"id":"c","command_type":"dance","priority":"whenever","attempt":"x"}],
                "polling_mode":"frantic","next_poll_interval":"soon"}"#,
        )
        .unwrap();
        let ids: Vec<_> = reply.commands.iter().map(|command| command.id.as_str()).collect();
        assert_eq!(ids, ["a", "c"]);
        assert_eq!(reply.commands[1].command_type, CommandType::Unknown("dance".into()));
        assert_eq!(reply.commands[1].priority, Priority::Normal);
        assert_eq!(reply.unreadable[0].id, Some(CommandId::from("b")));
        assert!(reply.unreadable[0].reason.contains("command_type"), "{:?}", reply.unreadable);
        assert_eq!(reply.unreadable[1].id, None);
        assert_eq!(reply.polling_mode, PollingMode::Other("frantic".into()));
        assert_eq!(reply.next_poll_interval, None);
    }

    #[test]
    fn a_payload_too_deep_to_read_leaves_an_id_to_answer() {
        let payload = ["{\"a\":".repeat(100_000), "1".into(), "}".repeat(100_000)].concat();
        let json = format!(
            r#"{{"commands":[{{"payload":{payload},"command_type":"kill","id":"deep"}},
                {{"id":"next","command_type":"kill"}}]}}"#
        );
        let reply: PollReply = decode("poll reply", json.as_bytes()).unwrap();
        assert_eq!(reply.unreadable[0].id, Some(CommandId::from("deep")));
        assert_eq!(reply.commands[0].id, CommandId::from("next"));
    }

    #[test]
    fn an_ordinary_reply_has_the_fields_of_the_contract_and_no_other() {
        let reply = PollReply {
            commands: Vec::new(),
            polling_mode: PollingMode::Slow,
            next_poll_interval: Some(60),
            maintenance: false,
            unreadable: Vec::new(),
        };
        assert_eq!(
            encode(&reply),
            br#"{"commands":[],"polling_mode":"slow","next_poll_interval":60}"#
        );
    }
}
