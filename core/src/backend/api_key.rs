//! Keys of paired satellites. A key carries its own lookup id, so that its row is found by an index
//! and one hash is computed, whatever the number of satellites.

use alloc::format;
use alloc::string::String;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Owner, same_text, sha256_hex};
use crate::secret::Secret;
use crate::wire::error::{ErrorBody, code};
use crate::wire::registration::SatelliteType;

const PREFIX: &str = "deploystack_satellite_api_";
/// Characters of the lookup id: 12 bytes in base64.
const LOOKUP_CHARS: usize = 16;

/// A key that was just made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedKey {
    /// The key; shown once, never stored.
    pub key: Secret,
    /// The part by which its row is found.
    pub lookup: String,
    /// SHA-256 of the whole key in hexadecimal.
    pub hash: String,
}

/// Makes a key out of random bytes.
pub fn issue(owner: &Owner, random: &[u8; 44]) -> IssuedKey {
    let (id, secret) = random.split_at(12);
    let lookup = URL_SAFE_NO_PAD.encode(id);
    let scope = owner.satellite_type().as_str();
    let key = format!("{PREFIX}{scope}_{lookup}{}", URL_SAFE_NO_PAD.encode(secret));
    IssuedKey { hash: sha256_hex(key.as_bytes()), key: Secret::new(key), lookup }
}

/// The lookup id of a presented key, unless it cannot be one of ours.
pub fn lookup(key: &str) -> Option<&str> {
    let (scope, rest) = key.strip_prefix(PREFIX)?.split_once('_')?;
    SatelliteType::from_wire(scope)?;
    let (lookup, secret) = rest.split_at_checked(LOOKUP_CHARS)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (!secret.is_empty() && rest.bytes().all(plain)).then_some(lookup)
}

/// Whether `key` is the one whose hash is stored, in constant time.
pub fn matches(key: &str, stored_hash: &str) -> bool {
    same_text(&sha256_hex(key.as_bytes()), stored_hash)
}

/// What became of a stored key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It opens.
    Valid,
    /// A later pairing or an administrator's rotation took its place, or it was revoked.
    Revoked,
    /// Its satellite was deleted.
    SatelliteDeleted,
}

/// Why a request is not let in. Always answered with 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFault {
    /// There is no bearer token.
    Missing,
    /// The key is not one of this Backend's. Not typed: it says nothing about a pairing.
    Unknown,
    /// The key is void.
    Revoked,
    /// The satellite was deleted.
    SatelliteDeleted,
}

impl KeyFault {
    /// The whole error body. Only the two typed codes make a satellite give up its pairing.
    pub fn body(self) -> ErrorBody {
        match self {
            KeyFault::Missing => ErrorBody::new("Authorization: Bearer <api key> is required"),
            KeyFault::Unknown => ErrorBody::new("The API key is not known"),
            KeyFault::Revoked => ErrorBody::new(code::API_KEY_REVOKED)
                .with_message("the API key was revoked, or replaced by a later pairing")
                .with_instructions("Pair the satellite again with a registration token."),
            KeyFault::SatelliteDeleted => ErrorBody::new(code::SATELLITE_DELETED)
                .with_message("the satellite was deleted")
                .with_instructions("Pair it again with a registration token, or remove it."),
        }
    }
}

/// Lets a key in, or says why not. `row` is what storage found under [`lookup`].
///
/// The state of a key is told only to whoever holds the whole key.
///
/// # Errors
///
/// The key is not known, or void.
pub fn admit(key: &str, row: Option<(&str, KeyState)>) -> Result<(), KeyFault> {
    // An unknown id costs the same hash as a known one.
    let (stored, state) = row.unwrap_or(("", KeyState::Valid));
    if !matches(key, stored) {
        return Err(KeyFault::Unknown);
    }
    match state {
        KeyState::Valid => Ok(()),
        KeyState::Revoked => Err(KeyFault::Revoked),
        KeyState::SatelliteDeleted => Err(KeyFault::SatelliteDeleted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_by_its_lookup_and_let_in_by_its_hash() {
        let issued = issue(&Owner::Team("t".into()), &[0xfb; 44]);
        let key = issued.key.expose();
        assert!(key.starts_with("deploystack_satellite_api_team_"));
        assert!(key.len() >= 32 + "deploystack_satellite_api_team_".len());
        assert_eq!(lookup(key), Some(issued.lookup.as_str()));
        assert_eq!(admit(key, Some((&issued.hash, KeyState::Valid))), Ok(()));
        assert_eq!(admit(key, Some((&issued.hash, KeyState::Revoked))), Err(KeyFault::Revoked));
        let other = issue(&Owner::Team("t".into()), &[0xfa; 44]);
        assert_eq!(
            admit(other.key.expose(), Some((&issued.hash, KeyState::Revoked))),
            Err(KeyFault::Unknown)
        );
        assert_eq!(admit(key, None), Err(KeyFault::Unknown));
    }

    #[test]
    fn what_is_no_key_has_no_lookup() {
        for text in [
            "",
            "deploystack_satellite_api_",
            "deploystack_satellite_api_team_",
            "deploystack_satellite_api_team_0123456789abcdef",
            "deploystack_satellite_api_galactic_0123456789abcdefx",
            "deploystack_satellite_api_team_0123456789abcdéx",
            "deploystack_satellite_team_0123456789abcdefx",
        ] {
            assert_eq!(lookup(text), None, "{text}");
        }
    }

    #[test]
    fn only_a_void_key_says_that_the_pairing_is_void() {
        assert!(KeyFault::Revoked.body().voids_pairing());
        assert!(KeyFault::SatelliteDeleted.body().voids_pairing());
        assert!(!KeyFault::Unknown.body().voids_pairing());
        assert!(!KeyFault::Missing.body().voids_pairing());
    }
}
