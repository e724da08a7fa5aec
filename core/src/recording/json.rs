//! Rewrites texts inside JSON and leaves everything else as it is, to the byte.

use alloc::string::String;
use alloc::vec::Vec;

use serde::de::IgnoredAny;

/// Where a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Where secrets stand.
    Secret,
    /// An address: its path, query and user may be secret.
    Address,
    /// A name that everybody may read.
    Public,
    /// A digest of something that holds secrets: another one without them.
    Derived,
    /// Text that has been rewritten.
    Done,
    /// Anywhere else.
    Other,
}

/// A container that is open.
#[derive(Default)]
struct Open {
    is_object: bool,
    /// The key of the value that comes or is open.
    key: Option<String>,
    is_secret: bool,
}

/// Has `change` see every string that is a value, with its place as `of` knows it by its key.
/// Numbers in secret places become other ones of the same length. Nothing if `text` is no JSON.
pub(super) fn rewrite(
    text: &str,
    of: fn(&str) -> Place,
    change: &mut dyn FnMut(Place, &str) -> Option<String>,
) -> Option<String> {
    serde_json::from_str::<IgnoredAny>(text).ok()?;
    let mut out = String::with_capacity(text.len());
    let mut open: Vec<Open> = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.bytes().next() {
        let length = match first {
            b'"' => string_length(rest),
            b'-' | b'0'..=b'9' => number_length(rest),
            // What is no string is ASCII here.
            _ => 1,
        };
        let (token, after) = rest.split_at_checked(length)?;
        rest = after;
        match first {
            b'{' | b'[' => {
                let is_secret = place(&open, of) == Place::Secret;
                open.push(Open { is_object: first == b'{', key: None, is_secret });
            }
            b'}' | b']' => {
                open.pop();
            }
            b',' => {
                if let Some(innermost) = open.last_mut() {
                    innermost.key = None;
                }
            }
            b'"' => {
                let value = serde_json::from_str::<String>(token).ok();
                match (open.last_mut(), value) {
                    (Some(innermost), Some(key))
                        if innermost.is_object && innermost.key.is_none() =>
                    {
                        innermost.key = Some(key);
                    }
                    (_, Some(value)) => {
                        if let Some(changed) = change(place(&open, of), &value) {
                            out.push_str(&serde_json::to_string(&changed).ok()?);
                            continue;
                        }
                    }
                    (_, None) => {}
                }
            }
            b'-' | b'0'..=b'9' if place(&open, of) == Place::Secret => {
                out.extend(token.chars().map(|c| if c.is_ascii_digit() { '1' } else { c }));
                continue;
            }
            _ => {}
        }
        out.push_str(token);
    }
    Some(out)
}

fn place(open: &[Open], of: fn(&str) -> Place) -> Place {
    if open.iter().any(|one| one.is_secret) {
        return Place::Secret;
    }
    open.iter().rev().find_map(|one| one.key.as_deref()).map_or(Place::Other, of)
}

fn string_length(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn number_length(text: &str) -> usize {
    text.bytes()
        .position(|byte| !matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9'))
        .unwrap_or(text.len())
}
