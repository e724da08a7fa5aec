//! The user's access token towards a remote (OAuth 2.1, RFC 6750).

use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::secret::Secret;
use crate::time::Timestamp;

/// An access token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccessToken {
    /// Names it where it is called stale: no two tokens of one instance share an id.
    pub id: u64,
    /// The scheme of the `Authorization` header, `Bearer` for most.
    pub token_type: String,
    /// The token itself.
    pub token: Secret,
    /// When it ends, if that is known.
    pub expires_at: Option<Timestamp>,
}
