//! The reader of `Retry-After`.

use satellite_core::backoff::retry_after::{http_date, parse};
use satellite_core::limits::BACKOFF_MAX_MS;
use satellite_core::time::{SECOND, Timestamp};

/// Reads any text as `Retry-After`, at a time taken from it too.
///
/// # Panics
///
/// When a promise is broken.
pub fn run(data: &[u8]) {
    let Some((time, value)) = data.split_first_chunk::<8>() else { return };
    let now = Timestamp(u64::from_le_bytes(*time));
    let Ok(value) = std::str::from_utf8(value) else { return };
    if let Some(wait) = parse(value, now) {
        assert!(wait <= BACKOFF_MAX_MS, "{value:?}: {wait}");
    }
    if let Some(date) = http_date(value) {
        assert_eq!(date.0 % SECOND, 0, "{value:?}");
        assert_eq!(parse(value, date), Some(0), "{value:?}");
    }
}
