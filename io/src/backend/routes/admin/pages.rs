//! Which part of a list is asked for, and where the next one begins.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use satellite_core::backend::sha256_hex;
use satellite_core::time::IsoTime;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::backend::answer::Failure;
use crate::backend::authority::Guarded;
use crate::backend::store::records::{Filter, ListOf, Page, Place};

/// How many rows a list shows unless asked, and at most.
const ROWS_STANDARD: u32 = 100;
const ROWS_MAX: u32 = 1_000;

/// The query of a list.
pub(crate) trait Listing: DeserializeOwned + Send {
    fn limit(&self) -> Option<u32>;
    fn cursor(&self) -> Option<&str>;
    fn filters(&self) -> Vec<Filter>;
}

macro_rules! listings {
    (@type Is) => { String };
    (@type $moment:ident) => { IsoTime };
    ($($(#[$doc:meta])* $name:ident {
        $($(#[$about:meta])* $field:ident $wire:literal: $kind:ident $column:literal;)*
    })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Deserialize, JsonSchema)]
        pub(crate) struct $name {
            /// How many at most; 100 if missing.
            #[schemars(range(min = 1, max = 1000))]
            limit: Option<u32>,
            /// `next_cursor` of the part before, with the same filters.
            cursor: Option<String>,
            $($(#[$about])* #[serde(rename = $wire)] $field: Option<listings!(@type $kind)>,)*
        }

        impl Listing for $name {
            fn limit(&self) -> Option<u32> {
                self.limit
            }

            fn cursor(&self) -> Option<&str> {
                self.cursor.as_deref()
            }

            fn filters(&self) -> Vec<Filter> {
                let filters: Vec<Option<Filter>> = vec![
                    $(self.$field.clone().map(|value| Filter::$kind($column, value)),)*
                ];
                filters.into_iter().flatten().collect()
            }
        }
    )*};
}

listings! {
    /// A list without filters.
    Whole {}
    /// Satellites.
    OfSatellites {
        /// Those of this team.
        team "team": Is "team_id";
        /// `global` or `team`.
        kind "type": Is "satellite_type";
    }
    /// Registration tokens.
    OfRegistrationTokens {
        /// Those for this team.
        team "team": Is "team_id";
        /// `global` or `team`.
        kind "type": Is "token_type";
    }
    /// Access tokens.
    OfAccessTokens {
        /// Those for this team.
        team "team": Is "team_id";
    }
    /// Installations.
    OfInstallations {
        /// Those of this server.
        server "server": Is "server_id";
    }
    /// Commands.
    OfCommands {
        /// Those that got this far.
        status "status": Is "status";
        /// Those of this type.
        kind "type": Is "command_type";
        /// Those about this team.
        team "team": Is "target_team_id";
        /// Those made then or later.
        since "since": Since "created_at";
        /// Those made before.
        until "until": Until "created_at";
    }
    /// Heartbeats.
    OfHeartbeats {
        /// Those that say this.
        status "status": Is "status";
        /// Those that came then or later.
        since "since": Since "timestamp";
        /// Those that came before.
        until "until": Until "timestamp";
    }
}

/// Events, in the order of their arrival.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct OfEvents {
    /// How many at most; 100 if missing.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
    /// `next_cursor` of the part before, with the same filters.
    cursor: Option<String>,
    /// Those after this position, for whoever follows what comes.
    pub(super) after: Option<u64>,
    /// Those of this type.
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
}

impl Listing for OfEvents {
    fn limit(&self) -> Option<u32> {
        self.limit
    }

    fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    fn filters(&self) -> Vec<Filter> {
        self.kind.iter().map(|kind| Filter::Is("type", kind.clone())).collect()
    }
}

/// A part of a list, as it is asked for.
pub(crate) struct Part<L> {
    pub(super) asked: L,
    limit: u32,
    /// What a cursor is bound to: the path, with its team and all, and the filters.
    scope: String,
    after: Option<Place>,
}

impl<L: Listing> FromRequestParts<Guarded> for Part<L> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &Guarded) -> Result<Part<L>, Failure> {
        let Query(asked): Query<L> = Query::from_request_parts(parts, state)
            .await
            .map_err(|rejection| Failure::invalid(format!("query: {}", rejection.body_text())))?;
        let limit = asked.limit().unwrap_or(ROWS_STANDARD);
        if !(1..=ROWS_MAX).contains(&limit) {
            let why = format!("query: `limit`: must be 1 to {ROWS_MAX}");
            return Err(Failure::invalid(why));
        }
        let scope = sha256_hex(format!("{} {:?}", parts.uri.path(), asked.filters()).as_bytes());
        let after = asked.cursor().map(|cursor| open(&scope, cursor)).transpose()?;
        Ok(Part { asked, limit, scope, after })
    }
}

impl<L: Listing> Part<L> {
    /// What the storage is asked for: one row more, which tells whether there is another part.
    pub(super) fn of(&self, list: ListOf) -> Result<Page, Failure> {
        if self.after.as_ref().is_some_and(|after| !list.has(after)) {
            return Err(foreign());
        }
        let after = self.after.clone();
        Ok(Page { after, limit: self.limit.saturating_add(1), filters: self.asked.filters() })
    }

    /// Takes the row too many away; gives the cursor of the next part if there was one.
    pub(super) fn cut<T: Serialize>(&self, list: ListOf, rows: &mut Vec<T>) -> Option<String> {
        self.cut_at(rows, |row| list.place(row))
    }

    /// The same for events.
    pub(super) fn cut_at<T>(
        &self,
        rows: &mut Vec<T>,
        place: impl Fn(&T) -> Option<Place>,
    ) -> Option<String> {
        if rows.len() <= self.limit as usize {
            return None;
        }
        rows.truncate(self.limit as usize);
        Some(seal(&self.scope, &place(rows.last()?)?))
    }

    /// For events: how many to ask for, and after which.
    pub(super) fn number(&self) -> Result<(u32, Option<u64>), Failure> {
        let after = match self.after {
            None => None,
            Some(Place::Number(number)) => Some(number),
            Some(_) => return Err(foreign()),
        };
        Ok((self.limit.saturating_add(1), after))
    }
}

/// A cursor is no secret: it says where to go on in a list that its holder may see. That it was made
/// for this list is checked, so that none leads to a place that means something else.
fn seal(scope: &str, place: &Place) -> String {
    let text = serde_json::to_vec(&(mark(scope), place)).unwrap_or_default();
    URL_SAFE_NO_PAD.encode(text)
}

fn open(scope: &str, cursor: &str) -> Result<Place, Failure> {
    let text = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| foreign())?;
    let (marked, place): (String, Place) = serde_json::from_slice(&text).map_err(|_| foreign())?;
    let kept = match &place {
        Place::Name(name) | Place::Moment(_, name) => !name.contains('\0'),
        Place::Number(_) => true,
    };
    if marked == mark(scope) && kept { Ok(place) } else { Err(foreign()) }
}

fn mark(scope: &str) -> &str {
    scope.get(..16).unwrap_or(scope)
}

fn foreign() -> Failure {
    Failure::invalid("query: `cursor`: is none of this list with these filters; begin without one")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_opens_its_own_list_and_no_other(name in "\\PC{0,20}", id in "[a-z]{0,5}") {
            let at = IsoTime(satellite_core::time::Timestamp(1_769_850_902_123));
            for place in [Place::Name(name.clone()), Place::Moment(at, id.clone()), Place::Number(7)] {
                let cursor = seal("0123456789abcdef own", &place);
                prop_assert_eq!(open("0123456789abcdef own", &cursor).ok(), Some(place));
                prop_assert!(open("another", &cursor).is_err());
                let cut = cursor.get(1..).unwrap_or_default();
                prop_assert!(open("0123456789abcdef own", cut).is_err());
            }
        }

        #[test]
        fn what_is_no_cursor_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            prop_assert!(open("scope", &String::from_utf8_lossy(&bytes)).is_err());
            prop_assert!(open("scope", &URL_SAFE_NO_PAD.encode(&bytes)).is_err());
        }
    }
}
