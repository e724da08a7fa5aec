//! Names that secrets go by.

use alloc::string::String;

const SECRETS: [&str; 8] =
    ["password", "passwd", "passphrase", "passcode", "secret", "credential", "privatekey", "pwd"];
const TOKENS: [&str; 9] = [
    "token",
    "apikey",
    "accesskey",
    "authorization",
    "bearer",
    "cookie",
    "jwt",
    "signature",
    "sessionid",
];

/// Whether what goes by `name` is a secret, be it a number or a text.
pub(super) fn names_a_secret_of_any_kind(name: &str) -> bool {
    let letters = letters(name);
    contains(&letters, &SECRETS) || matches!(letters.as_str(), "auth" | "pin" | "otp" | "pass")
}

/// Whether a text that goes by `name` is a secret: `max_tokens` is a number, a token never is.
pub(super) fn names_a_secret_text(name: &str) -> bool {
    names_a_secret_of_any_kind(name) || contains(&letters(name), &TOKENS)
}

/// Whether the value that a command is given under `name` may be a secret: there a `key` opens
/// something more often than it finds something.
pub(super) fn names_a_secret(name: &str) -> bool {
    names_a_secret_text(name) || contains(&letters(name), &["key", "auth"])
}

fn contains(letters: &str, words: &[&str]) -> bool {
    words.iter().any(|word| letters.contains(word))
}

fn letters(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}
