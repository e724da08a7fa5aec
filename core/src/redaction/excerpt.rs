//! The beginning of a JSON text, short and without secrets: what a log shows of a call.
//!
//! Reads no further than it shows, so that a result of megabytes costs no more than a small one.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::{Map, Value};

use super::names::{names_a_secret_of_any_kind, names_a_secret_text};
use super::{BLOT, Redaction};

/// What stands where something was left out.
const CUT: &str = "[cut]";
/// Values within values that are shown.
const DEPTH_MAX: usize = 32;

impl Redaction {
    /// `text` as a value of about `most` bytes. `is_whole` says whether `text` is a whole JSON text;
    /// else it is the beginning of one and may end anywhere.
    ///
    /// Left out are the values of keys that look like those of secrets, in JSON within strings too,
    /// and every form of the secrets themselves. Nothing of a string is shown that might be the
    /// beginning of a secret whose end was cut off.
    pub fn excerpt(&self, text: &str, is_whole: bool, most: usize) -> Value {
        let mut reader = Reader { redaction: self, text, is_whole, at: 0, room: most, end: None };
        match reader.value(0) {
            Some(value) => value,
            None => Value::String(String::from(CUT)),
        }
    }

    /// The beginning of a plain text, at most `most` bytes and a mark where more was.
    pub fn brief(&self, text: &str, most: usize) -> String {
        let end = text.floor_char_boundary(most.saturating_mul(2).saturating_add(self.longest()));
        let piece = text.get(..end).unwrap_or_default();
        fit(self.shown(piece, end == text.len()), most)
    }

    /// `text` without secrets; without its end too, where that may be part of one.
    fn shown(&self, text: &str, is_whole: bool) -> String {
        let mut shown = self.apply(String::from(text));
        if !is_whole {
            let keep = shown.len().saturating_sub(self.longest().saturating_sub(1));
            shown.truncate(shown.floor_char_boundary(keep));
            shown.push_str(CUT);
        }
        shown
    }
}

fn fit(mut text: String, most: usize) -> String {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
        text.push_str(CUT);
    }
    text
}

/// Why reading stopped before the end of the outermost value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The text or the room is used up.
    Cut,
    /// The text is no JSON.
    Garbage,
}

struct Reader<'a> {
    redaction: &'a Redaction,
    text: &'a str,
    is_whole: bool,
    at: usize,
    room: usize,
    end: Option<End>,
}

impl Reader<'_> {
    /// The value that begins here, as far as it goes; nothing if there is none.
    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > DEPTH_MAX {
            return self.stop(End::Cut);
        }
        match self.next()? {
            b'{' => Some(self.object(depth)),
            b'[' => Some(self.array(depth)),
            b'"' => self.string(depth),
            _ => self.scalar(),
        }
    }

    fn stop<T>(&mut self, end: End) -> Option<T> {
        self.end.get_or_insert(end);
        None
    }

    /// The next byte that is no white space.
    fn next(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        match bytes.get(self.at) {
            Some(byte) if self.room > 0 => Some(*byte),
            _ => self.stop(End::Cut),
        }
    }

    /// Takes `byte` if it comes next.
    fn took(&mut self, byte: u8) -> bool {
        let is_next = self.next() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Whether another member follows one that was read; takes what stands between them.
    fn goes_on(&mut self, close: u8) -> bool {
        if self.end.is_some() || self.took(close) {
            return false;
        }
        if self.end.is_none() && !self.took(b',') {
            self.end.get_or_insert(End::Garbage);
        }
        self.end.is_none()
    }

    fn spend(&mut self, bytes: usize) {
        self.room = self.room.saturating_sub(bytes);
    }

    fn object(&mut self, depth: usize) -> Value {
        self.at += 1;
        self.spend(2);
        let mut members = Map::new();
        let mut goes_on = !self.took(b'}') && self.end.is_none();
        while goes_on {
            if self.next() != Some(b'"') {
                self.end.get_or_insert(End::Garbage);
                break;
            }
            let (key, is_whole) = self.token();
            if !is_whole || !self.took(b':') {
                self.end.get_or_insert(if is_whole { End::Garbage } else { End::Cut });
                break;
            }
            let shown = fit(self.redaction.shown(&key, true), self.room);
            self.spend(shown.len() + 4);
            let value = self.value(depth + 1);
            members.insert(shown, concealed(&key, value.unwrap_or_else(|| Value::from(CUT))));
            goes_on = self.goes_on(b'}');
        }
        if self.end.is_some() {
            members.insert(String::from(CUT), Value::Null);
        }
        Value::Object(members)
    }

    fn array(&mut self, depth: usize) -> Value {
        self.at += 1;
        self.spend(2);
        let mut elements = Vec::new();
        let mut goes_on = !self.took(b']') && self.end.is_none();
        while goes_on {
            elements.extend(self.value(depth + 1));
            goes_on = self.goes_on(b']');
        }
        if self.end.is_some() {
            elements.push(Value::from(CUT));
        }
        Value::Array(elements)
    }

    fn string(&mut self, depth: usize) -> Option<Value> {
        let (text, is_whole) = self.token();
        if !is_whole {
            self.end.get_or_insert(End::Cut);
        }
        let shown = match self.within(&text, is_whole, depth) {
            Some(json) => json,
            None => self.redaction.shown(&text, is_whole),
        };
        if shown.len() > self.room {
            self.end.get_or_insert(End::Cut);
        }
        let shown = fit(shown, self.room);
        self.spend(shown.len() + 3);
        Some(Value::String(shown))
    }

    /// What a string shows that holds JSON itself, as many tools answer.
    fn within(&self, text: &str, is_whole: bool, depth: usize) -> Option<String> {
        if !text.trim_ascii_start().starts_with(['{', '[']) {
            return None;
        }
        let mut inner =
            Reader { redaction: self.redaction, text, is_whole, at: 0, room: self.room, end: None };
        let value = inner.value(depth + 1)?;
        let is_rest = inner.end.is_none()
            && inner.text.get(inner.at..).is_some_and(|rest| !rest.trim_ascii().is_empty());
        if inner.end == Some(End::Garbage) || is_rest {
            return None;
        }
        // Members stand side by side here, where a secret may stand too.
        Some(self.redaction.apply(format!("{value}")))
    }

    /// The string that begins here, decoded, and whether its end was found.
    fn token(&mut self) -> (String, bool) {
        let bytes = self.text.as_bytes();
        let start = self.at + 1;
        let mut end = start;
        let is_whole = loop {
            let length = match bytes.get(end) {
                None => break false,
                Some(b'"') => break true,
                Some(b'\\') if bytes.get(end + 1) == Some(&b'u') => 6,
                Some(b'\\') => 2,
                Some(_) => 1,
            };
            if end + length > bytes.len() {
                break false;
            }
            end += length;
        };
        self.at = if is_whole { end + 1 } else { bytes.len() };
        let decoded = |end: usize| {
            let raw = self.text.get(start..end)?;
            serde_json::from_str::<String>(&format!("\"{raw}\"")).ok()
        };
        // The first half of a pair of escapes has no meaning without the second.
        let decoded = decoded(end).or_else(|| decoded(end.saturating_sub(6).max(start)));
        (decoded.unwrap_or_default(), is_whole)
    }

    fn scalar(&mut self) -> Option<Value> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length = rest.find([',', ']', '}', ' ', '\t', '\r', '\n']);
        if length.is_none() && !self.is_whole {
            return self.stop(End::Cut);
        }
        let token = rest.get(..length.unwrap_or(rest.len())).unwrap_or_default();
        self.at += token.len();
        self.spend(token.len() + 1);
        match serde_json::from_str(token) {
            Ok(value) => Some(value),
            Err(_) => self.stop(End::Garbage),
        }
    }
}

/// `value` as it may be shown under `key`.
fn concealed(key: &str, value: Value) -> Value {
    let is_hidden = match value {
        Value::Null | Value::Bool(_) => false,
        Value::Number(_) => names_a_secret_of_any_kind(key),
        _ => names_a_secret_text(key),
    };
    if is_hidden { Value::from(BLOT) } else { value }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::secret::Secret;

    fn redaction() -> Redaction {
        Redaction::new(&[Secret::new("hunter2-hunter2"), Secret::new("line\"one\\two")])
    }

    fn excerpt(value: &Value, most: usize) -> Value {
        redaction().excerpt(&value.to_string(), true, most)
    }

    #[test]
    fn a_small_value_without_secrets_stays_as_it_is() {
        let value = json!({"path": "/tmp/ä", "n": [1, -2.5e3, null, true, {}, []], "max_tokens": 5,
            "text": "a \"quoted\" \u{1F980} line\n", "log": "[INFO] ready", "lines": "{}\n{}"});
        assert_eq!(excerpt(&value, 4_096), value);
        assert_eq!(redaction().excerpt(" 7 ", true, 10), json!(7));
    }

    #[test]
    fn values_of_keys_that_look_like_secrets_are_left_out_whatever_they_are() {
        let value = json!({"api_key": "a", "X-Api-Key": "b", "accessToken": "c", "password": 1234,
            "clientSecret": {"deep": ["d"]}, "Authorization": "e", "auth": "f", "user": "u",
            "list": [{"refresh_token": "g"}], "token_count": 9, "secret": null, "is_secret": true});
        let shown = excerpt(&value, 4_096);
        assert_eq!(
            shown,
            json!({"api_key": BLOT, "X-Api-Key": BLOT, "accessToken": BLOT, "password": BLOT,
                "clientSecret": BLOT, "Authorization": BLOT, "auth": BLOT, "user": "u",
                "list": [{"refresh_token": BLOT}], "token_count": 9, "secret": null,
                "is_secret": true})
        );
    }

    #[test]
    fn json_within_a_string_is_treated_like_any_other() {
        let inner = json!({"items": [{"password": "p4ssw0rd"}], "name": "n"}).to_string();
        let shown = excerpt(&json!({"content": [{"type": "text", "text": inner}]}), 4_096);
        let text = shown["content"][0]["text"].as_str().unwrap();
        let inner: Value = serde_json::from_str(text).unwrap();
        assert_eq!(inner, json!({"items": [{"password": BLOT}], "name": "n"}));
    }

    #[test]
    fn the_servers_own_secrets_are_left_out_wherever_they_stand() {
        let value = json!({"hunter2-hunter2": "x", "text": "key hunter2-hunter2.",
            "escaped": "line\"one\\two", "nested": "{\"a\":\"hunter2-hunter2\"}"});
        let shown = excerpt(&value, 4_096).to_string();
        assert!(!shown.contains("hunter2") && !shown.contains("two"), "{shown}");
        assert_eq!(shown.matches(BLOT).count(), 4, "{shown}");
    }

    #[test]
    fn a_large_value_is_cut_and_stays_a_value() {
        let value = json!({"content": [{"type": "text", "text": "x".repeat(100_000)}, 2], "z": 1});
        let text = value.to_string();
        let shown = redaction().excerpt(&text[..5_000], false, 4_000);
        assert!(shown.to_string().len() < 4_100);
        let beginning = shown["content"][0]["text"].as_str().unwrap();
        assert!(beginning.starts_with("xxx") && beginning.ends_with(CUT));
        assert_eq!(shown["content"][1], CUT);
        assert_eq!(redaction().brief(&"é".repeat(500), 100).len(), 100 + CUT.len());
    }

    proptest! {
        #[test]
        fn wherever_a_text_is_cut_no_part_of_a_secret_shows(
            before in "[a-z\"\\\\ é{]{0,40}",
            after in ".{0,20}",
            at in 0..400_usize,
            most in 0..300_usize,
        ) {
            let text = json!({"k": [before.clone() + "hunter2-hunter2" + &after], "x": after});
            let text = text.to_string();
            let end = text.floor_char_boundary(at);
            let shown = redaction().excerpt(&text[..end], end == text.len(), most).to_string();
            prop_assert!(!shown.contains("hunt"), "{shown}");
        }

        #[test]
        fn no_text_is_too_strange(text in "\\PC{0,60}|[\\[\\]{}\",:\\\\ut0-9]{0,60}", most in 0..80_usize) {
            let _ = redaction().excerpt(&text, true, most);
            let _ = redaction().excerpt(&text, false, most);
            let _ = redaction().brief(&text, most);
        }
    }
}
