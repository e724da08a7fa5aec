//! Who the Backend is to an authorisation server: a client that was registered by hand, one named
//! by the address of its metadata, or one that registers itself (RFC 7591).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::issuer::{ClientAuthentication, Issuer};
use super::{Problem, is_visible};
use crate::secret::Secret;
use crate::time::{SECOND, Timestamp};
use crate::wire::{decode, encode, lenient};

/// What the user sees of the Backend at an authorisation server.
const NAME: &str = "Satellite";

/// A client as an authorisation server knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Its id.
    pub id: String,
    /// Its secret, unless it is a public client.
    pub secret: Option<Secret>,
    /// How it shows who it is.
    pub authentication: ClientAuthentication,
    /// When the secret ends.
    pub secret_expires_at: Option<Timestamp>,
}

impl Client {
    /// Whether it can be used at `now`.
    pub fn is_usable(&self, now: Timestamp) -> bool {
        self.secret_expires_at.is_none_or(|end| now < end)
    }
}

/// How to become a client of an issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// Its metadata's address is its id.
    Document(Client),
    /// It registers itself at this address.
    Register(String),
}

/// Chooses how to become a client. `document` is the address of the client's metadata, given only
/// where an authorisation server on the Internet could fetch it: at `https`.
///
/// # Errors
///
/// The issuer wants clients that were registered by hand.
pub fn choose(issuer: &Issuer, document: Option<&str>) -> Result<Way, Problem> {
    if let Some(address) = document
        && issuer.takes_client_documents
    {
        return Ok(Way::Document(Client {
            id: String::from(address),
            secret: None,
            authentication: ClientAuthentication::None,
            secret_expires_at: None,
        }));
    }
    let register = issuer.registration_endpoint.clone().map(Way::Register);
    register.ok_or_else(|| {
        Problem::Unacceptable(format!(
            "the authorisation server {} registers no clients by itself: register one there by \
             hand and give its id to this installation",
            issuer.identifier
        ))
    })
}

#[derive(Serialize)]
struct Metadata<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    client_name: &'a str,
    client_uri: &'a str,
    redirect_uris: [&'a str; 1],
    grant_types: [&'a str; 2],
    response_types: [&'a str; 1],
    token_endpoint_auth_method: &'a str,
    application_type: &'a str,
}

impl<'a> Metadata<'a> {
    fn new(public_url: &'a str, redirect: &'a str, method: ClientAuthentication) -> Self {
        Metadata {
            client_id: None,
            client_name: NAME,
            client_uri: public_url,
            redirect_uris: [redirect],
            grant_types: ["authorization_code", "refresh_token"],
            response_types: ["code"],
            token_endpoint_auth_method: method.as_str(),
            // Web clients must be at https; on a developer's machine the Backend is not.
            application_type: if redirect.starts_with("https://") { "web" } else { "native" },
        }
    }
}

/// The client metadata document that stands at `address`.
pub fn document(address: &str, public_url: &str, redirect: &str) -> Vec<u8> {
    let metadata = Metadata::new(public_url, redirect, ClientAuthentication::None);
    encode(&Metadata { client_id: Some(address), ..metadata })
}

/// The body of a registration at `issuer`.
pub fn registration(issuer: &Issuer, public_url: &str, redirect: &str) -> Vec<u8> {
    use ClientAuthentication::{Basic, None, Post};
    // A secret that never leaves the Backend is better than none.
    let method = [Basic, Post, None]
        .into_iter()
        .find(|method| issuer.client_authentication.contains(method))
        .unwrap_or(None);
    encode(&Metadata::new(public_url, redirect, method))
}

#[derive(Deserialize)]
struct Registered {
    client_id: String,
    #[serde(default)]
    client_secret: Option<Secret>,
    #[serde(default, deserialize_with = "lenient::hint")]
    client_secret_expires_at: Option<u64>,
    #[serde(default)]
    token_endpoint_auth_method: Option<String>,
}

/// Reads the reply to a registration.
///
/// # Errors
///
/// It cannot be read, or names a method this client does not have.
pub fn registered(status: u16, body: &[u8]) -> Result<Client, Problem> {
    const WHAT: &str = "the reply to the client's registration";
    if !(200..300).contains(&status) {
        return Err(super::token::refusal("registering as a client", status, body));
    }
    let reply: Registered = decode(WHAT, body).map_err(Problem::Unacceptable)?;
    if !is_visible(&reply.client_id) {
        return Err(Problem::unreadable(WHAT, "its `client_id` is no identifier"));
    }
    let secret = reply.client_secret.filter(|secret| !secret.is_empty());
    if secret.as_ref().is_some_and(|secret| !is_visible(secret.expose())) {
        return Err(Problem::unreadable(WHAT, "its `client_secret` is none"));
    }
    let authentication = match (reply.token_endpoint_auth_method.as_deref(), &secret) {
        (Some(method), _) => ClientAuthentication::parse(method).ok_or_else(|| {
            Problem::unreadable(WHAT, "it wants a way of authentication that is not known here")
        })?,
        (None, Some(_)) => ClientAuthentication::Basic,
        (None, None) => ClientAuthentication::None,
    };
    if secret.is_none() && authentication != ClientAuthentication::None {
        return Err(Problem::unreadable(WHAT, "it gives no secret, yet wants one shown"));
    }
    // RFC 7591 §3.2.1: seconds since the epoch, 0 for never.
    let ends = reply.client_secret_expires_at.filter(|seconds| *seconds > 0);
    Ok(Client {
        id: reply.client_id,
        secret,
        authentication,
        secret_expires_at: ends.map(|seconds| Timestamp(seconds.saturating_mul(SECOND))),
    })
}
