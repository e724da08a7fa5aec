//! When a stored token is renewed, by whom, and what a failure means.

use super::Problem;
use crate::time::{MINUTE, SECOND, Timestamp};

/// How long one renewal may take before another may begin.
pub const LEASE_MS: u64 = 30 * SECOND;
/// How long a renewal that failed for a reason that may pass is not tried again.
pub const RETRY_MS: u64 = 10 * SECOND;
/// The longest time before its end at which a token is renewed.
pub const LEAD_MS: u64 = MINUTE;
/// A token that is younger than this is not renewed because a server refused it: another one
/// would fare no better.
pub const YOUNG_MS: u64 = 10 * SECOND;

/// How a token stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is good.
    Fresh,
    /// It is good, and should be renewed.
    Due,
    /// It has ended, or a server refused it.
    Ended,
}

/// What is known of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// When it was given.
    pub issued_at: Timestamp,
    /// When it ends, if that is known.
    pub expires_at: Option<Timestamp>,
}

impl Life {
    /// How it stands at `now`. Renewal is due in the last tenth of its life, at most [`LEAD_MS`]
    /// before its end.
    pub fn standing(self, now: Timestamp) -> Standing {
        let Some(end) = self.expires_at else { return Standing::Fresh };
        if now >= end {
            return Standing::Ended;
        }
        let lead = (end.since(self.issued_at) / 10).min(LEAD_MS);
        if end.since(now) <= lead { Standing::Due } else { Standing::Fresh }
    }

    /// The same once a server refused the token.
    pub fn refused(self, now: Timestamp) -> Standing {
        match self.standing(now) {
            Standing::Fresh if now.since(self.issued_at) < YOUNG_MS => Standing::Fresh,
            _ => Standing::Ended,
        }
    }
}

/// What a failed renewal does to the stored token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consequence {
    /// It stays; the next renewal may begin after [`RETRY_MS`].
    Later,
    /// Its refresh token is of no more use: the user must connect again.
    Over,
}

/// What `problem` means for the refresh token it was met with. Only what the authorisation server
/// itself said about the grant or the client ends it: anything else may have come from something
/// in between.
pub fn consequence(problem: &Problem) -> Consequence {
    match problem {
        Problem::Declined(_) | Problem::ClientUnknown(_) => Consequence::Over,
        Problem::Temporary(_) | Problem::Unacceptable(_) => Consequence::Later,
    }
}
