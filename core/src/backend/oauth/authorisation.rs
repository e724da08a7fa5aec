//! What the browser carries: the request to the authorisation server, and its answer.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::issuer::Issuer;
use super::resource::Resource;
use super::{Problem, is_visible};
use crate::secret::Secret;
use crate::time::MINUTE;
use crate::wire::path::{escape, unescape};

/// For how long a link, and the way through the authorisation server that it begins, can be used.
pub const FLOW_MS: u64 = 15 * MINUTE;
/// The longest query of an answer that is read, in bytes.
const QUERY_MAX_BYTES: usize = 32 * 1024;

/// A PKCE verifier (RFC 7636 §4.1): 43 characters out of 32 random bytes.
pub fn verifier(random: &[u8; 32]) -> Secret {
    Secret::new(URL_SAFE_NO_PAD.encode(random))
}

/// The challenge of a verifier, by S256 (RFC 7636 §4.2).
pub fn challenge(verifier: &Secret) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.expose().as_bytes()))
}

/// The scopes to ask for: those of the challenge, else all the resource knows, and
/// `offline_access` where that is how refresh tokens are asked for.
pub fn scopes(challenged: &[String], resource: &Resource, issuer: &Issuer) -> Vec<String> {
    let wanted = if challenged.is_empty() { &resource.scopes } else { challenged };
    let mut scopes = wanted.to_vec();
    if issuer.offers_offline_access && !scopes.iter().any(|it| it == "offline_access") {
        scopes.push(String::from("offline_access"));
    }
    scopes
}

/// What an authorisation request says.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The client's id.
    pub client: &'a str,
    /// Where the answer goes.
    pub redirect: &'a str,
    /// What ties the answer to this request.
    pub state: &'a Secret,
    /// The PKCE verifier, of which only the challenge is sent.
    pub verifier: &'a Secret,
    /// The resource indicator (RFC 8707).
    pub resource: &'a str,
    /// The scopes.
    pub scopes: &'a [String],
}

/// The address a browser is sent to.
///
/// # Errors
///
/// The issuer's endpoint already holds a parameter that is the client's to set.
pub fn address(issuer: &Issuer, request: &Request<'_>) -> Result<String, Problem> {
    let scope = request.scopes.join(" ");
    let challenge = challenge(request.verifier);
    let mut parameters = alloc::vec![
        ("response_type", "code"),
        ("client_id", request.client),
        ("redirect_uri", request.redirect),
        ("state", request.state.expose()),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
        ("resource", request.resource),
    ];
    if !scope.is_empty() {
        parameters.push(("scope", &scope));
    }
    if request.scopes.iter().any(|it| it == "offline_access") {
        // OpenID Connect Core §11: without it the scope is ignored.
        parameters.push(("prompt", "consent"));
    }
    let endpoint = &issuer.authorisation_endpoint;
    let (_, query) = endpoint.split_once('?').unwrap_or((endpoint, ""));
    let names = query.split('&').map(|pair| pair.split('=').next().unwrap_or(""));
    for name in names {
        let name = unescape(name);
        if parameters.iter().any(|(own, _)| own.as_bytes() == name) {
            return Err(Problem::unreadable(
                "the authorisation endpoint",
                "its address already holds a parameter of the request",
            ));
        }
    }
    let mut separator = if query.is_empty() && !endpoint.contains('?') { '?' } else { '&' };
    let mut address = endpoint.clone();
    for (name, value) in parameters {
        address.push(separator);
        address.push_str(&format!("{name}={}", escape(value)));
        separator = '&';
    }
    Ok(address)
}

/// The answer that a browser brings back (RFC 6749 §4.1.2, RFC 9207).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Which request it answers.
    pub state: Option<Secret>,
    code: Option<Secret>,
    error: Option<String>,
    issuer: Option<String>,
}

impl Answer {
    /// Reads the query of the address the browser came to.
    ///
    /// # Errors
    ///
    /// It is too long, is no text, or says something twice.
    pub fn read(query: &str) -> Result<Answer, Problem> {
        const WHAT: &str = "the authorisation server's answer";
        if query.len() > QUERY_MAX_BYTES {
            return Err(Problem::unreadable(WHAT, "it is too long"));
        }
        let mut answer = Answer::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = String::from_utf8(unescape(value))
                .map_err(|_| Problem::unreadable(WHAT, "it is no text"))?;
            let taken = match name {
                "state" => answer.state.replace(Secret::new(value)).is_some(),
                "code" => answer.code.replace(Secret::new(value)).is_some(),
                "error" => answer.error.replace(value).is_some(),
                "iss" => answer.issuer.replace(value).is_some(),
                _ => false,
            };
            if taken {
                return Err(Problem::unreadable(WHAT, "it says something twice"));
            }
        }
        Ok(answer)
    }

    /// The code, if the answer is that of `issuer` and it is a yes. `names_itself` is whether the
    /// issuer promised to name itself: then an answer that does not is another's (RFC 9207 §2.4).
    ///
    /// # Errors
    ///
    /// [`Problem::Declined`] for a no, [`Problem::Unacceptable`] for an answer of somebody else.
    pub fn code(self, issuer: &str, names_itself: bool) -> Result<Secret, Problem> {
        const WHAT: &str = "the authorisation server's answer";
        match &self.issuer {
            Some(named) if named != issuer => {
                return Err(Problem::unreadable(
                    WHAT,
                    "it comes from another authorisation server than the one that was asked",
                ));
            }
            None if names_itself => {
                return Err(Problem::unreadable(WHAT, "it does not say from whom it comes"));
            }
            _ => {}
        }
        if let Some(error) = self.error {
            let plain = |it: &char| it.is_ascii_alphanumeric() || *it == '_';
            let error: String = error.chars().filter(plain).take(64).collect();
            return Err(Problem::Declined(format!(
                "the authorisation server said no ({error}): connect again, and allow the access"
            )));
        }
        match self.code {
            Some(code) if is_visible(code.expose()) => Ok(code),
            _ => Err(Problem::unreadable(WHAT, "it carries no code")),
        }
    }
}
