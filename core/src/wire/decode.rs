//! From bytes to a message and back. Errors name the field and never quote a value: the value may
//! be a secret in the wrong place.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Reads one JSON message, which is an object.
///
/// # Errors
///
/// One phrase for people: `what`, the field, and what was expected there.
pub fn decode<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, String> {
    // serde would take an array of a struct's values for the struct.
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(format!("{what}: must be a JSON object"));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let message = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        describe(what, &path, error.inner())
    })?;
    deserializer.end().map_err(|error| describe(what, ".", &error))?;
    Ok(message)
}

/// Writes one JSON message.
pub fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    // Every type of this module is a tree of text, numbers and maps with text keys: none can fail.
    serde_json::to_vec(message).unwrap_or_default()
}

fn describe(what: &str, path: &str, error: &serde_json::Error) -> String {
    let text = without_value(&error.to_string());
    if path == "." || path.is_empty() {
        format!("{what}: {text}")
    } else {
        format!("{what}: `{path}`: {text}")
    }
}

/// serde quotes what it found (`invalid type: string "…", expected a map`); this leaves its kind.
fn without_value(text: &str) -> String {
    let Some(expected) = text.rfind(", expected ") else { return text.to_string() };
    let (found, expected) = text.split_at(expected);
    let quoted = found.find(['"', '`']);
    match quoted {
        Some(at) => format!("{}{expected}", found.get(..at).unwrap_or_default().trim_end()),
        None => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::command::CommandResult;
    use crate::wire::configuration::ServerEntry;
    use crate::wire::tokens::TokensRequest;

    #[test]
    fn an_error_names_the_field_that_is_wrong() {
        let error =
            decode::<TokensRequest>("token request", br#"{"installation_id":"i","user_id":7}"#)
                .unwrap_err();
        assert_eq!(
            error,
            "token request: `user_id`: invalid type: integer, expected a string at line 1 column 34"
        );
    }

    #[test]
    fn an_error_never_quotes_a_value() {
        for json in [
            r#"{"headers":"Bearer hunter2"}"#,
            r#"{"env":{"KEY":["hunter2"]}}"#,
            r#"{"env":"a, expected hunter2"}"#,
            r#"{"transport_type":["hunter2"]}"#,
            r#"{"installation_id":"i" hunter2}"#,
        ] {
            let error = decode::<ServerEntry>("server", json.as_bytes()).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
        let error = decode::<CommandResult>("result", br#"{"command_id":"c","status":"hunter2"}"#)
            .unwrap_err();
        assert!(error.starts_with("result: `status`: unknown variant, expected"), "{error}");
    }

    #[test]
    fn what_follows_a_message_is_an_error() {
        assert!(decode::<serde_json::Value>("message", b"{} {}").is_err());
        assert!(decode::<serde_json::Value>("message", b"{} \n").is_ok());
    }

    #[test]
    fn what_is_no_object_is_an_error() {
        for bytes in [&b""[..], b" ", b"[]", b"7", b"null", b"\"{}\"", b"{"] {
            assert!(decode::<serde_json::Value>("message", bytes).is_err());
        }
    }
}
