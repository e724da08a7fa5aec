//! Keeps a server's secrets out of what is told of it: of what it prints, of what it is asked and
//! of what it answers.

mod excerpt;
mod given;
mod names;

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::secret::Secret;
pub(crate) use given::{in_address, in_arguments};

/// Shorter values (`1`, `true`, `info`) are no secrets, and blotting them out would spoil the log.
const SHORTEST: usize = 6;
/// What stands in a secret's place.
const BLOT: &str = "[secret]";

/// The forms in which a server's secrets may appear.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Redaction {
    /// Longest first, so that no part of a longer one stays.
    forms: Vec<Secret>,
}

impl Redaction {
    /// Looks out for `secrets`: as they are, line by line, in base64 wherever they stand in the
    /// encoded text, and URL-encoded.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut forms = Vec::new();
        for secret in secrets {
            forms.extend(forms_of(secret.expose()));
        }
        forms.sort_by(|left, right| right.len().cmp(&left.len()).then_with(|| left.cmp(right)));
        forms.dedup();
        Redaction { forms: forms.into_iter().map(Secret::new).collect() }
    }

    /// The length in bytes of the longest form.
    pub fn longest(&self) -> usize {
        self.forms.first().map_or(0, |form| form.expose().len())
    }

    /// `text` without secrets.
    pub fn apply(&self, text: String) -> String {
        self.forms.iter().fold(text, |text, form| {
            let form = form.expose();
            if text.contains(form) { text.replace(form, BLOT) } else { text }
        })
    }
}

/// A secret as it is, line by line, in base64 and URL-encoded; nothing of one that is too short.
pub(crate) fn forms_of(secret: &str) -> Vec<String> {
    let mut forms = Vec::new();
    for part in secret.lines().map(str::trim).chain([secret]) {
        if part.len() >= SHORTEST {
            forms.push(part.to_owned());
            forms.extend(in_base64(part));
            forms.extend(url_encoded(part));
        }
    }
    forms
}

/// The characters that encode nothing but the secret, for each of its three possible positions.
fn in_base64(secret: &str) -> Vec<String> {
    let mut forms = Vec::new();
    for before in 0..3 {
        let mut bytes = vec![0; before];
        bytes.extend_from_slice(secret.as_bytes());
        for encoded in [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            // Whole characters only: at either edge one may hold bits of a neighbour.
            let first = (before * 8).div_ceil(6);
            let last = bytes.len() * 8 / 6;
            if let Some(inner) = encoded.get(first..last)
                && inner.len() >= SHORTEST
            {
                forms.push(inner.to_owned());
            }
        }
    }
    forms
}

fn url_encoded(secret: &str) -> Vec<String> {
    let encode = |upper: bool| -> String {
        let escape = |byte: u8| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                char::from(byte).to_string()
            } else if upper {
                format!("%{byte:02X}")
            } else {
                format!("%{byte:02x}")
            }
        };
        secret.bytes().map(escape).collect()
    };
    vec![encode(true), encode(false)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_blotted_out_in_every_form() {
        let redaction = Redaction::new(&[Secret::new("pa$$ wörd/1"), Secret::new("true")]);
        for before in ["", "a", "ab", "abc"] {
            let text = format!("{before}pa$$ wörd/1 and more");
            for encoded in [STANDARD_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
                let shown = redaction.apply(format!("auth: {encoded}"));
                assert!(shown.contains(BLOT), "{before:?}: {shown}");
            }
        }
        for text in
            ["key pa$$ wörd/1!", "?key=pa%24%24%20w%C3%B6rd%2F1", "?key=pa%24%24%20w%c3%b6rd%2f1"]
        {
            let shown = redaction.apply(text.into());
            assert!(shown.contains(BLOT) && !shown.contains("rd"), "{shown}");
        }
        assert_eq!(redaction.apply("true".into()), "true");
    }

    #[test]
    fn a_redaction_shows_nothing_of_what_it_looks_for() {
        let redaction = Redaction::new(&[Secret::new("hunter2-hunter2")]);
        assert!(!format!("{redaction:?}").contains("hunter2"));
    }

    #[test]
    fn a_key_of_several_lines_is_blotted_out_line_by_line() {
        let redaction = Redaction::new(&[Secret::new("-----BEGIN\nMIIEvQIBADANB\n-----END")]);
        assert_eq!(redaction.apply("key: MIIEvQIBADANB".into()), "key: [secret]");
        assert!(redaction.longest() >= 36);
    }
}
