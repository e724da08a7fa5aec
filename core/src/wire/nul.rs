//! NUL in text. JSON can write one, as `\u0000`; PostgreSQL keeps none.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::Value;

const ESCAPED: &[u8] = b"\\u0000";
const REPLACEMENT: &[u8] = b"\\ufffd";

/// The JSON text with U+FFFD in place of each NUL; nothing where there is none. What a satellite
/// tells is worth more than the one character that cannot be kept.
pub fn without_nul(json: &[u8]) -> Option<Vec<u8>> {
    let mut replaced = None;
    for at in escaped(json) {
        let text = replaced.get_or_insert_with(|| json.to_vec());
        if let Some(place) = text.get_mut(at..at + ESCAPED.len()) {
            place.copy_from_slice(REPLACEMENT);
        }
    }
    replaced
}

/// Whether the JSON text writes a NUL.
pub fn has_nul(json: &[u8]) -> bool {
    escaped(json).next().is_some()
}

/// Where in `value` a text or a key holds a NUL: `team_env.KEY`, `args[2]`.
pub fn find_nul(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => text.contains('\0').then(String::new),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| Some(below(&format!("[{index}]"), &find_nul(item)?))),
        Value::Object(fields) => fields.iter().find_map(|(key, item)| {
            let name = key.replace('\0', "");
            if *key == name { Some(below(key, &find_nul(item)?)) } else { Some(name) }
        }),
        _ => None,
    }
}

fn below(place: &str, rest: &str) -> String {
    let dot = if rest.is_empty() || rest.starts_with('[') { "" } else { "." };
    format!("{place}{dot}{rest}")
}

/// Where an escaped NUL begins. A backslash that is itself escaped begins none.
fn escaped(json: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let mut from = 0;
    core::iter::from_fn(move || {
        loop {
            let at = from + memchr::memchr(b'\\', json.get(from..)?)?;
            from = at + 2;
            if json.get(at..).is_some_and(|rest| rest.starts_with(ESCAPED)) {
                return Some(at);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_escaped_backslash_before_it_makes_it_none() {
        assert!(!has_nul(br#"{"a":"C:\\u0000"}"#));
        assert!(has_nul(br#"{"a":"C:\\\u0000"}"#));
        assert_eq!(without_nul(br#"["\n\\u0000"]"#), None);
        assert_eq!(without_nul(br#"["\u0000\u0000"]"#).unwrap(), br#"["\ufffd\ufffd"]"#);
        for cut in [&b"\\"[..], b"", b"\"\\u000", b"\\u"] {
            assert_eq!(without_nul(cut), None);
        }
    }

    #[test]
    fn its_place_is_named() {
        let place = |value: Value| find_nul(&value);
        assert_eq!(place(json!({"a": {"b": ["x", "\0"]}})).unwrap(), "a.b[1]");
        assert_eq!(place(json!({"a": {"K\0Y": 1}})).unwrap(), "a.KY");
        assert_eq!(place(json!({"a": [{"b": "\0"}]})).unwrap(), "a[0].b");
        assert_eq!(place(json!({"a": "\\u0000", "b": 7})), None);
    }

    proptest! {
        #[test]
        fn what_is_replaced_is_every_nul_and_nothing_else(
            texts in proptest::collection::vec("[\0\\\\u0ab\"\u{fffd}é]{0,8}", 0..6)
        ) {
            let written = serde_json::to_vec(&texts).unwrap();
            let clean = without_nul(&written).unwrap_or_else(|| written.clone());
            let read: Vec<String> = serde_json::from_slice(&clean).unwrap();
            let expected: Vec<String> =
                texts.iter().map(|text| text.replace('\0', "\u{fffd}")).collect();
            prop_assert_eq!(read, expected);
            prop_assert_eq!(has_nul(&written), find_nul(&json!(texts)).is_some());
        }
    }
}
