//! Bytes as text: as they are if they are UTF-8, else in base64 after a mark.

use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

const MARK: &str = "base64:";

fn text(bytes: &[u8]) -> String {
    match core::str::from_utf8(bytes) {
        Ok(text) if !text.starts_with(MARK) => String::from(text),
        _ => [MARK, &STANDARD.encode(bytes)].concat(),
    }
}

fn bytes(text: String) -> Result<Vec<u8>, base64::DecodeError> {
    match text.strip_prefix(MARK) {
        Some(encoded) => STANDARD.decode(encoded),
        None => Ok(text.into_bytes()),
    }
}

/// Writes bytes.
///
/// # Errors
///
/// Those of the serializer.
pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&text(bytes))
}

/// Reads bytes.
///
/// # Errors
///
/// No text, or a mark without base64 behind it.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    bytes(String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// The same for bytes that may be absent.
pub mod optional {
    use super::*;

    /// Writes bytes, or `null`.
    ///
    /// # Errors
    ///
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(
        bytes: &Option<Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match bytes {
            Some(bytes) => super::serialize(bytes, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Reads bytes, or `null`.
    ///
    /// # Errors
    ///
    /// Neither text nor `null`, or a mark without base64 behind it.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(bytes).transpose().map_err(D::Error::custom)
    }
}
