//! What must be known of a remote to speak to it.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::secret::Secret;
use crate::view::Transport;

/// How a remote is reached. Everything in it that may be a secret is a [`Secret`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RemoteSpec {
    /// [`Transport::Http`], which falls back to the older form where the server speaks only that;
    /// or [`Transport::Sse`], which begins with it.
    pub transport: Transport,
    /// Absolute URLs of the same server, one to [`crate::limits::ENDPOINTS_MAX`], without the
    /// configured query.
    pub endpoints: Vec<String>,
    /// Headers of every request, in the configuration's order.
    pub headers: Vec<(String, Secret)>,
    /// Query parameters of every request, not encoded yet.
    pub query: Vec<(String, Secret)>,
    /// Those of them that the configuration names. What an address itself asks for has no name that
    /// could be told: it may be the secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub named_query: Vec<String>,
    /// Whether requests carry the user's access token.
    pub requires_oauth: bool,
    /// How long a call may take, counted anew by each progress notification.
    pub call_timeout_ms: u64,
    /// How long the handshake may take.
    pub handshake_timeout_ms: u64,
}
