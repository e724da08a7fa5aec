//! The additions to the wire, which each side uses only if the other has agreed.
//!
//! A satellite offers them in `capabilities` of its registration and heartbeats; the Backend names
//! those it grants in `capabilities` of each heartbeat reply. Peers without them ignore the key.

/// The Backend may hold a poll until a command exists (`wait`).
pub const POLL_WAIT: &str = "poll-wait";
/// A command handed out is leased: `attempt`, `expires_in`, `lease_seconds`, `acknowledged`.
pub const COMMAND_LEASE: &str = "command-lease";
/// Events carry `id` and `seq`, and a batch may be repeated without being counted twice.
pub const EVENT_ID: &str = "event-id";
/// The configuration carries `version` and an `ETag`.
pub const CONFIG_VERSION: &str = "config-version";

/// All additions, in the order in which they are offered.
pub const ADDITIONS: [&str; 4] = [POLL_WAIT, COMMAND_LEASE, EVENT_ID, CONFIG_VERSION];

/// The transports a satellite serves: what `capabilities` held before there were additions.
pub const TRANSPORTS: [&str; 3] = ["stdio", "http", "sse"];
