//! JSON carried as the text it arrived in.

use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// Valid JSON, kept as text: nothing in it is reordered or rounded on its way through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonText(String);

impl JsonText {
    /// The text of `value`.
    pub fn of(value: &impl Serialize) -> JsonText {
        // Rows are made of text, numbers and maps with text keys: serialising them cannot fail.
        JsonText(serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned()))
    }

    /// Takes charge of `text`, if it is JSON.
    pub fn parse(text: String) -> Result<JsonText, serde_json::Error> {
        RawValue::from_string(text).map(|raw| JsonText(raw.get().to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text as a value; `null` where it nests too deeply to be one.
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.0).unwrap_or(Value::Null)
    }
}

impl From<&RawValue> for JsonText {
    fn from(raw: &RawValue) -> Self {
        JsonText(raw.get().to_owned())
    }
}

impl Serialize for JsonText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw = serde_json::from_str::<&RawValue>(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}
