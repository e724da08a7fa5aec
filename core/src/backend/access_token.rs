//! Tokens the Backend issues to users for the MCP clients they point at satellites. They are
//! opaque: a satellite asks for their meaning by introspection.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::sha256_hex;
use crate::id::{TeamId, UserId};
use crate::secret::Secret;
use crate::time::{DAY, Timestamp};

/// What an access token begins with.
pub const PREFIX: &str = "ds_user_";
/// Its life unless another is asked for.
pub const STANDARD_LIFE_MS: u64 = 30 * DAY;
/// The longest life that may be asked for.
pub const LONGEST_LIFE_MS: u64 = 366 * DAY;
/// Its scopes unless others are asked for.
pub const STANDARD_SCOPE: &str = "mcp:read mcp:tools:execute";

/// Makes a token out of random bytes; gives the token and what is stored of it.
pub fn issue(random: &[u8; 32]) -> (Secret, String) {
    let token = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
    let hash = hash(&token);
    (Secret::new(token), hash)
}

/// What is stored of a token, and by which it is found: SHA-256 in hexadecimal. A token is random
/// and long, so that finding it by its hash gives nothing away.
pub fn hash(token: &str) -> String {
    sha256_hex(token.as_bytes())
}

/// A stored token with what is known of its user at the moment it is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessTokenRecord {
    /// The user.
    pub user: UserId,
    /// The user's name.
    pub username: String,
    /// The team it is for.
    pub team: TeamId,
    /// The team's name.
    pub team_name: String,
    /// The user's role in the team; nobody's who is no longer a member.
    pub team_role: Option<String>,
    /// The client it was issued to.
    pub client_id: String,
    /// Its scopes, separated by spaces.
    pub scope: String,
    /// The resources it is for (RFC 8707); none means any satellite that serves the team.
    pub resources: Vec<String>,
    /// When it was made.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Whether it was revoked.
    pub revoked: bool,
}
