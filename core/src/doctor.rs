//! `satellite doctor`: what this machine offers a satellite, what it lacks, and the command that
//! mends it. What was found out comes from outside; what it means is said here.

mod kernel;
mod surroundings;

use alloc::string::String;
use alloc::vec::Vec;

use serde::Serialize;

use crate::isolation::Asked;

pub use kernel::{Kernel, control_groups, jail, kernel};
pub use surroundings::{
    Accounts, Backend, Port, Runtime, StateDirectory, accounts, backend, clock, open_files, port,
    runtimes, settings, state_directory,
};

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All is well.
    Pass,
    /// A satellite runs, with less than it could have.
    Warn,
    /// A satellite does not run like this.
    Fail,
}

impl Outcome {
    /// The spelling in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Pass => "pass",
            Outcome::Warn => "warn",
            Outcome::Fail => "fail",
        }
    }
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// How it went.
    pub outcome: Outcome,
    /// What was found.
    pub found: String,
    /// What to do about it: a command, or a sentence where no command will do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Finding {
    fn pass(check: &'static str, found: impl Into<String>) -> Self {
        Finding { check, outcome: Outcome::Pass, found: found.into(), fix: None }
    }

    fn bad(
        check: &'static str,
        outcome: Outcome,
        found: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        // What nobody asked for needs no mending.
        let fix = (outcome != Outcome::Pass).then(|| fix.into());
        Finding { check, outcome, found: found.into(), fix }
    }
}

/// What the lack of something means that the operator asked for so.
fn lack(asked: Asked) -> Outcome {
    match asked {
        Asked::Required => Outcome::Fail,
        Asked::BestEffort => Outcome::Warn,
        Asked::Off => Outcome::Pass,
    }
}

/// How many checks went how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// That passed.
    pub pass: usize,
    /// That warn.
    pub warn: usize,
    /// That failed.
    pub fail: usize,
}

/// Counts findings by their outcome.
pub fn count(findings: &[Finding]) -> Counts {
    let of = |outcome| findings.iter().filter(|it| it.outcome == outcome).count();
    Counts { pass: of(Outcome::Pass), warn: of(Outcome::Warn), fail: of(Outcome::Fail) }
}

/// Parts of a sentence, with commas between.
fn list<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    parts.into_iter().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
