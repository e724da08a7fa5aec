//! How far servers are kept within limits and apart on this machine: what was asked for, what is in
//! force, and what is missing for which reason.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

/// What the operator asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Asked {
    /// Everything; without it the satellite does not start.
    Required,
    /// Whatever this machine allows.
    #[default]
    BestEffort,
    /// Nothing.
    Off,
}

impl Asked {
    /// Reads the wire's and the settings' spelling.
    pub fn parse(text: &str) -> Option<Asked> {
        match text {
            "required" => Some(Asked::Required),
            "best-effort" => Some(Asked::BestEffort),
            "off" => Some(Asked::Off),
            _ => None,
        }
    }

    /// The wire's and the settings' spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Asked::Required => "required",
            Asked::BestEffort => "best-effort",
            Asked::Off => "off",
        }
    }
}

/// A part of isolation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Each process is born in a control group, frozen and ended with everything it started.
    ControlGroups,
    /// Processor time is limited.
    CpuLimit,
    /// Memory is limited.
    MemoryLimit,
    /// Processes and threads are limited.
    ProcessLimit,
    /// Each process has a view of its own of files, processes and users, and few rights.
    Jail,
    /// Memory is limited for each process of a server by itself: it stands in for
    /// [`Part::MemoryLimit`].
    MemoryByProcess,
    /// Processes and threads are limited by counting those of a user: it stands in for
    /// [`Part::ProcessLimit`].
    ProcessesByUser,
}

impl Part {
    /// The wire's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Part::ControlGroups => "control_groups",
            Part::CpuLimit => "cpu_limit",
            Part::MemoryLimit => "memory_limit",
            Part::ProcessLimit => "process_limit",
            Part::Jail => "jail",
            Part::MemoryByProcess => "memory_by_process",
            Part::ProcessesByUser => "processes_by_user",
        }
    }
}

/// How far servers are isolated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isolation {
    /// What was asked for.
    pub asked: Asked,
    /// What is in force.
    #[serde(default)]
    pub in_force: BTreeSet<Part>,
    /// What is missing: why, and what to do about it.
    #[serde(default)]
    pub missing: BTreeMap<Part, String>,
}

/// What the outside sees of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Level {
    /// What was asked for.
    pub asked: Asked,
    /// What is in force.
    pub in_force: BTreeSet<Part>,
    /// What is missing.
    pub missing: BTreeSet<Part>,
}

impl Isolation {
    /// What the outside sees of it, for the reasons name places on this machine; `None` where nobody
    /// has looked, as in the simulation.
    pub fn level(&self) -> Option<Level> {
        (*self != Isolation::default()).then(|| Level {
            asked: self.asked,
            in_force: self.in_force.clone(),
            missing: self.missing.keys().copied().collect(),
        })
    }

    /// Nothing is isolated, as asked.
    pub fn off() -> Isolation {
        Isolation { asked: Asked::Off, ..Isolation::default() }
    }

    /// Notes a part that is in force, or why it is not and what to do about it.
    pub fn note(&mut self, part: Part, missing: Option<String>) {
        match missing {
            None => {
                self.in_force.insert(part);
            }
            Some(why) => {
                self.missing.insert(part, why);
            }
        }
    }

    /// Whether a limit stands in for `part`: that is missing, and something was asked for.
    pub fn wants_stand_in(&self, part: Part) -> bool {
        self.asked != Asked::Off && self.missing.contains_key(&part)
    }

    /// Notes what stands in for limits that are missing; only in a jail has a server, or its team, a
    /// user whose processes can be counted. What is missing stays so: it is less.
    pub fn note_stand_ins(&mut self) {
        if self.wants_stand_in(Part::MemoryLimit) {
            self.note(Part::MemoryByProcess, None);
        }
        if self.wants_stand_in(Part::ProcessLimit) && self.in_force.contains(&Part::Jail) {
            self.note(Part::ProcessesByUser, None);
        }
    }

    /// The names of the parts that are missing although they were asked for.
    pub fn lacking(&self) -> Vec<&'static str> {
        match self.asked {
            Asked::Off => Vec::new(),
            Asked::Required | Asked::BestEffort => {
                self.missing.keys().map(|part| part.as_str()).collect()
            }
        }
    }

    /// Why the satellite is degraded on this account, as a phrase; `None` if it is not.
    pub fn degradation(&self) -> Option<String> {
        let lacking = self.lacking();
        (!lacking.is_empty()).then(|| format!("isolation lacks {}", lacking.join(", ")))
    }

    /// The reasons for what is missing, each once, with the names of the parts.
    pub fn reasons(&self) -> Vec<String> {
        let mut by_reason: Vec<(&str, Vec<&str>)> = Vec::new();
        for (part, why) in &self.missing {
            match by_reason.iter_mut().find(|(known, _)| known == why) {
                Some((_, parts)) => parts.push(part.as_str()),
                None => by_reason.push((why, Vec::from([part.as_str()]))),
            }
        }
        let sentence = |(why, parts): (&str, Vec<&str>)| format!("{}: {why}", parts.join(", "));
        by_reason.into_iter().map(sentence).collect()
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn what_is_missing_is_named_once_with_its_reason_unless_nothing_was_asked_for() {
        let mut isolation = Isolation::default();
        isolation.note(Part::ControlGroups, None);
        for part in [Part::MemoryLimit, Part::CpuLimit] {
            isolation.note(part, Some("no controllers; delegate them".to_string()));
        }
        assert_eq!(isolation.reasons(), ["cpu_limit, memory_limit: no controllers; delegate them"]);
        assert_eq!(
            isolation.degradation().as_deref(),
            Some("isolation lacks cpu_limit, memory_limit")
        );
        assert_eq!(Isolation { asked: Asked::Off, ..isolation }.degradation(), None);
    }

    #[test]
    fn what_stands_in_for_a_limit_is_in_force_beside_it_and_only_where_it_is_missing() {
        let missing = || Some("no controllers; delegate them".to_string());
        let mut isolation = Isolation::default();
        isolation.note(Part::ProcessLimit, None);
        isolation.note(Part::MemoryLimit, missing());
        isolation.note(Part::Jail, None);
        isolation.note_stand_ins();
        let in_force = [Part::ProcessLimit, Part::Jail, Part::MemoryByProcess];
        assert_eq!(isolation.in_force, in_force.into());
        assert_eq!(isolation.lacking(), ["memory_limit"]);
        for (asked, is_jailed, expected) in [
            (Asked::BestEffort, true, [Part::Jail, Part::ProcessesByUser].into()),
            (Asked::BestEffort, false, BTreeSet::new()),
            (Asked::Off, true, [Part::Jail].into()),
        ] {
            let mut isolation = Isolation { asked, ..Isolation::default() };
            isolation.note(Part::ProcessLimit, missing());
            isolation.note(Part::Jail, (!is_jailed).then(|| "no".to_string()));
            isolation.note_stand_ins();
            assert_eq!(isolation.in_force, expected);
        }
    }

    #[test]
    fn spellings_are_those_of_the_wire() {
        for asked in [Asked::Required, Asked::BestEffort, Asked::Off] {
            assert_eq!(Asked::parse(asked.as_str()), Some(asked));
            assert_eq!(serde_json::to_value(asked).unwrap(), asked.as_str());
        }
        for part in [
            Part::ControlGroups,
            Part::CpuLimit,
            Part::MemoryLimit,
            Part::ProcessLimit,
            Part::Jail,
            Part::MemoryByProcess,
            Part::ProcessesByUser,
        ] {
            assert_eq!(serde_json::to_value(part).unwrap(), part.as_str());
        }
        assert_eq!(Asked::parse("none"), None);
    }
}
