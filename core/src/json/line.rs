//! One message, one line.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use memchr::memchr2;

/// `text` with every CR and LF replaced by a space; borrowed if it has none.
///
/// `text` must be valid JSON: there, both occur between tokens only, so the value stays the same.
/// A newline copied verbatim would let one message pass for two.
pub fn one_line(text: &str) -> Cow<'_, str> {
    if memchr2(b'\r', b'\n', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let space = |c| if matches!(c, '\r' | '\n') { ' ' } else { c };
    Cow::Owned(text.chars().map(space).collect::<String>())
}

/// Appends the valid JSON `text` to `out` as [`one_line`] would have it.
pub fn append_one_line(out: &mut Vec<u8>, text: &str) {
    let start = out.len();
    out.extend_from_slice(text.as_bytes());
    let mut at = start;
    while let Some(rest) = out.get_mut(at..) {
        let Some(found) = memchr2(b'\r', b'\n', rest) else { break };
        if let Some(byte) = rest.get_mut(found) {
            *byte = b' ';
        }
        at += found + 1;
    }
}
