//! What a random operation is made of. Few names, so that operations meet.

use satellite_core::backend::Owner;
use satellite_core::id::{TeamId, UserId};
use satellite_core::random::Random;
use satellite_core::time::{HOUR, SECOND, Timestamp};

use super::super::contract::NOW;
use super::super::records::{JsonText, Notice};

/// Names that sort otherwise in most languages than they do by their bytes.
const NAMES: [&str; 6] = ["Zoo", "apple", "Ärger", "_x", "a'b\"c\\", "日本 %_;--"];
/// Documents that a database may be tempted to put in order.
const DOCUMENTS: [&str; 4] = [
    r#"{"b": 1.0, "a": [1e2, "\u0000", 12345678901234567890123], "b": null}"#,
    "{}",
    r#"{"summary":{"total_instances":2},"instances":[{"instance_id":"i"}]}"#,
    " [1, 2] ",
];

/// The random choices of one operation: the same for each store.
pub(super) struct Draw {
    pub(super) random: Random,
    pub(super) number: u64,
    pub(super) now: Timestamp,
}

impl Draw {
    /// Those of operation `number`.
    pub(super) fn of(seed: u64, number: u64) -> Draw {
        let random =
            Random::new(seed.wrapping_mul(1_000_003).wrapping_add(number)).fork("operation");
        // Time passes evenly, and an hour at once now and then.
        let now = NOW.after(number * 7 * SECOND + number / 100 * HOUR);
        Draw { random, number, now }
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    pub(super) fn often(&mut self) -> bool {
        self.random.chance(3, 4)
    }

    pub(super) fn seldom(&mut self) -> bool {
        self.random.chance(1, 4)
    }

    /// One of `all`; none where there are none.
    pub(super) fn pick<T: Clone>(&mut self, all: &[T]) -> Option<T> {
        let number = self.below(all.len() as u64);
        all.get(usize::try_from(number).unwrap()).cloned()
    }

    pub(super) fn name(&mut self) -> String {
        self.pick(&NAMES).unwrap().to_owned()
    }

    pub(super) fn document(&mut self) -> JsonText {
        JsonText::parse(self.pick(&DOCUMENTS).unwrap().to_owned()).unwrap()
    }

    pub(super) fn documents(&mut self) -> Option<JsonText> {
        self.often().then(|| self.document())
    }

    pub(super) fn team(&mut self) -> TeamId {
        format!("team_{}", self.below(4)).into()
    }

    pub(super) fn user(&mut self) -> UserId {
        format!("user_{}", self.below(5)).into()
    }

    pub(super) fn owner(&mut self) -> Owner {
        if self.often() { Owner::Global } else { Owner::Team(self.team()) }
    }

    /// An id that no other operation gives.
    pub(super) fn unique(&self, prefix: &str) -> String {
        format!("{prefix}_{:06}", self.number)
    }

    pub(super) fn notice(&self) -> Notice {
        Notice {
            command_type: "configure",
            id_prefix: self.unique("n"),
            correlation_id: self.unique("corr"),
            payload: JsonText::of(&serde_json::json!({"event": "changed"})),
            expires_at: self.now.after(HOUR),
            now: self.now,
        }
    }
}
