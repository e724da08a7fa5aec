//! The token endpoint: what is sent to it, and what it replies (RFC 6749 §4.1.3, §5, §6).

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use super::client::Client;
use super::issuer::ClientAuthentication;
use super::{Problem, is_visible};
use crate::secret::Secret;
use crate::time::{DAY, SECOND, Timestamp};
use crate::wire::error::ErrorBody;
use crate::wire::path::escape;
use crate::wire::{decode, lenient};

/// The longest life that is believed.
const LIFE_MAX_MS: u64 = 3_650 * DAY;

/// What is given for a token.
#[derive(Clone, Copy, Debug)]
pub enum Grant<'a> {
    /// A code of the browser's answer.
    Code {
        /// The code.
        code: &'a Secret,
        /// The PKCE verifier of its request.
        verifier: &'a Secret,
        /// Where the answer went.
        redirect: &'a str,
    },
    /// A refresh token.
    Refresh(&'a Secret),
}

/// A request to the token endpoint: its form, and its `Authorization` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The body, `application/x-www-form-urlencoded`.
    pub form: Secret,
    /// The header's value, where the client shows its secret there.
    pub authorisation: Option<Secret>,
}

/// Makes a request for a token towards `resource` (RFC 8707).
pub fn request(client: &Client, resource: &str, grant: Grant<'_>) -> Request {
    let mut fields: Vec<(&str, &str)> = Vec::new();
    match grant {
        Grant::Code { code, verifier, redirect } => {
            fields.push(("grant_type", "authorization_code"));
            fields.push(("code", code.expose()));
            fields.push(("code_verifier", verifier.expose()));
            fields.push(("redirect_uri", redirect));
        }
        Grant::Refresh(token) => {
            fields.push(("grant_type", "refresh_token"));
            fields.push(("refresh_token", token.expose()));
        }
    }
    fields.push(("resource", resource));
    let secret = client.secret.as_ref().map_or("", Secret::expose);
    let authorisation = match client.authentication {
        ClientAuthentication::Basic => {
            // RFC 6749 §2.3.1: both are escaped before they are joined.
            let pair = format!("{}:{}", escape(&client.id), escape(secret));
            Some(Secret::new(format!("Basic {}", STANDARD.encode(pair))))
        }
        ClientAuthentication::Post => {
            fields.push(("client_id", &client.id));
            fields.push(("client_secret", secret));
            None
        }
        ClientAuthentication::None => {
            fields.push(("client_id", &client.id));
            None
        }
    };
    let pairs: Vec<String> =
        fields.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
    Request { form: Secret::new(pairs.join("&")), authorisation }
}

/// What an authorisation server gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The access token.
    pub access_token: Secret,
    /// The refresh token, if there is one; after a refresh, none means that the old one stays.
    pub refresh_token: Option<Secret>,
    /// The scheme of the `Authorization` header.
    pub token_type: String,
    /// When the access token ends.
    pub expires_at: Option<Timestamp>,
    /// Its scopes, separated by spaces, where they are said.
    pub scope: Option<String>,
}

#[derive(Deserialize)]
struct Reply {
    access_token: Secret,
    token_type: String,
    #[serde(default)]
    expires_in: Value,
    #[serde(default)]
    refresh_token: Option<Secret>,
    #[serde(default, deserialize_with = "lenient::text")]
    scope: Option<String>,
}

/// Reads the reply to a request that was sent at `now`.
///
/// # Errors
///
/// A refusal, by what it means; a reply that cannot be read, or a token that no header can carry.
pub fn granted(status: u16, body: &[u8], now: Timestamp) -> Result<Granted, Problem> {
    const WHAT: &str = "the authorisation server's token";
    if !(200..300).contains(&status) {
        return Err(refusal("asking for a token", status, body));
    }
    let reply: Reply = decode(WHAT, body).map_err(Problem::Unacceptable)?;
    if !is_visible(reply.access_token.expose()) {
        return Err(Problem::unreadable(WHAT, "no header can carry it"));
    }
    if !reply.token_type.eq_ignore_ascii_case("bearer") {
        return Err(Problem::unreadable(WHAT, "it is not of the type `Bearer`"));
    }
    let refresh_token = reply.refresh_token.filter(|token| !token.is_empty());
    if refresh_token.as_ref().is_some_and(|token| !is_visible(token.expose())) {
        return Err(Problem::unreadable(WHAT, "its refresh token holds odd characters"));
    }
    let life = seconds(&reply.expires_in).map(|it| it.saturating_mul(SECOND).min(LIFE_MAX_MS));
    Ok(Granted {
        access_token: reply.access_token,
        refresh_token,
        token_type: String::from("Bearer"),
        expires_at: life.map(|life| now.after(life)),
        scope: reply.scope.filter(|scope| scope.len() <= super::TEXT_MAX_BYTES),
    })
}

/// Some write the number as a text. What is neither is not said.
fn seconds(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number
            .as_u64()
            .or_else(|| number.as_f64().map(|it| if it > 0.0 { it as u64 } else { 0 })),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// What a refusal means. Its `error` is a code of RFC 6749 §5.2; its description may say anything
/// and is not passed on.
pub(super) fn refusal(doing: &str, status: u16, body: &[u8]) -> Problem {
    let code = ErrorBody::read(status, body).error;
    let plain = |it: &char| it.is_ascii_alphanumeric() || matches!(it, '_' | ' ');
    let code: String = code.chars().filter(plain).take(64).collect();
    let text = format!("{doing}, the authorisation server replied {status} ({code})");
    match (status, code.as_str()) {
        (_, "invalid_client" | "unauthorized_client") => Problem::ClientUnknown(text),
        (408 | 425 | 429 | 500..=599, _) | (_, "temporarily_unavailable" | "server_error") => {
            Problem::Temporary(text)
        }
        (400..=499, "invalid_grant" | "access_denied" | "invalid_scope" | "invalid_target") => {
            Problem::Declined(text + ": the user must connect again")
        }
        _ => Problem::Unacceptable(text.to_string()),
    }
}
