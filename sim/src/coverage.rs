//! What has met what: which event which state of a lifecycle, and which fault which state of the
//! link. What the state tables say can happen and never did is a test that is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use satellite_core::control::visits::{Lifecycle, Visits};

use crate::stage::faults::Fault;

/// The state tables, by lifecycle.
const TABLES: [(Lifecycle, &str); 4] = [
    (Lifecycle::Link, include_str!("../../tests/tables/link.txt")),
    (Lifecycle::Instance, include_str!("../../tests/tables/instance.txt")),
    (Lifecycle::Remote, include_str!("../../tests/tables/remote.txt")),
    (Lifecycle::Server, include_str!("../../tests/tables/server.txt")),
];

/// What a table says and no world brings about, by events that a state has in common, with the
/// reason. A run that meets one of them nevertheless proves the reason wrong.
const OUT_OF_REACH: [(Lifecycle, &str, &[&str], &str); 25] = [
    (Lifecycle::Link, "idle", &["drain requested"], "a daemon's first event is its start"),
    (Lifecycle::Link, "storing", &["drain requested"], WRITTEN_AT_ONCE),
    (Lifecycle::Link, "verifying", &["stored", "not stored"], WRITTEN_AT_ONCE),
    (Lifecycle::Link, "degraded", &["stored", "not stored"], WRITTEN_AT_ONCE),
    (
        Lifecycle::Instance,
        "provisioned",
        &BEFORE_THE_TICK,
        "made and ticked in one step, by reconcile",
    ),
    (
        Lifecycle::Instance,
        "removed",
        &["configured", "tool switched off"],
        "forgotten in that step",
    ),
    (Lifecycle::Instance, "connecting", &["probed"], "a health check asks online processes only"),
    (Lifecycle::Instance, "discovering", &["probed"], "a health check asks online processes only"),
    (Lifecycle::Instance, "connecting", &["used"], "a relay carries no call before its handshake"),
    (Lifecycle::Instance, "discovering", &["spawned"], "told before the relay begins to greet"),
    (Lifecycle::Instance, "online", &["spawned"], "told before the relay begins to greet"),
    (Lifecycle::Instance, "online", &["unusable"], LATER_LISTS),
    (Lifecycle::Instance, "freezing", &["spawned", "unusable"], LATER_LISTS),
    (Lifecycle::Instance, "frozen", &["spawned", "unusable"], LATER_LISTS),
    (Lifecycle::Instance, "thawing", &["spawned", "unusable"], LATER_LISTS),
    (
        Lifecycle::Instance,
        "frozen",
        &["listed"],
        "what it said before it stood still was heard then",
    ),
    (
        Lifecycle::Server,
        "discovering_tools",
        &["removed"],
        "an instance is told to end before it goes, and does not discover then",
    ),
    (Lifecycle::Server, "offline", &["best is online"], DISCOVERED_FIRST),
    (Lifecycle::Server, "error", &["best is online"], DISCOVERED_FIRST),
    (Lifecycle::Server, "requires_reauth", &["best is online"], DISCOVERED_FIRST),
    (Lifecycle::Server, "connecting", &["no instances"], LAST_INSTANCE),
    (Lifecycle::Server, "discovering_tools", &["no instances"], LAST_INSTANCE),
    (Lifecycle::Server, "online", &["no instances"], LAST_INSTANCE),
    (Lifecycle::Server, "error", &["no instances"], LAST_INSTANCE),
    (Lifecycle::Server, "requires_reauth", &["no instances"], LAST_INSTANCE),
];
const LATER_LISTS: &str = "it was online, and later lists that fail are reported as stale";
const WRITTEN_AT_ONCE: &str = "whether a record could be written is heard before anything else";
const DISCOVERED_FIRST: &str = "an instance that serves was asked for its tools the step before";
const LAST_INSTANCE: &str = "a server goes with its last instance, in the same step";
/// What an instance can meet before its first tick, were there a moment between.
const BEFORE_THE_TICK: [&str; 7] = [
    "configured",
    "drain requested",
    "kill requested",
    "remove requested",
    "restart requested",
    "tool switched off",
    "wanted",
];

/// Why no world brings it about that a state meets an event, if that is so.
fn out_of_reach(lifecycle: Lifecycle, state: &str, event: &str) -> Option<&'static str> {
    let rows = OUT_OF_REACH.into_iter();
    let mut rows =
        rows.filter(|(of, at, met, _)| *of == lifecycle && *at == state && met.contains(&event));
    rows.next().map(|(.., reason)| reason)
}

/// What has met what, and how often.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    cells: Visits,
    faults: BTreeMap<(Fault, &'static str), u64>,
}

impl Coverage {
    /// A fault strikes a satellite whose link is in a state.
    pub fn fault(&mut self, fault: Fault, state: &'static str) {
        *self.faults.entry((fault, state)).or_default() += 1;
    }

    /// Adds what one daemon has seen.
    pub fn add(&mut self, visits: &Visits) {
        for (cell, count) in visits {
            *self.cells.entry(*cell).or_default() += count;
        }
    }

    /// All of another run.
    pub fn merge(&mut self, other: &Coverage) {
        self.add(&other.cells);
        for (cell, count) in &other.faults {
            *self.faults.entry(*cell).or_default() += count;
        }
    }

    /// How often a state met an event.
    fn of(&self, lifecycle: Lifecycle, state: &str, event: &str) -> u64 {
        let cells = self.cells.iter();
        let same = |(lived, at, met): &(Lifecycle, &'static str, &'static str)| {
            *lived == lifecycle && *at == state && *met == event
        };
        cells.filter(|(cell, _)| same(cell)).map(|(_, count)| count).sum()
    }

    /// What the tables say can happen and has not.
    pub fn missing(&self) -> Vec<(Lifecycle, String, String)> {
        let all = TABLES.iter().flat_map(|(lifecycle, table)| {
            reachable(table).into_iter().map(|(state, event)| (*lifecycle, state, event))
        });
        all.filter(|(lifecycle, state, event)| {
            let excused = out_of_reach(*lifecycle, state, event).is_some();
            !excused && self.of(*lifecycle, state, event) == 0
        })
        .collect()
    }

    /// What was said to be out of reach and was met.
    pub fn disproved(&self) -> Vec<(Lifecycle, &'static str, &'static str)> {
        let cells = self.cells.keys();
        let met = cells.filter(|(of, state, event)| out_of_reach(*of, state, event).is_some());
        met.copied().collect()
    }

    /// The whole as text: a line for each state and event, then for each fault.
    pub fn table(&self) -> String {
        let mut text = String::new();
        for (lifecycle, table) in TABLES {
            // Writing to a text has no way to fail.
            let _ = writeln!(text, "{lifecycle:?}: times that each state met each event");
            for (state, event) in reachable(table) {
                let count = self.of(lifecycle, &state, &event);
                let why = out_of_reach(lifecycle, &state, &event).unwrap_or_default();
                let line = format!("{count:>12}  {state:<20} {event:<28} {why}");
                let _ = writeln!(text, "{}", line.trim_end());
            }
        }
        let states: BTreeSet<&str> = self.faults.keys().map(|(_, state)| *state).collect();
        let _ = writeln!(text, "Faults by the state of the link they struck");
        let _ = write!(text, "{:<28}", "");
        for state in &states {
            let _ = write!(text, " {state:>12}");
        }
        text.push('\n');
        for fault in Fault::ALL {
            let _ = write!(text, "{:<28}", fault.name());
            for state in &states {
                let count = self.faults.get(&(fault, *state)).copied().unwrap_or_default();
                let _ = write!(text, " {count:>12}");
            }
            text.push('\n');
        }
        text
    }
}

/// States and events of a table that go together: those that are neither refused nor ignored. Rows
/// that reach the same state in different ways count as one.
fn reachable(table: &str) -> BTreeSet<(String, String)> {
    let mut cells = BTreeSet::new();
    let mut state = String::new();
    for line in table.lines() {
        match line.strip_prefix("  ") {
            None => state = line.split([' ', ',']).next().unwrap_or_default().to_string(),
            Some(row) => {
                let outcome = ["-> ", "handled"].iter().find_map(|word| {
                    // The outcome has a column of its own, behind at least 28 characters.
                    row.char_indices()
                        .nth(28)
                        .and_then(|(at, _)| row.get(at..))
                        .and_then(|rest| rest.trim_start().starts_with(word).then_some(()))
                });
                let event = row.get(..28).unwrap_or(row).trim_end();
                if outcome.is_some() {
                    cells.insert((state.clone(), event.to_string()));
                }
            }
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_name_what_can_happen() {
        let link = reachable(TABLES[0].1);
        let cell = |state: &str, event: &str| (state.to_string(), event.to_string());
        assert!(link.contains(&cell("polling", "answered 200, no commands")), "{link:?}");
        assert!(!link.contains(&cell("registering", "started, paired")));
        assert!(reachable(TABLES[1].1).contains(&cell("online", "kill requested")));
        assert!(reachable(TABLES[2].1).contains(&cell("requires_reauth", "configured")));
        assert!(reachable(TABLES[3].1).contains(&cell("online", "best is error")));
    }

    #[test]
    fn what_is_out_of_reach_is_in_the_tables_and_not_missing_until_it_is_met() {
        let mut coverage = Coverage::default();
        for (lifecycle, state, events, reason) in OUT_OF_REACH {
            let (_, table) = TABLES.into_iter().find(|(of, _)| *of == lifecycle).expect("a table");
            for event in events {
                let cell = (state.to_string(), event.to_string());
                assert!(reachable(table).contains(&cell), "{cell:?}: {reason}");
                assert!(
                    !coverage
                        .missing()
                        .iter()
                        .any(|(of, at, met)| (*of, at, met) == (lifecycle, &cell.0, &cell.1))
                );
            }
        }
        assert!(coverage.disproved().is_empty());
        coverage.add(&Visits::from([((Lifecycle::Instance, "connecting", "used"), 1)]));
        assert_eq!(coverage.disproved(), [(Lifecycle::Instance, "connecting", "used")]);
    }

    #[test]
    fn what_was_met_is_no_longer_missing() {
        let mut coverage = Coverage::default();
        let before = coverage.missing().len();
        coverage.add(&Visits::from([((Lifecycle::Server, "online", "best is error"), 3)]));
        assert_eq!(coverage.missing().len(), before - 1);
        coverage.fault(Fault::Loss, "polling");
        let table = coverage.table();
        assert!(table.contains("           3  online               best is error"), "{table}");
    }
}
