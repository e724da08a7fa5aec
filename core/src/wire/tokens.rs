//! Tokens a satellite fetches from the Backend for servers that want OAuth, and for GitHub.

use alloc::format;
use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::id::{InstallationId, TeamId, UserId};
use crate::secret::Secret;
use crate::time::IsoTime;

/// The body of `POST …/tokens/status` and `POST …/tokens/retrieve`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TokensRequest {
    /// The installation whose server wants the token.
    pub installation_id: InstallationId,
    /// The user it acts for.
    pub user_id: UserId,
    /// The team both belong to.
    pub team_id: TeamId,
    /// SHA-256, in lower-case hexadecimal, of an access token that the server refused: the Backend
    /// gives another if it can. An addition; Backends that do not know it ignore it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_token_sha256: Option<String>,
}

impl TokensRequest {
    /// What the user is told who has to connect: which page to open.
    pub fn advice(&self) -> String {
        format!(
            "Open the page that `satellite server connect {} --team {} --user {}` prints.",
            self.installation_id, self.team_id, self.user_id
        )
    }
}

/// The reply of `tokens/status`; 200 with `exists: false` when there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TokensStatus {
    /// Whether there is one.
    pub exists: bool,
    /// Whether it has ended; unknown without an end.
    #[serde(default)]
    pub expired: Option<bool>,
    /// When it ends.
    #[serde(default)]
    pub expires_at: Option<IsoTime>,
    /// Whether the Backend can get another without the user.
    #[serde(default)]
    pub can_refresh: bool,
}

/// The reply of `tokens/retrieve`; 404 when there is no token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Tokens {
    /// The token itself.
    pub access_token: Secret,
    /// The token that gets another.
    #[serde(default)]
    pub refresh_token: Option<Secret>,
    /// The scheme of the `Authorization` header.
    #[serde(default = "bearer")]
    pub token_type: String,
    /// When it ends.
    #[serde(default)]
    pub expires_at: Option<IsoTime>,
    /// Its scopes, separated by spaces.
    #[serde(default)]
    pub scope: Option<String>,
}

/// The reply of `GET …/github-token/{installation}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GithubToken {
    /// The token itself.
    pub token: Secret,
    /// When it ends.
    #[serde(default)]
    pub expires_at: Option<IsoTime>,
}

fn bearer() -> String {
    String::from("Bearer")
}
