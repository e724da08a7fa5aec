//! Keys that two readers of one object could take differently.

use alloc::collections::BTreeSet;
use alloc::string::String;
use core::fmt;

use serde::Deserializer as _;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Ambiguous;

/// Checks that no two keys of `object` are the same, nor differ in case only.
///
/// Readers differ in which of two equal keys counts, and some ignore case: a value that was
/// authorised under one spelling would be read under the other. Looks at the outermost keys only,
/// and lets everything pass that is not an object.
///
/// # Errors
///
/// [`Ambiguous`] if there are two such keys.
pub fn check_keys(object: &RawValue) -> Result<(), Ambiguous> {
    if !object.get().starts_with('{') {
        return Ok(());
    }
    serde_json::Deserializer::from_str(object.get()).deserialize_map(Keys).map_err(|_| Ambiguous)
}

struct Keys;

impl<'de> Visitor<'de> for Keys {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(key) = map.next_key_seed(Folded)? {
            if !seen.insert(key) {
                return Err(serde::de::Error::custom("a key comes twice"));
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// A key without its case, by simple folding: `ſ` and `K` have the case of `s` and `k`.
struct Folded;

impl<'de> DeserializeSeed<'de> for Folded {
    type Value = String;

    fn deserialize<D: serde::Deserializer<'de>>(self, key: D) -> Result<String, D::Error> {
        key.deserialize_str(self)
    }
}

impl Visitor<'_> for Folded {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<String, E> {
        if key.is_ascii() {
            return Ok(key.to_ascii_lowercase());
        }
        Ok(key.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect())
    }
}
