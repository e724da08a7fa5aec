//! What MCP clients do, in the words in which the surface tells it to the control machine.
//!
//! Free of secrets from the start: what a client sent and a server answered is an excerpt already,
//! made with [`crate::redaction`].

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::{InstanceKey, SessionId, TeamId, UserId};
use crate::limits::CLIENT_TEXT_MAX_BYTES;
use crate::recording::words::Word;
use crate::redaction::Redaction;
use crate::router::identity::Subject;
use crate::router::outcome::Outcome;
use crate::time::Timestamp;
use crate::wire::event::DisconnectReason;

/// A client, from the start of its session to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Its session.
    pub session: SessionId,
    /// Whom it acts for.
    pub user: UserId,
    /// The team it acts in.
    pub team: TeamId,
    /// The OAuth client its token was issued to; `instance-token` for the holder of an instance's
    /// own token, `unknown` where the Backend names none.
    pub oauth_client: String,
    /// What it calls itself.
    pub name: Option<String>,
    /// Its `User-Agent`.
    pub user_agent: Option<String>,
    /// Its address.
    pub ip_address: Option<String>,
    /// Since when it is connected.
    pub since: Timestamp,
}

/// Reports that are handed over together.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Batch {
    /// The reports, in order.
    pub reports: Vec<Report>,
    /// Dropped with the reports: whoever handed them over learns that they have been dealt with.
    #[serde(skip)]
    _receipt: Option<Box<dyn Any + Send + Sync>>,
}

impl Batch {
    /// `reports`, and what is to be dropped once they have been dealt with.
    pub fn with_receipt(reports: Vec<Report>, receipt: impl Any + Send + Sync) -> Batch {
        Batch { reports, _receipt: Some(Box::new(receipt)) }
    }
}

impl From<Vec<Report>> for Batch {
    fn from(reports: Vec<Report>) -> Batch {
        Batch { reports, _receipt: None }
    }
}

/// What a client says of itself, and where it calls from.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// What it calls itself.
    pub name: Option<String>,
    /// Its `User-Agent`.
    pub user_agent: Option<String>,
    /// Its address.
    pub ip_address: Option<String>,
}

impl Origin {
    /// With every text at most [`CLIENT_TEXT_MAX_BYTES`] long.
    pub fn bounded(self) -> Origin {
        let short = |text: Option<String>| {
            text.map(|text| Redaction::default().brief(&text, CLIENT_TEXT_MAX_BYTES))
        };
        Origin {
            name: short(self.name),
            user_agent: short(self.user_agent),
            ip_address: short(self.ip_address),
        }
    }
}

impl Client {
    /// A client with a user's access token.
    pub fn of_subject(
        subject: &Subject,
        session: SessionId,
        origin: Origin,
        since: Timestamp,
    ) -> Self {
        let named = subject.client.clone().filter(|client| !client.is_empty());
        Client {
            session,
            user: subject.user.clone(),
            team: subject.team.clone(),
            oauth_client: named.unwrap_or_else(|| String::from("unknown")),
            name: origin.name,
            user_agent: origin.user_agent,
            ip_address: origin.ip_address,
            since,
        }
    }

    /// A client with an instance's own token.
    pub fn of_instance(
        key: &InstanceKey,
        session: SessionId,
        origin: Origin,
        since: Timestamp,
    ) -> Self {
        Client {
            session,
            user: key.user.clone(),
            team: key.team.clone(),
            oauth_client: String::from("instance-token"),
            name: origin.name,
            user_agent: origin.user_agent,
            ip_address: origin.ip_address,
            since,
        }
    }

    /// `vscode`, `cursor`, `claude` or `unknown`, by what it says of itself.
    pub fn kind(&self) -> &'static str {
        let says = |word: &str| {
            [&self.name, &self.user_agent]
                .into_iter()
                .flatten()
                .any(|text| text.to_ascii_lowercase().contains(word))
        };
        if says("cursor") {
            "cursor"
        } else if says("vscode") || says("visual studio code") {
            "vscode"
        } else if says("claude") {
            "claude"
        } else {
            "unknown"
        }
    }
}

/// Something a client did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// It opened a session.
    Connected {
        /// Who.
        #[serde(with = "crate::recording::shared")]
        client: Arc<Client>,
    },
    /// It made a request that was no call of a tool.
    Requested {
        /// Who.
        #[serde(with = "crate::recording::shared")]
        client: Arc<Client>,
        /// When.
        at: Timestamp,
    },
    /// A call of a tool ended.
    Called(EndedCall),
    /// Its session is over.
    Disconnected {
        /// Who.
        #[serde(with = "crate::recording::shared")]
        client: Arc<Client>,
        /// Why.
        reason: DisconnectReason,
        /// When.
        at: Timestamp,
    },
    /// Somebody was refused who showed a credential.
    Refused(RefusedCredential),
}

/// A call of a tool, at its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndedCall {
    /// Who called.
    #[serde(with = "crate::recording::shared")]
    pub client: Arc<Client>,
    /// The instance.
    pub key: InstanceKey,
    /// The tool.
    pub tool: String,
    /// When it was called.
    pub began: Timestamp,
    /// From the call to the answer, the wait for the instance included.
    pub duration_ms: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it failed, in words of our own; nothing if it succeeded.
    pub error: Option<String>,
    /// Whether the installation has its calls reported in detail.
    pub is_logged: bool,
    /// The details, if it has and if there were not too many at once.
    pub detail: Option<Detail>,
}

/// Excerpts of a call and its answer, without secrets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detail {
    /// The arguments.
    pub params: Value,
    /// The result, or the server's error.
    pub response: Option<Value>,
}

/// A refusal of somebody who showed a credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedCredential {
    /// The team, if it is known.
    pub team: Option<TeamId>,
    /// The client, if it is known.
    pub client: Option<String>,
    /// Why, as one word.
    #[serde(deserialize_with = "crate::recording::words::read")]
    pub reason: Word,
    /// Where the request came from.
    pub ip_address: Option<String>,
    /// When.
    pub at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_known_by_what_it_says_of_itself() {
        let key = InstanceKey { team: "t".into(), installation: "i".into(), user: "u".into() };
        for (name, agent, expected) in [
            (Some("Visual Studio Code"), None, "vscode"),
            (None, Some("Cursor/1.2 (vscode)"), "cursor"),
            (Some("claude-ai"), Some("node"), "claude"),
            (Some("inspector"), None, "unknown"),
            (None, None, "unknown"),
        ] {
            let origin = Origin {
                name: name.map(String::from),
                user_agent: agent.map(String::from),
                ip_address: None,
            };
            let client = Client::of_instance(&key, "s".into(), origin, Timestamp(0));
            assert_eq!(client.kind(), expected, "{name:?} {agent:?}");
        }
    }

    #[test]
    fn what_a_client_says_of_itself_is_bounded() {
        let long = Some("é".repeat(10_000));
        let origin = Origin { name: long.clone(), user_agent: long, ip_address: None }.bounded();
        assert!(origin.name.is_some_and(|name| name.len() < CLIENT_TEXT_MAX_BYTES + 8));
    }
}
