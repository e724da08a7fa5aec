//! Teams, users, and the tokens users present to satellites.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::id::{TeamId, UserId};
use crate::secret::Secret;
use crate::time::IsoTime;
use crate::wire::lenient;

/// A team.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Team {
    /// Its id.
    pub id: TeamId,
    /// Its name for people.
    pub name: String,
    /// Its name in keys, `[a-z0-9-]`.
    pub slug: String,
    /// Its members.
    #[serde(default)]
    pub members: Vec<Member>,
    /// When it was made.
    pub created_at: IsoTime,
}

/// A member of a [`Team`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Member {
    /// The user.
    pub user_id: UserId,
    /// The user's role, `team_admin` or `team_user`.
    pub role: String,
}

/// The body that makes a team.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CreateTeam {
    /// Its name for people.
    pub name: String,
    /// Its name in keys; made of the name if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slug: Option<String>,
}

/// The body that makes a user a member, or changes the role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SetMember {
    /// The role; `team_user` if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

/// `data` with a team.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TeamData {
    /// The team.
    pub team: Team,
}

/// `data` with teams.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TeamsData {
    /// The teams.
    pub teams: Vec<Team>,
    /// Where the next part begins, if there is one: `cursor` of the query that asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct User {
    /// The id.
    pub id: UserId,
    /// The name.
    pub username: String,
    /// The address for mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The teams the user is in.
    #[serde(default)]
    pub team_ids: Vec<TeamId>,
    /// When the user was made.
    pub created_at: IsoTime,
}

/// The body that makes a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CreateUser {
    /// The name.
    pub username: String,
    /// The address for mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// A team to join at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_id: Option<TeamId>,
}

/// `data` with a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UserData {
    /// The user.
    pub user: User,
}

/// `data` with users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UsersData {
    /// The users.
    pub users: Vec<User>,
    /// Where the next part begins, if there is one: `cursor` of the query that asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// The body that makes a token for MCP clients of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CreateAccessToken {
    /// The team it is for.
    pub team_id: TeamId,
    /// Its scopes, separated by spaces; `mcp:read mcp:tools:execute` if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The resources it is for (RFC 8707); any satellite that serves the team if missing.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "lenient::or_default"
    )]
    pub resource: Vec<String>,
    /// Its life in seconds; 30 days if missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<u64>,
}

/// A token for MCP clients of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AccessToken {
    /// Its id.
    pub id: String,
    /// The token itself. It is shown here only.
    pub token: Secret,
    /// The user.
    pub user_id: UserId,
    /// The team.
    pub team_id: TeamId,
    /// Its scopes, separated by spaces.
    pub scope: String,
    /// When it ends.
    pub expires_at: IsoTime,
}

/// What is shown of a token later on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AccessTokenSummary {
    /// Its id.
    pub id: String,
    /// The team.
    pub team_id: TeamId,
    /// The client it was issued to.
    pub client_id: String,
    /// Its scopes, separated by spaces.
    pub scope: String,
    /// When it was made.
    pub created_at: IsoTime,
    /// When it ends.
    pub expires_at: IsoTime,
}

/// `data` with a user's access tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AccessTokensData {
    /// The tokens, newest first.
    pub access_tokens: Vec<AccessTokenSummary>,
    /// Where the next part begins, if there is one: `cursor` of the query that asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// `data` with an access token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AccessTokenData {
    /// The token.
    pub access_token: AccessToken,
}
