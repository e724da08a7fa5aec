//! What the administration API says, in words, and words as it takes them.

use satellite_core::time::{IsoTime, Timestamp};
use serde_json::Value;

/// Reads a moment of the command line.
pub(super) fn moment(text: &str) -> Result<IsoTime, String> {
    Timestamp::from_iso(text).map(IsoTime).ok_or_else(|| {
        String::from("write the moment with its time zone, such as 2026-02-01T22:00:00Z")
    })
}

/// What an administrator has decided about a satellite: `enabled`, `disabled`, or `maintenance`
/// with its window.
pub(in crate::cli) fn admin_state(state: &Value) -> Option<String> {
    let mut words = String::from(state["state"].as_str()?);
    for bound in ["from", "until"] {
        if let Some(moment) = state[bound].as_str() {
            words.extend([" ", bound, " ", moment]);
        }
    }
    Some(words)
}

/// Puts words in the place of a record's `admin_state`.
pub(super) fn tell_admin_state(record: &mut Value) {
    if let Some(state) = record.get_mut("admin_state")
        && let Some(words) = admin_state(state)
    {
        *state = Value::String(words);
    }
}
