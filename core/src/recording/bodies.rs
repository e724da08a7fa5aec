//! What others sent as a whole: bodies and journals, without their secrets.

use alloc::string::String;
use alloc::vec::Vec;

use super::Handles;
use super::json::{Place, rewrite};
use super::places::{self, of_address};
use crate::journal;

impl Handles {
    /// A body, which need not be JSON: every secret in a place of secrets, and wherever else it
    /// stands, becomes a handle.
    pub(super) fn body(&mut self, body: &[u8]) -> Vec<u8> {
        let Some(text) = core::str::from_utf8(body).ok() else { return self.bytes(body) };
        let mut found = Vec::new();
        let is_json = rewrite(text, places::of, &mut |place, value| {
            if place != Place::Other {
                found.push((place, String::from(value)));
            }
            None
        });
        if is_json.is_none() {
            return self.bytes(body);
        }
        for (_, name) in found.iter().filter(|(place, _)| *place == Place::Public) {
            if self.text(name).is_none() {
                self.is_public(name);
            }
        }
        for (place, value) in &found {
            match place {
                Place::Secret => self.learn(value),
                Place::Address => self.learn_address(value),
                Place::Derived | Place::Public | Place::Done | Place::Other => {}
            }
        }
        let may_hold = self.may_be_in(text);
        let changed = rewrite(text, places::of, &mut |place, value| match place {
            Place::Secret => Some(self.of(value)),
            Place::Address => Some(self.address(value)),
            Place::Derived => Some("0".repeat(value.len())),
            Place::Public | Place::Done | Place::Other => {
                if may_hold {
                    self.text(value)
                } else {
                    None
                }
            }
        });
        changed.map_or_else(|| body.to_vec(), String::into_bytes)
    }

    /// An address with handles for user, password, path and query.
    pub(super) fn address(&mut self, url: &str) -> String {
        let mut url = String::from(url);
        // The last part first, so that the first one's place stays true.
        for part in of_address(&url.clone()).into_iter().rev().flatten() {
            if let Some(text) = url.get(part.clone()).map(String::from) {
                url.replace_range(part, &self.of(&text));
            }
        }
        url
    }

    /// A journal: entries without secrets, and what is no entry as bytes that are none either.
    pub(super) fn journal(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let entry = journal::scan(line).entries.pop().and_then(|entry| {
                let clean = self.body(&crate::wire::encode(&entry));
                serde_json::from_slice(&clean).ok()
            });
            match entry {
                Some(entry) => journal::encode(&entry, &mut out),
                None => out.extend(line.iter().map(|b| if *b == b'\n' { b'\n' } else { b'#' })),
            }
        }
        out
    }

    /// Takes note of a secret, and has it looked for: whole, behind a scheme (`Bearer …`), behind a
    /// `--name=`, and what is secret in an address.
    pub(super) fn learn(&mut self, secret: &str) {
        self.of(secret);
        if !secret.starts_with('-') {
            self.look_for(secret);
        }
        for separator in [' ', '='] {
            if let Some((_, behind)) = secret.split_once(separator) {
                self.look_for(behind);
            }
        }
        if secret.contains("://") {
            self.learn_address(secret);
        }
    }

    pub(super) fn learn_address(&mut self, url: &str) {
        /// Shorter parts of a path are words.
        const PATH_PART_MIN: usize = 16;
        let [user, behind] = of_address(url);
        if let Some(user) = user.and_then(|part| url.get(part)) {
            self.look_for(user);
            if let Some((_, password)) = user.split_once(':') {
                self.look_for(password);
            }
        }
        let behind = behind.and_then(|part| url.get(part)).unwrap_or_default();
        let (path, query) = behind.split_once('?').unwrap_or((behind, ""));
        for part in path.split('/').filter(|part| part.len() >= PATH_PART_MIN) {
            self.look_for(part);
        }
        for (_, value) in query.split(['&', '#']).filter_map(|pair| pair.split_once('=')) {
            self.look_for(value);
        }
    }
}
