//! Events at the model Backend: each kept once, by its id, in the order of their numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher;

use satellite_core::http::HttpAnswer;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{ModelBackend, answer, refused};
use crate::trace::Digest;

/// What the Backend has of one satellite's events.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Number and digest of each event, by its id.
    pub known: BTreeMap<String, (u64, u64)>,
    /// The highest number.
    pub last: Option<u64>,
    /// Numbers of events that it refused when they came alone.
    pub refused: BTreeSet<u64>,
    /// The first and last number of gaps that it refused so.
    pub refused_gaps: Vec<(u64, u64)>,
    /// How many events gaps have named.
    pub in_gaps: u64,
    /// The first and last number of gaps that were declared.
    pub gaps: Vec<(u64, u64)>,
    /// The status that each instance was last said to have, by installation and user, and the number
    /// of the event that said it.
    pub statuses: BTreeMap<(String, String), (u64, String)>,
}

/// An event that arrived.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Whose.
    pub satellite: String,
    /// Its id.
    pub id: String,
    /// Its number.
    pub seq: u64,
    /// What was known under its id before.
    pub before: Option<(u64, u64)>,
    /// A digest of all of it.
    pub digest: u64,
    /// The highest number before it.
    pub last: Option<u64>,
    /// The first and last number it declares lost.
    pub gap: Option<(u64, u64)>,
    /// Whether it was refused before: this is a copy that was overtaken.
    pub was_refused: bool,
    /// Whether a gap named it before, and nothing came under its number: it left a daemon that has
    /// died, and was overtaken by what the next one has to say.
    pub was_named: bool,
}

#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    id: String,
    #[serde(default)]
    seq: u64,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    data: Value,
}

impl Head {
    /// The first and last number that it declares lost.
    fn gap(&self) -> Option<(u64, u64)> {
        let number = |name: &str| self.data[name].as_u64().unwrap_or_default();
        (self.kind == "satellite.events.gap").then(|| (number("from_seq"), number("to_seq")))
    }
}

impl Ledger {
    /// The last of the numbers from this one on that were refused in one piece, if this one was.
    pub fn refused_through(&self, seq: u64) -> Option<u64> {
        let gaps = self.refused_gaps.iter().filter(|(from, to)| (*from..=*to).contains(&seq));
        gaps.map(|(_, to)| *to).max().or_else(|| self.refused.contains(&seq).then_some(seq))
    }
}

impl ModelBackend {
    pub(super) fn store_events(&mut self, id: &str, body: &[u8]) -> HttpAnswer {
        let Ok(Batch { events }) = serde_json::from_slice(body) else {
            return refused(400, "bad_batch");
        };
        if events.is_empty() || events.len() > 100 {
            return refused(400, "bad_batch");
        }
        let mut ids = Vec::new();
        for raw in events {
            let Ok(head) = serde_json::from_str::<Head>(raw.get()) else { continue };
            ids.push(head.id.clone());
            self.store(id, raw.get(), head);
        }
        answer(
            200,
            &json!({"success": true, "processed": ids.len(), "failed": 0, "event_ids": ids}),
        )
    }

    fn store(&mut self, satellite: &str, raw: &str, head: Head) {
        let Some(row) = self.satellites.get_mut(satellite) else { return };
        let ledger = &mut row.ledger;
        let mut digest = Digest::default();
        digest.write(raw.as_bytes());
        let digest = digest.finish();
        let before = ledger.known.insert(head.id.clone(), (head.seq, digest));
        let number = |name: &str| head.data[name].as_u64().unwrap_or_default();
        let gap = head.gap();
        let last = ledger.last;
        let (mut was_refused, mut was_named) = (false, false);
        if before.is_none() {
            was_named = ledger.gaps.iter().any(|(from, to)| (*from..=*to).contains(&head.seq))
                && ledger.known.values().filter(|(seq, _)| *seq == head.seq).count() == 1;
            ledger.gaps.extend(gap);
            ledger.last = ledger.last.max(Some(head.seq));
            was_refused = ledger.refused.remove(&head.seq);
            if gap.is_some() {
                ledger.in_gaps += number("count");
            }
            if head.kind == "mcp.server.status_changed" {
                let text = |name: &str| head.data[name].as_str().unwrap_or_default().to_string();
                let of = (text("installation_id"), text("user_id"));
                let told = ledger.statuses.entry(of).or_default();
                // A copy that was overtaken may tell of a status that is over.
                if head.seq > told.0 {
                    *told = (head.seq, text("status"));
                }
            }
            *self.kinds.entry(head.kind).or_default() += 1;
        }
        let (satellite, id, seq) = (satellite.to_string(), head.id, head.seq);
        self.fresh.push(Stored {
            satellite,
            id,
            seq,
            before,
            digest,
            last,
            gap,
            was_refused,
            was_named,
        });
    }

    /// Takes note that a batch is being refused: an event that is alone in it will not come again.
    pub fn refuse_events(&mut self, path: &str, body: &[u8]) {
        let Ok(Batch { events }) = serde_json::from_slice(body) else { return };
        let row = path.split('/').nth(3).and_then(|id| self.satellites.get_mut(id));
        if let (Some(row), [only]) = (row, events.as_slice())
            && let Ok(head) = serde_json::from_str::<Head>(only.get())
        {
            row.ledger.refused.insert(head.seq);
            row.ledger.refused_gaps.extend(head.gap());
        }
    }
}
