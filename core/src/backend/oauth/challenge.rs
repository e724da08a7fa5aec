//! The `WWW-Authenticate` header of a remote's 401 or 403 (RFC 9110 §11.6.1, RFC 6750 §3,
//! RFC 9728 §5.1).

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use super::{SCOPES_MAX, is_scope};

/// What a remote says about how to be let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Challenge {
    /// Where its protected-resource metadata is.
    pub resource_metadata: Option<String>,
    /// The scopes it wants.
    pub scopes: Vec<String>,
}

/// Reads the `Bearer` challenge of a header's values; what cannot be read counts as not said.
pub fn read<'a>(values: impl IntoIterator<Item = &'a str>) -> Challenge {
    let mut challenge = Challenge::default();
    for value in values {
        for (scheme, name, text) in parameters(value) {
            if !scheme.eq_ignore_ascii_case("bearer") {
                continue;
            }
            if name.eq_ignore_ascii_case("resource_metadata") {
                challenge.resource_metadata.get_or_insert(text);
            } else if name.eq_ignore_ascii_case("scope") && challenge.scopes.is_empty() {
                let scopes = text.split(' ').filter(|scope| is_scope(scope));
                challenge.scopes = scopes.take(SCOPES_MAX).map(ToOwned::to_owned).collect();
            }
        }
    }
    challenge
}

/// Every parameter with the scheme it belongs to.
fn parameters(value: &str) -> Vec<(&str, &str, String)> {
    let mut found = Vec::new();
    let (mut rest, mut scheme) = (value, "");
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            // The end, or a stray `=`: what follows it cannot be told apart.
            return found;
        }
        let Some(after) = after.trim_start_matches([' ', '\t']).strip_prefix('=') else {
            scheme = word;
            rest = after;
            continue;
        };
        let after = after.trim_start_matches([' ', '\t']);
        let (text, after) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted),
            None => {
                let end = after.find([' ', '\t', ',']).unwrap_or(after.len());
                let (text, after) = after.split_at(end);
                (text.to_owned(), after)
            }
        };
        found.push((scheme, word, text));
        rest = after;
    }
}

fn unquote(quoted: &str) -> (String, &str) {
    let mut text = String::new();
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' => text.extend(characters.next()),
            other => text.push(other),
        }
    }
    (text, characters.as_str())
}
