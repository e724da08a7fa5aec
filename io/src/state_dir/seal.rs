//! Sealing of what holds other people's secrets: ChaCha20-Poly1305 under a key that is derived from
//! the Backend's, so that the file is of no use without the credentials and void after a revocation.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use satellite_core::credentials::Credentials;

/// The form of the file; a change of it gets another number.
const MAGIC: &[u8] = b"satellite-sealed-1\n";

/// Form, nonce, ciphertext and tag.
pub(super) fn seal(credentials: &Credentials, plain: Vec<u8>) -> Result<Vec<u8>, String> {
    let mut nonce = [0; NONCE_LEN];
    getrandom::fill(&mut nonce).map_err(|error| format!("no randomness for sealing: {error}"))?;
    let mut sealed = plain;
    key(credentials)?
        .seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            bound_to(credentials),
            &mut sealed,
        )
        .map_err(|_| String::from("it is too large to be sealed"))?;
    Ok([MAGIC, &nonce, &sealed].concat())
}

/// What [`seal`] was given, if it was sealed for this pairing and nobody has touched it since.
pub(super) fn open(credentials: &Credentials, sealed: &[u8]) -> Result<Vec<u8>, String> {
    let rest = sealed.strip_prefix(MAGIC).ok_or("it is not a sealed file of this version")?;
    let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>().ok_or("it is cut short")?;
    let mut opened = rest.to_vec();
    let length = key(credentials)?
        .open_in_place(Nonce::assume_unique_for_key(*nonce), bound_to(credentials), &mut opened)
        .map_err(|_| String::from("it was sealed for another pairing, or was changed"))?
        .len();
    opened.truncate(length);
    Ok(opened)
}

fn key(credentials: &Credentials) -> Result<LessSafeKey, String> {
    let salt = Salt::new(HKDF_SHA256, b"satellite configuration");
    let unbound = salt
        .extract(credentials.api_key.expose().as_bytes())
        .expand(&[b"seal 1"], &CHACHA20_POLY1305)
        .map(UnboundKey::from)
        .map_err(|_| String::from("no key can be derived"))?;
    Ok(LessSafeKey::new(unbound))
}

fn bound_to(credentials: &Credentials) -> Aad<&[u8]> {
    Aad::from(credentials.satellite_id.as_str().as_bytes())
}
