//! How deep a text nests, found without recursion.

use memchr::memchr2;

/// A text nests deeper than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooDeep {
    /// The deepest nesting allowed.
    pub limit: usize,
}

impl core::fmt::Display for TooDeep {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "nested deeper than {} levels", self.limit)
    }
}

/// Checks that `text` opens no more than `limit` arrays and objects inside one another.
///
/// Runs before any parser sees the text, in constant memory. It judges nothing else: a text that
/// passes may still be no JSON at all.
///
/// # Errors
///
/// [`TooDeep`] at the first bracket beyond the limit.
pub fn check_depth(text: &[u8], limit: usize) -> Result<(), TooDeep> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += 1;
        match byte {
            b'"' => at = after_string(text, at),
            b'{' | b'[' => {
                depth += 1;
                if depth > limit {
                    return Err(TooDeep { limit });
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// The position after the quote that closes the string whose content starts at `at`.
pub(super) fn after_string(text: &[u8], mut at: usize) -> usize {
    while let Some(rest) = text.get(at..) {
        match memchr2(b'"', b'\\', rest) {
            Some(found) if rest.get(found) == Some(&b'"') => return at + found + 1,
            Some(found) => at += found + 2,
            None => break,
        }
    }
    text.len()
}
