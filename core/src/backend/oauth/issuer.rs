//! An authorisation server's metadata (RFC 8414, OpenID Connect Discovery).

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::endpoint::split;
use super::{Problem, endpoint};
use crate::egress::{Rules, Target};
use crate::wire::{decode, lenient};

/// What the metadata says, judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// Its identifier, as it writes it.
    pub identifier: String,
    /// Where a browser goes.
    pub authorisation_endpoint: String,
    /// Where codes and refresh tokens are exchanged.
    pub token_endpoint: String,
    /// Where clients register themselves (RFC 7591).
    pub registration_endpoint: Option<String>,
    /// How clients may show who they are at the token endpoint.
    pub client_authentication: Vec<ClientAuthentication>,
    /// Whether a client may be named by the address of its metadata.
    pub takes_client_documents: bool,
    /// Whether every answer to the browser names the issuer (RFC 9207).
    pub names_itself: bool,
    /// Whether it gives refresh tokens for the scope `offline_access`.
    pub offers_offline_access: bool,
}

/// How a client shows who it is (RFC 6749 §2.3, RFC 7591 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ClientAuthentication {
    /// Not at all: it is a public client.
    #[serde(rename = "none")]
    None,
    /// By the `Authorization` header.
    #[serde(rename = "client_secret_basic")]
    Basic,
    /// By a field of the form.
    #[serde(rename = "client_secret_post")]
    Post,
}

impl ClientAuthentication {
    /// The registered name.
    pub fn as_str(self) -> &'static str {
        match self {
            ClientAuthentication::None => "none",
            ClientAuthentication::Basic => "client_secret_basic",
            ClientAuthentication::Post => "client_secret_post",
        }
    }

    /// Reads the registered name; methods this client does not know are nothing.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::None, Self::Basic, Self::Post].into_iter().find(|it| it.as_str() == text)
    }
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    #[serde(default)]
    registration_endpoint: Option<String>,
    #[serde(default)]
    response_types_supported: Option<Vec<String>>,
    #[serde(default)]
    grant_types_supported: Option<Vec<String>>,
    #[serde(default)]
    code_challenge_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default, deserialize_with = "lenient::or_default")]
    scopes_supported: Vec<String>,
    #[serde(default, deserialize_with = "lenient::or_default")]
    client_id_metadata_document_supported: bool,
    #[serde(default, deserialize_with = "lenient::or_default")]
    authorization_response_iss_parameter_supported: bool,
}

/// Where the metadata of an issuer may be, in the order in which MCP clients look (RFC 8414 §3.1,
/// §5).
pub fn addresses(issuer: &Target) -> Vec<String> {
    const OAUTH: &str = "/.well-known/oauth-authorization-server";
    const OPENID: &str = "/.well-known/openid-configuration";
    let (origin, path) = split(issuer);
    let mut addresses =
        alloc::vec![format!("{origin}{OAUTH}{path}"), format!("{origin}{OPENID}{path}")];
    if !path.is_empty() {
        addresses.push(format!("{origin}{path}{OPENID}"));
    }
    addresses
}

/// Reads the metadata of the issuer that was asked for as `expected`.
///
/// # Errors
///
/// It cannot be read, is another issuer's (RFC 8414 §3.3), names an address that may not be
/// reached, or offers no code flow with PKCE by S256 (RFC 7636), without which a code could be
/// stolen.
pub fn read(body: &[u8], expected: &str, rules: &Rules) -> Result<Issuer, Problem> {
    const WHAT: &str = "the authorisation server's metadata";
    let unusable = |why: &str| Problem::unreadable(WHAT, why);
    let document: Document = decode(WHAT, body).map_err(Problem::Unacceptable)?;
    if !is_same(&document.issuer, expected) {
        return Err(unusable("it is that of another issuer"));
    }
    let lacks = |list: &Option<Vec<String>>, word: &str| {
        list.as_ref().is_some_and(|list| !list.iter().any(|it| it == word))
    };
    if document.code_challenge_methods_supported.is_none()
        || lacks(&document.code_challenge_methods_supported, "S256")
    {
        return Err(unusable("it offers no PKCE with S256, which MCP requires"));
    }
    if lacks(&document.response_types_supported, "code")
        || lacks(&document.grant_types_supported, "authorization_code")
    {
        return Err(unusable("it offers no authorisation code"));
    }
    let address = |what, text: &str| endpoint(what, text, rules).map(|it| it.to_string());
    let registration = document.registration_endpoint.as_deref();
    Ok(Issuer {
        authorisation_endpoint: address(
            "the authorisation endpoint",
            &document.authorization_endpoint,
        )?,
        token_endpoint: address("the token endpoint", &document.token_endpoint)?,
        registration_endpoint: registration
            .map(|text| address("the registration endpoint", text))
            .transpose()?,
        // RFC 8414 §2: what is left out means the header.
        client_authentication: match &document.token_endpoint_auth_methods_supported {
            None => alloc::vec![ClientAuthentication::Basic],
            Some(list) => list.iter().filter_map(|it| ClientAuthentication::parse(it)).collect(),
        },
        takes_client_documents: document.client_id_metadata_document_supported,
        names_itself: document.authorization_response_iss_parameter_supported,
        offers_offline_access: document.scopes_supported.iter().any(|it| it == "offline_access"),
        identifier: document.issuer,
    })
}

/// Whether two texts name the same issuer: as they are written, but for the slash of an empty path,
/// which changes no address (RFC 3986 §6.2.3).
fn is_same(one: &str, other: &str) -> bool {
    let plain = |text: &str| {
        let bare = text.strip_suffix('/').unwrap_or(text);
        let is_origin = bare.split_once("://").is_some_and(|(_, rest)| !rest.contains('/'));
        String::from(if is_origin { bare } else { text })
    };
    plain(one) == plain(other)
}
