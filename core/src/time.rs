//! Time as a number, passed in. The host anchors it to the wall clock once and then only moves it
//! forward, so a clock that jumps cannot disturb a deadline.

use alloc::format;
use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One second in the unit of this crate.
pub const SECOND: u64 = 1_000;
/// One minute in the unit of this crate.
pub const MINUTE: u64 = 60 * SECOND;
/// One hour in the unit of this crate.
pub const HOUR: u64 = 60 * MINUTE;
/// One day in the unit of this crate.
pub const DAY: u64 = 24 * HOUR;

/// Milliseconds since the Unix epoch. Serialises as its number.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// This moment `milliseconds` later; stays at the end of time instead of wrapping.
    #[must_use]
    pub fn after(self, milliseconds: u64) -> Timestamp {
        Timestamp(self.0.saturating_add(milliseconds))
    }

    /// Milliseconds from `earlier` to this moment; 0 if it is not earlier.
    pub fn since(self, earlier: Timestamp) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// ISO 8601 in UTC with milliseconds, as the wire carries it; what is later than four digits of
    /// a year can write is the last moment that they can.
    pub fn to_iso(self) -> String {
        let moment = self.0.min(days_from_civil(10_000, 1, 1) * DAY - 1);
        let days = moment / DAY;
        let (year, month, day) = civil_from_days(days);
        let rest = moment % DAY;
        format!(
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
            rest / HOUR,
            rest / MINUTE % 60,
            rest / SECOND % 60,
            rest % SECOND
        )
    }

    /// Reads RFC 3339: `2026-01-31T09:15:02.123Z`, with an offset, or without a fraction.
    pub fn from_iso(text: &str) -> Option<Timestamp> {
        let bytes = text.as_bytes();
        if bytes.len() < 20 || !text.is_ascii() {
            return None;
        }
        let separators = bytes[4] == b'-'
            && bytes[7] == b'-'
            && matches!(bytes[10], b'T' | b't' | b' ')
            && bytes[13] == b':'
            && bytes[16] == b':';
        if !separators {
            return None;
        }
        let field = |from: usize, to: usize| -> Option<u64> {
            let digits = &text[from..to];
            if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None }
        };
        let (year, month, day) = (field(0, 4)?, field(5, 7)?, field(8, 10)?);
        let (hour, minute, second) = (field(11, 13)?, field(14, 16)?, field(17, 19)?);
        if year < 1970 || !(1..=12).contains(&month) || day == 0 || day > month_days(year, month) {
            return None;
        }
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let mut at = 19;
        let mut fraction = 0;
        if bytes[at] == b'.' {
            at += 1;
            let mut scale = 100;
            let start = at;
            while at < bytes.len() && bytes[at].is_ascii_digit() {
                fraction += u64::from(bytes[at] - b'0') * scale;
                scale /= 10;
                at += 1;
            }
            if at == start {
                return None;
            }
        }
        let local = days_from_civil(year, month, day) * DAY
            + hour * HOUR
            + minute * MINUTE
            + second * SECOND
            + fraction;
        let moment = match text.get(at..)? {
            "Z" | "z" => Some(local),
            offset if offset.len() == 6 && offset.as_bytes()[3] == b':' => {
                let (hours, minutes) = (field(at + 1, at + 3)?, field(at + 4, at + 6)?);
                if hours > 23 || minutes > 59 {
                    return None;
                }
                let shift = hours * HOUR + minutes * MINUTE;
                match offset.as_bytes()[0] {
                    b'+' => local.checked_sub(shift),
                    b'-' => local.checked_add(shift),
                    _ => None,
                }
            }
            _ => None,
        };
        // An offset or a leap second may lead past the last year that four digits can write.
        moment.filter(|moment| *moment < days_from_civil(10_000, 1, 1) * DAY).map(Timestamp)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_iso())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_iso())
    }
}

/// A [`Timestamp`] that travels as ISO 8601 text, as on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct IsoTime(pub Timestamp);

impl Serialize for IsoTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_iso())
    }
}

impl<'de> Deserialize<'de> for IsoTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Timestamp::from_iso(&text)
            .map(IsoTime)
            .ok_or_else(|| serde::de::Error::custom("not an ISO 8601 date-time"))
    }
}

/// Gregorian date of a day count since the epoch (the algorithm of Howard Hinnant's `chrono`
/// paper, which counts eras of 400 years from 1 March 0000).
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year / 400;
    let year_of_era = year % 400;
    let month_index = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_index + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn month_days(year: u64, month: u64) -> u64 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_text_goes_out_and_comes_back() {
        let moment = Timestamp(1_769_850_902_123);
        assert_eq!(moment.to_iso(), "2026-01-31T09:15:02.123Z");
        assert_eq!(Timestamp::from_iso("2026-01-31T09:15:02.123Z"), Some(moment));
        assert_eq!(Timestamp::from_iso("2026-01-31T10:15:02.123+01:00"), Some(moment));
        assert_eq!(Timestamp::from_iso("2026-01-31T09:15:02Z"), Some(Timestamp(1_769_850_902_000)));
        assert_eq!(Timestamp::from_iso("2024-02-29T00:00:00Z").map(|t| t.0 % DAY), Some(0));
    }

    #[test]
    fn what_is_too_late_to_be_written_is_written_as_what_can_be_read() {
        for late in [u64::MAX, days_from_civil(10_000, 1, 1) * DAY] {
            let written = Timestamp(late).to_iso();
            assert_eq!(written, "9999-12-31T23:59:59.999Z");
            assert!(Timestamp::from_iso(&written).is_some());
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "2026",
            "2026-02-30T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-31T25:00:00Z",
            "2026-01-31T09:15:02",
            "2026-01-31T09:15:02.Z",
            "1960-01-31T09:15:02Z",
            "2026-01-31T09:15:02+0100",
            "+026-01-31T09:15:02.12Z",
            "2026-01-31T09:15:02é",
            "9999-12-31T23:59:59-01:00",
            "9999-12-31T23:59:60Z",
        ] {
            assert_eq!(Timestamp::from_iso(text), None, "{text}");
        }
    }
}
