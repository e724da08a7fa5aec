//! Names as tool paths carry them.

use alloc::format;
use alloc::string::String;

/// Longest slug.
const SLUG_MAX_CHARACTERS: usize = 63;

/// Turns a name into `[a-z0-9_-]`: letters in lower case, runs of anything else as one hyphen, none
/// at either end, at most 63 characters. A name without a letter or digit becomes `server`.
pub fn slug(name: &str) -> String {
    let mut slug = String::with_capacity(name.len().min(SLUG_MAX_CHARACTERS));
    for character in name.chars() {
        if slug.len() == SLUG_MAX_CHARACTERS {
            break;
        }
        if character.is_ascii_alphanumeric() || character == '_' {
            slug.push(character.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(slug.trim_end_matches('-').len());
    if slug.is_empty() { String::from("server") } else { slug }
}

/// The slug of `name`, with the first of `-2`, `-3`, … that makes it one nobody has.
pub(super) fn unused(name: &str, taken: impl Fn(&str) -> bool) -> String {
    let base = slug(name);
    let mut candidate = base.clone();
    let mut number = 2_usize;
    while taken(&candidate) {
        candidate = format!("{base}-{number}");
        number += 1;
    }
    candidate
}
