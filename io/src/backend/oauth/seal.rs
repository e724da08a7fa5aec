//! Sealing of tokens: AES-256-GCM under a key derived from the Backend's secret, bound to what the
//! text is and whose, so that no row can stand in for another.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use satellite_core::secret::Secret;

use crate::backend::store::StoreError;
use crate::backend::store::records::{Credential, Sealed};
use crate::entropy::Entropy;

/// The form of a sealed text; a change of it gets another number.
const FORM: &str = "v1.";

/// Whose a sealed text is, and what.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bound<'a> {
    Access(&'a Credential),
    Refresh(&'a Credential),
    ClientOf(&'a Credential),
    Flow(&'a str),
    ClientAt(&'a str),
}

impl Bound<'_> {
    fn text(self) -> String {
        let of = |what: &str, whose: &Credential| {
            // Each length is said, so that no two credentials read alike.
            let parts =
                [whose.team_id.as_str(), whose.installation_id.as_str(), whose.user_id.as_str()];
            parts.iter().fold(what.to_owned(), |all, one| format!("{all}/{}:{one}", one.len()))
        };
        match self {
            Bound::Access(whose) => of("access", whose),
            Bound::Refresh(whose) => of("refresh", whose),
            Bound::ClientOf(whose) => of("client", whose),
            Bound::Flow(state_hash) => format!("flow/{state_hash}"),
            Bound::ClientAt(issuer) => format!("issuer/{issuer}"),
        }
    }
}

/// Seals and opens.
pub(super) struct Sealer(LessSafeKey);

impl Sealer {
    pub(super) fn new(secret: &Secret) -> Result<Sealer, StoreError> {
        if secret.expose().len() < 32 {
            let why = "the encryption secret is shorter than 32 bytes; set a longer one";
            return Err(StoreError::Failed(why.to_owned()));
        }
        Salt::new(HKDF_SHA256, b"satellite backend tokens")
            .extract(secret.expose().as_bytes())
            .expand(&[b"seal 1"], &AES_256_GCM)
            .map(|key| Sealer(LessSafeKey::new(UnboundKey::from(key))))
            .map_err(|_| StoreError::Failed("no key can be derived".to_owned()))
    }

    pub(super) fn seal(
        &self,
        entropy: &dyn Entropy,
        bound: Bound<'_>,
        plain: &str,
    ) -> Result<Sealed, StoreError> {
        let mut nonce = [0; NONCE_LEN];
        entropy.fill(&mut nonce);
        let mut sealed = plain.as_bytes().to_vec();
        let aad = Aad::from(bound.text().into_bytes());
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed)
            .map_err(|_| StoreError::Failed("a token is too large to be sealed".to_owned()))?;
        let text = STANDARD_NO_PAD.encode([&nonce[..], &sealed].concat());
        Ok(Sealed(format!("{FORM}{text}")))
    }

    pub(super) fn open(&self, bound: Bound<'_>, sealed: &Sealed) -> Result<Secret, StoreError> {
        let broken = || {
            let why = "a sealed text was changed, or sealed with another encryption secret";
            StoreError::Failed(why.to_owned())
        };
        let text = sealed.0.strip_prefix(FORM).ok_or_else(broken)?;
        let mut bytes = STANDARD_NO_PAD.decode(text).map_err(|_| broken())?;
        let (nonce, rest) = bytes.split_first_chunk_mut::<NONCE_LEN>().ok_or_else(broken)?;
        let aad = Aad::from(bound.text().into_bytes());
        let opened = self
            .0
            .open_in_place(Nonce::assume_unique_for_key(*nonce), aad, rest)
            .map_err(|_| broken())?;
        let text = std::str::from_utf8(opened).map_err(|_| broken())?;
        Ok(Secret::new(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::Kernel;

    fn credential(user: &str) -> Credential {
        Credential { installation_id: "i".into(), user_id: user.into(), team_id: "t".into() }
    }

    #[test]
    fn what_is_sealed_opens_for_its_own_row_and_key_alone() {
        let sealer = Sealer::new(&Secret::new("k".repeat(32))).unwrap();
        let (ada, bob) = (credential("ada"), credential("bob"));
        let sealed = sealer.seal(&Kernel, Bound::Access(&ada), "token").unwrap();
        assert_ne!(sealer.seal(&Kernel, Bound::Access(&ada), "token").unwrap(), sealed);
        assert!(!sealed.0.contains("token"));
        let opened = sealer.open(Bound::Access(&ada), &sealed).unwrap();
        assert_eq!(opened.expose(), "token");
        assert!(sealer.open(Bound::Access(&bob), &sealed).is_err());
        assert!(sealer.open(Bound::Refresh(&ada), &sealed).is_err());
        let other = Sealer::new(&Secret::new("l".repeat(32))).unwrap();
        assert!(other.open(Bound::Access(&ada), &sealed).is_err());
        for at in 0..sealed.0.len() {
            let mut changed = sealed.0.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = Sealed(String::from_utf8(changed).unwrap());
            assert!(sealer.open(Bound::Access(&ada), &changed).is_err(), "{at}");
        }
        assert!(Sealer::new(&Secret::new("short")).is_err());
    }
}
