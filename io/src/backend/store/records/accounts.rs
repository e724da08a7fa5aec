//! Teams, users, and the access tokens of MCP clients.

use satellite_core::backend::access_token::AccessTokenRecord;
use satellite_core::id::{TeamId, UserId};
use satellite_core::time::IsoTime;
use serde::Serialize;

/// A team: the outer wall between tenants.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Team {
    /// Its id.
    pub id: TeamId,
    /// Its name for people.
    pub name: String,
    /// Its name in keys; unique.
    pub slug: String,
    /// When it was created.
    pub created_at: IsoTime,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// Its name; unique.
    pub username: String,
    /// Its address, if known.
    pub email: Option<String>,
    /// When it was created.
    pub created_at: IsoTime,
}

/// A user's place in a team.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Member {
    /// The team.
    pub team_id: TeamId,
    /// The user.
    pub user_id: UserId,
    /// What the user is in the team.
    pub role: String,
    /// Since when.
    pub created_at: IsoTime,
}

/// An access token of a user for one team. The token itself is never stored.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AccessToken {
    /// Its id.
    pub id: String,
    /// SHA-256 of the token, in hexadecimal; unique.
    #[serde(skip)]
    pub token_hash: String,
    /// Whose it is.
    pub user_id: UserId,
    /// The team it is for.
    pub team_id: TeamId,
    /// The client it was given to.
    pub client_id: String,
    /// Its scopes, separated by spaces.
    pub scope: String,
    /// The audiences it is for.
    pub audience: Vec<String>,
    /// When it ends.
    pub expires_at: IsoTime,
    /// When it was created.
    pub created_at: IsoTime,
}

/// What introspection needs to know of a token.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenOwner {
    /// The token.
    pub token: AccessToken,
    /// Its user's name.
    pub username: String,
    /// Its team's name.
    pub team_name: String,
    /// The user's role in the team; a user who left it has none.
    pub role: Option<String>,
}

impl From<TokenOwner> for AccessTokenRecord {
    fn from(owner: TokenOwner) -> AccessTokenRecord {
        AccessTokenRecord {
            user: owner.token.user_id,
            username: owner.username,
            team: owner.token.team_id,
            team_name: owner.team_name,
            team_role: owner.role,
            client_id: owner.token.client_id,
            scope: owner.token.scope,
            resources: owner.token.audience,
            issued_at: owner.token.created_at.0,
            expires_at: owner.token.expires_at.0,
            // A revoked one is not kept.
            revoked: false,
        }
    }
}
