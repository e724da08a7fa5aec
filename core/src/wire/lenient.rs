//! Values as peers send them: some write whole numbers as floats, some write `null` for what is
//! missing, and some write nonsense into hints.

use alloc::string::String;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serializer};
use serde_json::Number;

/// A whole number from 0 up; a fraction is cut off.
pub(crate) fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    to_whole(&Number::deserialize(deserializer)?)
        .ok_or_else(|| serde::de::Error::custom("expected a number that is not negative"))
}

/// A whole number from 0 up, or nothing when it is missing or unusable: for hints that nothing
/// depends on.
pub(crate) fn hint<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(match value {
        serde_json::Value::Number(number) => to_whole(&number),
        _ => None,
    })
}

/// A text, or nothing when it is missing or something else.
pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => Some(text),
        _ => None,
    })
}

/// An addition as this version knows it; nothing for what another says in its place.
pub(crate) fn known<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(serde_json::Value::deserialize(deserializer)?).ok())
}

/// The default for `null`.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Writes a float; JSON has no infinity and no NaN, and they become 0.
pub(crate) fn finite<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(if number.is_finite() { *number } else { 0.0 })
}

/// Whether an addition says nothing and can be left out.
pub(crate) fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn to_whole(number: &Number) -> Option<u64> {
    if let Some(whole) = number.as_u64() {
        return Some(whole);
    }
    let float = number.as_f64().filter(|float| *float >= 0.0)?;
    // A float beyond the range saturates.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    let whole = float as u64;
    Some(whole)
}
