//! Refusals, and how each reaches the client.

use alloc::string::String;

use super::scope::Scope;
use crate::view::InstanceStatus;

/// A refusal: what kind, and what to tell the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// What kind of refusal it is.
    pub kind: DenialKind,
    /// What happened and what to do next, for people.
    pub text: String,
}

impl Denial {
    /// A refusal of `kind` with the words `text`.
    pub fn new(kind: DenialKind, text: impl Into<String>) -> Self {
        Denial { kind, text: text.into() }
    }
}

/// Kinds of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DenialKind {
    /// No access token was sent.
    TokenMissing,
    /// The access token is not accepted, or nobody could be asked about it.
    TokenInvalid,
    /// The access token lacks a scope.
    ScopeMissing(Scope),
    /// The satellite serves another team.
    WrongTeam,
    /// The instance token is missing, malformed, or leads nowhere.
    InstanceToken,
    /// The instance token is good, but not for this path.
    InstancePath,
    /// No such tool or resource, or not this user's.
    TargetUnknown,
    /// The arguments are wrong.
    Arguments,
    /// An administrator switched the tool off.
    ToolDisabled,
    /// The instance can't serve until somebody acts.
    InstanceBlocked(InstanceStatus),
    /// The instance did not become ready in time, or was removed meanwhile.
    InstanceUnready,
}

/// How a refusal reaches the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presentation {
    /// An HTTP status, with a JSON-RPC error of this code as the body.
    Http {
        /// The status.
        status: u16,
        /// The JSON-RPC code.
        code: i64,
    },
    /// Status 200 and a JSON-RPC error.
    Error {
        /// The JSON-RPC code.
        code: i64,
    },
    /// A tool result with `isError`, so that a model can read it.
    ToolResult,
}

impl DenialKind {
    /// What is wrong with the credential that was shown, as one word, if that is why.
    pub fn of_credential(self) -> Option<&'static str> {
        match self {
            DenialKind::TokenInvalid => Some("token_invalid"),
            DenialKind::ScopeMissing(_) => Some("insufficient_scope"),
            DenialKind::WrongTeam => Some("wrong_team"),
            DenialKind::InstanceToken => Some("instance_token_invalid"),
            DenialKind::InstancePath => Some("instance_path_unknown"),
            // Who shows none is told where to get one.
            DenialKind::TokenMissing
            | DenialKind::TargetUnknown
            | DenialKind::Arguments
            | DenialKind::ToolDisabled
            | DenialKind::InstanceBlocked(_)
            | DenialKind::InstanceUnready => None,
        }
    }

    /// How it reaches the client.
    pub fn presentation(self) -> Presentation {
        match self {
            DenialKind::TokenMissing | DenialKind::InstanceToken => {
                Presentation::Http { status: 401, code: -32_001 }
            }
            DenialKind::TokenInvalid => Presentation::Http { status: 401, code: -32_002 },
            DenialKind::ScopeMissing(_) => Presentation::Http { status: 403, code: -32_004 },
            DenialKind::WrongTeam => Presentation::Http { status: 403, code: -32_003 },
            DenialKind::InstancePath => Presentation::Http { status: 404, code: -32_004 },
            DenialKind::TargetUnknown | DenialKind::Arguments => {
                Presentation::Error { code: crate::json::CODE_INVALID_PARAMS }
            }
            DenialKind::ToolDisabled
            | DenialKind::InstanceBlocked(_)
            | DenialKind::InstanceUnready => Presentation::ToolResult,
        }
    }

    /// The `error` of RFC 6750 §3.1, where the refusal is about an access token.
    pub fn oauth_error(self) -> Option<&'static str> {
        match self {
            DenialKind::TokenMissing | DenialKind::TokenInvalid => Some("invalid_token"),
            DenialKind::ScopeMissing(_) => Some("insufficient_scope"),
            _ => None,
        }
    }
}
