//! A remote's protected-resource metadata (RFC 9728): whom it trusts to let users in.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::Deserialize;

use super::endpoint::split;
use super::{Problem, SCOPES_MAX, endpoint, is_scope};
use crate::egress::{Rules, Target};
use crate::wire::{decode, lenient};

/// What the metadata says, judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The identifier to name in the `resource` parameter (RFC 8707).
    pub identifier: String,
    /// The issuers it trusts that may be reached, in its order; at least one.
    pub issuers: Vec<String>,
    /// The scopes it knows.
    pub scopes: Vec<String>,
}

#[derive(Deserialize)]
struct Document {
    resource: String,
    #[serde(default, deserialize_with = "lenient::or_default")]
    authorization_servers: Vec<String>,
    #[serde(default, deserialize_with = "lenient::or_default")]
    scopes_supported: Vec<String>,
}

/// Where the metadata of `server` may be: at the server's own path, then at its root (RFC 9728
/// §3.1). A challenge's `resource_metadata` goes before both.
pub fn addresses(server: &Target) -> Vec<String> {
    const NAME: &str = "/.well-known/oauth-protected-resource";
    let (origin, path) = split(server);
    let mut addresses = alloc::vec![format!("{origin}{NAME}{path}")];
    if !path.is_empty() {
        addresses.push(format!("{origin}{NAME}"));
    }
    addresses
}

/// The identifier of a server that publishes no metadata: its address without query (RFC 8707 §2).
pub fn identifier(server: &Target) -> String {
    let (origin, path) = split(server);
    origin + &path
}

/// What is assumed of a server without metadata: its own origin lets users in (MCP 2025-03-26).
pub fn assumed(server: &Target) -> Resource {
    Resource {
        identifier: identifier(server),
        issuers: alloc::vec![server.origin().to_string()],
        scopes: Vec::new(),
    }
}

/// Reads the metadata of `server`.
///
/// The resource it describes must be the server, or a folder above it: another's metadata could
/// send the user's token to whoever wrote it (RFC 9728 §7.3).
///
/// # Errors
///
/// It cannot be read, describes another resource, or trusts nobody who may be reached.
pub fn read(body: &[u8], server: &Target, rules: &Rules) -> Result<Resource, Problem> {
    const WHAT: &str = "the server's protected-resource metadata";
    let document: Document = decode(WHAT, body)
        .map_err(|why| Problem::Unacceptable(format!("{why}; ask its operator")))?;
    let described = Target::parse(&document.resource)
        .map_err(|refusal| Problem::unreadable(WHAT, format!("its `resource`: {refusal}")))?;
    let (own, above) = (split(server).1, split(&described).1);
    let covers = own.strip_prefix(&above).is_some_and(|it| it.is_empty() || it.starts_with('/'));
    if !described.is_same_origin(server) || !covers {
        return Err(Problem::unreadable(WHAT, "it describes another server"));
    }
    let mut refused = None;
    let mut issuers = Vec::new();
    for issuer in document.authorization_servers.iter().take(8) {
        match endpoint("the authorisation server it names", issuer, rules) {
            Ok(_) => issuers.push(issuer.clone()),
            Err(problem) => refused = refused.or(Some(problem)),
        }
    }
    if issuers.is_empty() {
        let nobody = Problem::unreadable(WHAT, "it names no authorisation server");
        return Err(refused.unwrap_or(nobody));
    }
    let scopes = document.scopes_supported.iter().filter(|scope| is_scope(scope));
    Ok(Resource {
        identifier: document.resource,
        issuers,
        scopes: scopes.take(SCOPES_MAX).map(ToOwned::to_owned).collect(),
    })
}
