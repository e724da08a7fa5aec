//! What has met what: which event which state of a lifecycle, and which fault which state of the
//! link. What the state tables say can happen and never did is a test that is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use satellite_core::control::visits::{Lifecycle, Visits};

use crate::stage::faults::Fault;

/// The state tables, by lifecycle.
const TABLES: [(Lifecycle, &str); 3] = [
    (Lifecycle::Link, include_str!("../../tests/tables/link.txt")),
    (Lifecycle::Instance, include_str!("../../tests/tables/instance.txt")),
    (Lifecycle::Server, include_str!("../../tests/tables/server.txt")),
];

/// What a table says and no world brings about, with the reason.
const OUT_OF_REACH: [(Lifecycle, &str, &str, &str); 0] = [];

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
            let excused =
                OUT_OF_REACH.iter().any(|(a, b, c, _)| a == lifecycle && b == state && c == event);
            !excused && self.of(*lifecycle, state, event) == 0
        })
        .collect()
    }

    /// The whole as text: a line for each state and event, then for each fault.
    pub fn table(&self) -> String {
        let mut text = String::new();
        for (lifecycle, table) in TABLES {
            // Writing to a text has no way to fail.
            let _ = writeln!(text, "{lifecycle:?}: times that each state met each event");
            for (state, event) in reachable(table) {
                let count = self.of(lifecycle, &state, &event);
                let _ = writeln!(text, "{count:>12}  {state:<20} {event}");
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
        assert!(reachable(TABLES[2].1).contains(&cell("online", "best is error")));
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
