//! Registration tokens, as administrators create and list them.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::registration::SatelliteType;
use crate::id::{TeamId, UserId};
use crate::secret::Secret;
use crate::time::IsoTime;

/// The body that creates a token; it may be missing altogether.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CreateToken {
    /// Its life in hours: 1..=24 for a global token (default 1), 1..=72 for a team's (default 24).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_hours: Option<u32>,
}

/// The reply that shows a token, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TokenReply {
    /// Always `true`.
    #[serde(default = "super::yes")]
    pub success: bool,
    /// The token.
    pub data: TokenData,
    /// What to do with it, for people.
    #[serde(default)]
    pub instructions: String,
}

/// The `data` of a [`TokenReply`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TokenData {
    /// The token.
    pub token: IssuedToken,
}

/// A token that was just made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct IssuedToken {
    /// Its id.
    pub id: String,
    /// The whole text, prefix included.
    pub token: Secret,
    /// What it may register.
    pub token_type: SatelliteType,
    /// The team it is for; a global token has none.
    #[serde(default)]
    pub team_id: Option<TeamId>,
    /// Who made it.
    pub created_by: UserId,
    /// When it ends.
    pub expires_at: IsoTime,
    /// When it was made.
    pub created_at: IsoTime,
    /// Whether a satellite has used it.
    pub used: bool,
}

/// A list of tokens, without their texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TokenList {
    /// The tokens.
    pub tokens: Vec<TokenSummary>,
    /// Where the next part begins, if there is one: `cursor` of the query that asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A token in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TokenSummary {
    /// Its id.
    pub id: String,
    /// What it may register.
    pub token_type: SatelliteType,
    /// The team it is for; a global token has none.
    #[serde(default)]
    pub team_id: Option<TeamId>,
    /// Who made it.
    pub created_by: UserId,
    /// When it ends.
    pub expires_at: IsoTime,
    /// When it was made.
    pub created_at: IsoTime,
    /// Whether a satellite has used it.
    pub used: bool,
}
