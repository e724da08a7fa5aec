//! One member of a large object, found without reading the rest.

use alloc::format;

use memchr::memmem;

use super::depth::after_string;

/// Whether the outermost object of `text` has a member `key` that is `true`. `text` is valid JSON.
///
/// Costs one search where the key does not occur, and one pass without allocation where it does.
/// A key that is written with escapes is not found.
pub fn is_true(text: &str, key: &str) -> bool {
    let bytes = text.as_bytes();
    if memmem::find(bytes, format!("\"{key}\"").as_bytes()).is_none() {
        return false;
    }
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => {
                let end = after_string(bytes, at + 1);
                let is_key =
                    depth == 1 && bytes.get(at + 1..end.saturating_sub(1)) == Some(key.as_bytes());
                at = end;
                if is_key
                    && let Some(value) = text.get(at..).map(str::trim_ascii_start)
                    && let Some(value) = value.strip_prefix(':')
                {
                    return value.trim_ascii_start().starts_with("true");
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_outermost_member_counts() {
        for (text, expected) in [
            (r#"{"isError":true}"#, true),
            (r#"{"content":[{"text":"\"isError\":true"}],"isError" : true }"#, true),
            (r#"{"isError":false,"x":true}"#, false),
            (r#"{"structuredContent":{"isError":true}}"#, false),
            (r#"{"content":["isError",true]}"#, false),
            (r#"{"kind":"isError","other":true}"#, false),
            (r#"{"text":"{\"isError\":true}"}"#, false),
            (r#"["isError"]"#, false),
            ("null", false),
            ("{\"isError\"", false),
        ] {
            assert_eq!(is_true(text, "isError"), expected, "{text}");
        }
    }
}
