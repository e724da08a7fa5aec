//! Registration tokens: a prefix that tells the kind, and a JWT (RFC 7519) signed with HS256
//! (RFC 7515). A token registers one satellite, once; its hash is what is stored.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{Owner, sha256_hex};
use crate::id::{TeamId, UserId};
use crate::secret::Secret;
use crate::time::{HOUR, SECOND, Timestamp};
use crate::wire::decode;
use crate::wire::error::{ErrorBody, code};
use crate::wire::registration::SatelliteType;

/// The prefix of a global satellite's token.
pub const GLOBAL_PREFIX: &str = "deploystack_satellite_global_";
/// The prefix of a team satellite's token.
pub const TEAM_PREFIX: &str = "deploystack_satellite_team_";
/// The claim `iss`.
pub const ISSUER: &str = "deploystack.io";
/// The claim `aud`.
pub const AUDIENCE: &str = "satellite-registration";
/// The shortest signing key, in bytes (RFC 7518, section 3.2).
pub const KEY_MIN_BYTES: usize = 32;

/// The claims of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Always [`ISSUER`].
    pub iss: String,
    /// Always [`AUDIENCE`].
    pub aud: String,
    /// When it was made, in seconds.
    pub iat: u64,
    /// When it ends, in seconds.
    pub exp: u64,
    /// Its own name.
    pub jti: String,
    /// What it may register; agrees with the prefix.
    pub scope: SatelliteType,
    /// The team, in a team's token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_id: Option<TeamId>,
    /// Who made it.
    pub created_by: UserId,
    /// What it permits, in words.
    #[serde(default)]
    pub permissions: Vec<String>,
}

impl Claims {
    /// The claims of a token for a satellite of `owner`.
    ///
    /// `hours` is its life: 1..=24 for a global one (1 if missing), 1..=72 for a team's (24 if
    /// missing). `random` makes its name.
    ///
    /// # Errors
    ///
    /// The life is out of range.
    pub fn new(
        owner: &Owner,
        created_by: UserId,
        hours: Option<u32>,
        now: Timestamp,
        random: &[u8; 9],
    ) -> Result<Claims, String> {
        let scope = owner.satellite_type();
        let (standard, most, name, permission) = match scope {
            SatelliteType::Global => (1, 24, "gsat_reg_", "register_global_satellite"),
            SatelliteType::Team => (24, 72, "tsat_reg_", "register_team_satellite"),
        };
        let hours = hours.unwrap_or(standard);
        if !(1..=most).contains(&hours) {
            return Err(format!(
                "expires_in_hours is {hours}; for a {} token it must be 1 to {most}",
                scope.as_str()
            ));
        }
        Ok(Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            iat: now.0 / SECOND,
            exp: now.after(u64::from(hours) * HOUR).0 / SECOND,
            jti: format!("{name}{}", URL_SAFE_NO_PAD.encode(random)),
            scope,
            team_id: owner.team().cloned(),
            created_by,
            permissions: Vec::from([permission.to_owned()]),
        })
    }

    /// Whose satellite the token registers.
    pub fn owner(&self) -> Option<Owner> {
        Owner::of(self.scope, self.team_id.clone())
    }

    /// When it ends.
    pub fn expires_at(&self) -> Timestamp {
        Timestamp(self.exp.saturating_mul(SECOND))
    }
}

/// Why a token is refused. Always answered with 401.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// There is none.
    Missing,
    /// It is not one of this Backend's; says what gives it away.
    Invalid(&'static str),
    /// Its time is over.
    Expired {
        /// When it ended.
        at: Timestamp,
    },
    /// A satellite has used it.
    AlreadyUsed,
    /// Prefix and claims disagree on what it may register.
    InvalidScope,
}

impl TokenFault {
    /// The code for `error`.
    pub fn code(&self) -> &'static str {
        match self {
            TokenFault::Missing => code::REGISTRATION_TOKEN_REQUIRED,
            TokenFault::Invalid(_) => code::INVALID_REGISTRATION_TOKEN,
            TokenFault::Expired { .. } => code::TOKEN_EXPIRED,
            TokenFault::AlreadyUsed => code::TOKEN_ALREADY_USED,
            TokenFault::InvalidScope => code::TOKEN_INVALID_SCOPE,
        }
    }

    /// The whole error body.
    pub fn body(&self) -> ErrorBody {
        ErrorBody::new(self.code()).with_message(self.to_string()).with_instructions(
            "Ask an administrator for another registration token \
                 and set DEPLOYSTACK_REGISTRATION_TOKEN to it.",
        )
    }
}

impl core::fmt::Display for TokenFault {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            TokenFault::Missing => f.write_str("the request carries no registration token"),
            TokenFault::Invalid(why) => write!(f, "the registration token is invalid: {why}"),
            TokenFault::Expired { at } => write!(f, "the registration token expired at {at}"),
            TokenFault::AlreadyUsed => {
                f.write_str("the registration token has already registered a satellite")
            }
            TokenFault::InvalidScope => f.write_str(
                "the registration token's prefix and content disagree on what it may register",
            ),
        }
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

/// Signs a token.
///
/// # Errors
///
/// The signing key is shorter than [`KEY_MIN_BYTES`].
pub fn issue(key: &Secret, claims: &Claims) -> Result<Secret, String> {
    let mut mac = keyed(key)?;
    let prefix = match claims.scope {
        SatelliteType::Global => GLOBAL_PREFIX,
        SatelliteType::Team => TEAM_PREFIX,
    };
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(br#"{"alg":"HS256","typ":"JWT"}"#),
        URL_SAFE_NO_PAD.encode(crate::wire::encode(claims))
    );
    mac.update(signed.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    Ok(Secret::new(format!("{prefix}{signed}.{signature}")))
}

/// Checks a token's prefix, form, algorithm, signature, issuer, audience, end and scope.
///
/// Whether it has been used is for storage to say, in the transaction that uses it up.
///
/// # Errors
///
/// The first of these that fails.
pub fn verify(key: &Secret, token: &str, now: Timestamp) -> Result<Claims, TokenFault> {
    if token.is_empty() {
        return Err(TokenFault::Missing);
    }
    let (prefix_scope, jwt) = if let Some(jwt) = token.strip_prefix(GLOBAL_PREFIX) {
        (SatelliteType::Global, jwt)
    } else if let Some(jwt) = token.strip_prefix(TEAM_PREFIX) {
        (SatelliteType::Team, jwt)
    } else {
        return Err(TokenFault::Invalid("its prefix is unknown"));
    };
    let malformed = TokenFault::Invalid("it is no JWT");
    let (signed, signature) = jwt.rsplit_once('.').ok_or(malformed.clone())?;
    let (header, claims) = signed.split_once('.').ok_or(malformed.clone())?;
    let bytes = |segment: &str| URL_SAFE_NO_PAD.decode(segment).map_err(|_| malformed.clone());
    let header: Header = decode("header", &bytes(header)?).map_err(|_| malformed.clone())?;
    if header.alg != "HS256" {
        return Err(TokenFault::Invalid("its algorithm is not HS256"));
    }
    let mut mac = keyed(key).map_err(|_| TokenFault::Invalid("there is no key to check it by"))?;
    mac.update(signed.as_bytes());
    mac.verify_slice(&bytes(signature)?)
        .map_err(|_| TokenFault::Invalid("its signature is wrong"))?;
    let claims: Claims = decode("claims", &bytes(claims)?)
        .map_err(|_| TokenFault::Invalid("a claim is missing or wrong"))?;
    if claims.iss != ISSUER {
        return Err(TokenFault::Invalid("its issuer is another"));
    }
    if claims.aud != AUDIENCE {
        return Err(TokenFault::Invalid("it is for another purpose"));
    }
    if now >= claims.expires_at() {
        return Err(TokenFault::Expired { at: claims.expires_at() });
    }
    if claims.scope != prefix_scope || claims.owner().is_none() {
        return Err(TokenFault::InvalidScope);
    }
    Ok(claims)
}

/// What storage keeps of a token: the SHA-256 of the whole text.
pub fn hash(token: &str) -> String {
    sha256_hex(token.as_bytes())
}

fn keyed(key: &Secret) -> Result<Hmac<Sha256>, String> {
    let key = key.expose().as_bytes();
    if key.len() < KEY_MIN_BYTES {
        return Err(format!(
            "the signing key has {} bytes and must have at least {KEY_MIN_BYTES}",
            key.len()
        ));
    }
    Hmac::new_from_slice(key).map_err(|_| "the signing key cannot be used".to_owned())
}

#[cfg(test)]
mod tests;
