//! Tokens and paths that lead to one instance.

use alloc::format;
use alloc::string::String;

use super::digest::hex;
use super::{same_text, sha256_hex};
use crate::secret::Secret;

/// What an instance token begins with; 64 hexadecimal digits follow.
pub const PREFIX: &str = "ds_inst_";
/// The length of an instance token, in bytes.
pub const LENGTH: usize = PREFIX.len() + 64;

const FIRST: [&str; 16] = [
    "amber", "brave", "calm", "clear", "eager", "fair", "gentle", "keen", "lively", "mellow",
    "noble", "quick", "quiet", "sunny", "swift", "warm",
];
const SECOND: [&str; 16] = [
    "badger", "crane", "dolphin", "falcon", "finch", "heron", "lynx", "marten", "otter", "owl",
    "raven", "seal", "sparrow", "stork", "swan", "wren",
];

/// Makes a token out of random bytes; gives the token and what is stored of it.
pub fn issue(random: &[u8; 32]) -> (Secret, String) {
    let token = format!("{PREFIX}{}", hex(random));
    let hash = hash(&token);
    (Secret::new(token), hash)
}

/// What is stored of a token and sent to satellites: SHA-256 in lower-case hexadecimal.
pub fn hash(token: &str) -> String {
    sha256_hex(token.as_bytes())
}

/// Whether `token` is the one whose hash is stored, in constant time.
pub fn matches(token: &str, stored_hash: &str) -> bool {
    token.len() == LENGTH && token.starts_with(PREFIX) && same_text(&hash(token), stored_hash)
}

/// A path segment: two words and 4 hexadecimal digits. It is a name, not a secret; storage draws
/// again when it is taken.
pub fn path(random: &[u8; 4]) -> String {
    let [first, second, rest @ ..] = random;
    let word = |list: [&'static str; 16], byte: &u8| {
        list.get(usize::from(byte & 0xf)).copied().unwrap_or_default()
    };
    format!("{}-{}-{}", word(FIRST, first), word(SECOND, second), hex(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_the_form_of_the_contract_and_opens_by_its_hash() {
        let (token, hash) = issue(&[0x0f; 32]);
        assert_eq!(token.expose().len(), 72);
        assert!(matches(token.expose(), &hash));
        assert!(!matches(&token.expose().to_uppercase(), &hash));
        assert!(!matches(issue(&[0x0e; 32]).0.expose(), &hash));
        assert!(!matches("", &hash));
    }

    #[test]
    fn the_hash_is_sha_256_in_lower_case_hexadecimal() {
        assert_eq!(hash("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn a_path_is_two_words_and_digits() {
        assert_eq!(path(&[2, 8, 0x9f, 0x0e]), "calm-otter-9f0e");
    }
}
