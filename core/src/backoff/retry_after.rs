//! Reads `Retry-After` (RFC 9110 §10.2.3): whole seconds, or a date in the preferred form.

use crate::limits::BACKOFF_MAX_MS;
use crate::time::{SECOND, Timestamp};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// How long `value` asks to wait from `now` on, in milliseconds, at most
/// [`BACKOFF_MAX_MS`]; nothing if it can't be read. A date in the past asks for no wait.
pub fn parse(value: &str, now: Timestamp) -> Option<u64> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // Only a number beyond 64 bits fails here, and that is longer than the cap.
        let wait = value.parse::<u64>().map_or(u64::MAX, |seconds| seconds.saturating_mul(SECOND));
        return Some(wait.min(BACKOFF_MAX_MS));
    }
    http_date(value).map(|date| date.since(now).min(BACKOFF_MAX_MS))
}

/// Reads an IMF-fixdate (RFC 9110 §5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
///
/// The weekday must be one, but isn't compared with the date: a sender that gets it wrong still
/// means the date.
pub fn http_date(text: &str) -> Option<Timestamp> {
    let (weekday, rest) = text.split_once(", ")?;
    if !WEEKDAYS.contains(&weekday) {
        return None;
    }
    let mut parts = rest.split(' ');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    let (clock, zone) = (parts.next()?, parts.next()?);
    if day.len() != 2 || year.len() != 4 || clock.len() != 8 || zone != "GMT" {
        return None;
    }
    if parts.next().is_some() {
        return None;
    }
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    Timestamp::from_iso(&alloc::format!("{year}-{month:02}-{day}T{clock}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp(784_111_777_000);

    #[test]
    fn seconds_and_dates_are_read() {
        assert_eq!(parse("0", NOW), Some(0));
        assert_eq!(parse(" 120 ", NOW), Some(120_000));
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(NOW));
        assert_eq!(parse("Sun, 06 Nov 1994 08:50:07 GMT", NOW), Some(30_000));
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:07 GMT", NOW), Some(0));
    }

    #[test]
    fn no_value_asks_for_more_than_the_cap() {
        assert_eq!(parse("86400", NOW), Some(BACKOFF_MAX_MS));
        assert_eq!(parse("99999999999999999999999999", NOW), Some(BACKOFF_MAX_MS));
        assert_eq!(parse("Mon, 06 Nov 2034 08:49:37 GMT", NOW), Some(BACKOFF_MAX_MS));
    }

    #[test]
    fn what_is_neither_is_not_guessed_at() {
        for text in [
            "",
            "-1",
            "1.5",
            "soon",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Xxx, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT again",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun, 06 Növ 1994 08:49:37 GMT",
        ] {
            assert_eq!(parse(text, NOW), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_read_as_more_than_the_cap(text in ".{0,64}", now in any::<u64>()) {
            if let Some(wait) = parse(&text, Timestamp(now)) {
                prop_assert!(wait <= BACKOFF_MAX_MS);
            }
        }

        #[test]
        fn every_second_of_an_era_survives_the_round_trip(second in 0u64..253_402_300_799) {
            let moment = Timestamp(second * SECOND);
            let iso = moment.to_iso();
            let month: usize = iso[5..7].parse().unwrap_or(0);
            let text = alloc::format!(
                "Sat, {} {} {} {} GMT", &iso[8..10], MONTHS[month - 1], &iso[..4], &iso[11..19]
            );
            prop_assert_eq!(http_date(&text), Some(moment));
        }
    }
}
