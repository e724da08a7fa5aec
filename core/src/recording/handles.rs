//! Handles: what stands in a recording in the place of secrets.

use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use memchr::memmem;

use crate::redaction::forms_of;

/// Texts that are known not to be secret, kept to tell apart what only looks like one.
const PUBLIC_MAX: usize = 4_096;
/// Texts of so many lower-case letters may be words of the wire: `normal`, `health_check`.
const WORD_MAX: usize = 16;

/// A handle for each secret: the same for equal secrets, and as long as the secret where that is
/// at least two bytes more than its number needs.
#[derive(Default)]
pub struct Handles {
    handles: BTreeMap<String, String>,
    issued: BTreeSet<String>,
    /// What is looked for in texts, longest first.
    forms: Vec<String>,
    public: BTreeSet<String>,
}

impl core::fmt::Debug for Handles {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Handles").field("issued", &self.issued.len()).finish_non_exhaustive()
    }
}

impl Handles {
    /// The handle of a text that stands where secrets stand. An empty text is none; a handle has
    /// itself.
    pub(super) fn of(&mut self, secret: &str) -> String {
        if secret.is_empty() || self.issued.contains(secret) {
            return secret.to_owned();
        }
        if let Some(handle) = self.handles.get(secret) {
            return handle.clone();
        }
        let mut handle = format!("~{}", base36(self.issued.len()));
        while handle.len() < secret.len() {
            handle.push('~');
        }
        self.handles.insert(secret.to_owned(), handle.clone());
        self.issued.insert(handle.clone());
        handle
    }

    /// Has a secret looked for in every text from here on, as logs do: as it is, line by line,
    /// URL-encoded and in base64. What is short, a plain word, or part of a name that is public is
    /// replaced only where secrets stand.
    pub(super) fn look_for(&mut self, secret: &str) {
        let is_word = secret.len() <= WORD_MAX
            && secret.bytes().all(|byte| byte.is_ascii_lowercase() || b"_-./".contains(&byte));
        if is_word
            || self.issued.contains(secret)
            || self.public.iter().any(|text| text.contains(secret))
        {
            return;
        }
        for form in forms_of(secret) {
            if !self.forms.contains(&form) {
                self.of(&form);
                self.forms.push(form);
            }
        }
        self.forms
            .sort_by(|left, right| right.len().cmp(&left.len()).then_with(|| left.cmp(right)));
    }

    /// Takes note of a name that everybody may read.
    pub(super) fn is_public(&mut self, text: &str) {
        if self.public.len() < PUBLIC_MAX && !text.is_empty() {
            self.public.insert(text.to_owned());
        }
    }

    /// `text` with a handle for every secret in it; nothing if there is none.
    pub(super) fn text(&self, text: &str) -> Option<String> {
        let mut changed: Option<String> = None;
        for form in &self.forms {
            let current = changed.as_deref().unwrap_or(text);
            if memmem::find(current.as_bytes(), form.as_bytes()).is_some()
                && let Some(handle) = self.handles.get(form)
            {
                changed = Some(current.replace(form.as_str(), handle));
            }
        }
        changed
    }

    /// Whether a secret may stand anywhere in `text`, which may be JSON.
    pub(super) fn may_be_in(&self, text: &str) -> bool {
        self.forms.iter().any(|form| {
            is_escaped(form) || memmem::find(text.as_bytes(), form.as_bytes()).is_some()
        })
    }

    /// `bytes`, which need not be text, with a handle for every secret in them.
    pub(super) fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        let mut changed = bytes.to_vec();
        for form in &self.forms {
            let Some(handle) = self.handles.get(form) else { continue };
            let found: Vec<usize> = memmem::find_iter(&changed, form.as_bytes()).collect();
            for at in found.into_iter().rev() {
                changed.splice(at..at + form.len(), handle.bytes());
            }
        }
        changed
    }
}

/// Whether JSON writes it in more ways than one, so that it cannot be looked for in JSON's text.
fn is_escaped(form: &str) -> bool {
    form.chars().any(|c| matches!(c, '"' | '\\' | '/') || !c.is_ascii() || c.is_ascii_control())
}

fn base36(mut number: usize) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(char::from_digit((number % 36) as u32, 36).unwrap_or('0'));
        number /= 36;
        if number == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}
