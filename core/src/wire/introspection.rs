//! Introspection of MCP clients' tokens (RFC 7662) at `POST /api/oauth2/introspect`.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Deserializer, Serialize};

use crate::id::{TeamId, UserId};
use crate::secret::Secret;

/// The satellite's question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct IntrospectionRequest {
    /// The token a client presented.
    pub token: Secret,
    /// The team it must be for. A token of another team is inactive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_id: Option<TeamId>,
}

/// The Backend's answer. All keys but `active` are missing from an inactive one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Introspection {
    /// Whether the token is good.
    pub active: bool,
    /// Its scopes, separated by spaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The client it was issued to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The user's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub: Option<UserId>,
    /// The resources it is for. A single text is read as a list of one (RFC 7662 allows both).
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "one_or_many")]
    pub aud: Vec<String>,
    /// The issuer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// When it ends, in seconds since the epoch.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "super::lenient::hint"
    )]
    pub exp: Option<u64>,
    /// When it was issued, in seconds since the epoch.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "super::lenient::hint"
    )]
    pub iat: Option<u64>,
    /// The team it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_id: Option<TeamId>,
    /// The team's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_name: Option<String>,
    /// The user's role in the team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_role: Option<String>,
    /// What the user may do in the team.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub team_permissions: Vec<String>,
    /// Why it is inactive, as a code such as `token_not_for_team`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The same for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_description: Option<String>,
}

impl Introspection {
    /// The answer for a token that is unknown, ended or revoked: it says nothing more.
    pub fn inactive() -> Self {
        Introspection::default()
    }

    /// The token's scopes.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scope.iter().flat_map(|scope| scope.split_ascii_whitespace())
    }
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::Null => Ok(Vec::new()),
        serde_json::Value::String(one) => Ok(Vec::from([one])),
        serde_json::Value::Array(many) => many
            .iter()
            .map(|item| item.as_str().map(ToString::to_string))
            .collect::<Option<_>>()
            .ok_or_else(|| serde::de::Error::custom("expected texts")),
        _ => Err(serde::de::Error::custom("expected a text or a list of texts")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{decode, encode};

    #[test]
    fn an_inactive_answer_says_nothing_more() {
        assert_eq!(encode(&Introspection::inactive()), br#"{"active":false}"#);
    }

    #[test]
    fn an_audience_may_be_one_text_or_several() {
        let read = |json: &str| decode::<Introspection>("introspection", json.as_bytes());
        assert_eq!(read(r#"{"active":true,"aud":"a"}"#).unwrap().aud, ["a"]);
        assert_eq!(read(r#"{"active":true,"aud":["a","b"]}"#).unwrap().aud, ["a", "b"]);
        assert!(read(r#"{"active":true,"aud":[1]}"#).is_err());
        let full = read(r#"{"active":true,"scope":"mcp:read  mcp:tools:execute"}"#).unwrap();
        assert!(full.scopes().eq(["mcp:read", "mcp:tools:execute"]));
    }
}
