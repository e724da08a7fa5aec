//! Where secrets stand in what is said between Backend and satellite, by the name of the key.

use super::json::Place;

/// What stands under them, however deep, is secret.
const SECRET: [&str; 17] = [
    "access_token",
    "api_key",
    "args",
    "authorization",
    "client_secret",
    "env",
    "headers",
    "id_token",
    "instance_token",
    "password",
    "query",
    "refresh_token",
    "registration_token",
    "secret",
    "token",
    "url_query_params",
    "user_token",
];

/// Names that everybody may read.
const PUBLIC: [&str; 11] = [
    "attempt",
    "command",
    "command_type",
    "etag",
    "id",
    "name",
    "priority",
    "slug",
    "status",
    "transport_type",
    "version",
];

/// What stands under `key`.
pub(super) fn of(key: &str) -> Place {
    let is_secret = SECRET.contains(&key)
        || ["_env", "_headers", "_args", "_api_key", "_password", "_secret"]
            .iter()
            .any(|end| key.ends_with(end));
    if key == "config_hash" {
        Place::Derived
    } else if is_secret {
        Place::Secret
    } else if key == "url" || key.ends_with("_url") {
        Place::Address
    } else if PUBLIC.contains(&key)
        || ["_id", "_name", "_slug"].iter().any(|end| key.ends_with(end))
    {
        Place::Public
    } else {
        Place::Other
    }
}

/// The parts of an address that may be secret, as ranges: user and password, and everything behind
/// the host.
pub(super) fn of_address(url: &str) -> [Option<core::ops::Range<usize>>; 2] {
    let from = url.find("://").map_or(0, |at| at + 3);
    let rest = url.get(from..).unwrap_or_default();
    let host_end = from + rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = url.get(from..host_end).unwrap_or_default();
    let user = authority.rfind('@').filter(|at| *at > 0).map(|at| from..from + at);
    let behind = (host_end + 1 < url.len()).then_some(host_end + 1..url.len());
    [user, behind]
}
