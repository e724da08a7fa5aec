//! Users' connections to remotes: tokens, and the ways that lead to them.

use std::fmt;

use satellite_core::id::{InstallationId, TeamId, UserId};
use satellite_core::time::{IsoTime, Timestamp};

/// Whose token, and for what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Credential {
    /// The installation of the remote.
    pub installation_id: InstallationId,
    /// The user.
    pub user_id: UserId,
    /// The installation's team.
    pub team_id: TeamId,
}

/// A text that is of no use without the Backend's key.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(pub String);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[sealed]")
    }
}

/// A user's token for a remote.
#[derive(Clone, Debug, PartialEq)]
pub struct OauthToken {
    /// Whose, and for what.
    pub credential: Credential,
    /// What an authorisation server gave last.
    pub granted: SealedGrant,
    /// Who gave it.
    pub issuer: String,
    /// Where it is renewed.
    pub token_endpoint: String,
    /// The resource indicator it is for.
    pub resource: String,
    /// The client that got it.
    pub client: Sealed,
    /// Until when nobody begins a renewal.
    pub leased_until: Option<IsoTime>,
    /// Who renews it, if somebody does.
    pub lease_holder: Option<String>,
}

/// What an authorisation server gave, as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct SealedGrant {
    /// The access token.
    pub access_token: Sealed,
    /// The refresh token. In a renewal, none means that the old one stays.
    pub refresh_token: Option<Sealed>,
    /// The scheme of the `Authorization` header.
    pub token_type: String,
    /// When it was given.
    pub issued_at: IsoTime,
    /// When the access token ends.
    pub expires_at: Option<IsoTime>,
    /// Its scopes, separated by spaces.
    pub scope: Option<String>,
}

/// The end of a renewal that brought no token.
#[derive(Clone, Debug, PartialEq)]
pub struct Unrenewed {
    /// Whose, and for what.
    pub credential: Credential,
    /// Who tried.
    pub holder: String,
    /// The next try, or, if there is none, what the user is told: the refresh token is dropped and
    /// the instance waits for the user.
    pub next: Result<Timestamp, String>,
    /// The time.
    pub now: Timestamp,
}

/// A way through an authorisation server. A user's instance has one at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct OauthFlow {
    /// Its id.
    pub id: String,
    /// For whom, and for what.
    pub credential: Credential,
    /// SHA-256 of the link that begins it.
    pub link_hash: String,
    /// What it goes on with, once it has begun.
    pub started: Option<StartedFlow>,
    /// When it can be used no more.
    pub expires_at: IsoTime,
}

/// What a way through an authorisation server goes on with.
#[derive(Clone, Debug, PartialEq)]
pub struct StartedFlow {
    /// SHA-256 of the `state` that the answer carries.
    pub state_hash: String,
    /// All the rest.
    pub sealed: Sealed,
}

/// As whom the Backend is known to an issuer.
#[derive(Clone, Debug, PartialEq)]
pub struct OauthClient {
    /// The issuer.
    pub issuer: String,
    /// Where its answers come to.
    pub redirect_uri: String,
    /// The client.
    pub client: Sealed,
    /// When it was registered.
    pub created_at: IsoTime,
}
