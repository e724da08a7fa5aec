//! The contract every machine of this crate keeps. The crate's documentation states its rules.

use alloc::vec::Vec;

use crate::time::Timestamp;

/// A pure machine: an event and the time go in, effects and a verdict come out.
pub trait Machine {
    /// Everything that can happen to it, in the past tense.
    type Event;
    /// Everything it can ask for, in the imperative.
    type Effect;

    /// Takes one event and pushes the effects it calls for, in the order they must be performed.
    ///
    /// Total: no event, in no state, makes it panic.
    fn handle(
        &mut self,
        now: Timestamp,
        event: Self::Event,
        out: &mut Vec<Self::Effect>,
    ) -> Verdict;

    /// When the machine next wants to be told the time, and why. There are no timer effects.
    fn next_deadline(&self) -> Option<Deadline>;
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The state changed to another one.
    Moved,
    /// The event was used; the state kept its name.
    Handled,
    /// The event needed nothing: a repetition, or an answer that came late. Says why.
    Ignored(&'static str),
    /// The event may not happen in this state. It is logged and counted.
    Refused(Refusal),
}

/// Why an event was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// No transition is defined for this event in this state.
    IllegalTransition,
    /// The event names something this machine does not own.
    Unknown,
    /// The event belongs to another tenant.
    ForeignTenant,
    /// The event is older than what is known.
    Stale,
    /// A bound of [`crate::limits`] is reached.
    LimitReached,
    /// The machine is shutting down.
    Draining,
}

impl Refusal {
    /// The reason in the words that logs and counters use.
    pub fn as_str(self) -> &'static str {
        match self {
            Refusal::IllegalTransition => "illegal transition",
            Refusal::Unknown => "unknown",
            Refusal::ForeignTenant => "foreign tenant",
            Refusal::Stale => "stale",
            Refusal::LimitReached => "limit reached",
            Refusal::Draining => "draining",
        }
    }
}

/// The next moment at which a machine wants to be ticked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// The moment.
    pub at: Timestamp,
    /// What is due then, for traces.
    pub why: &'static str,
}

impl Deadline {
    /// A deadline at `at` for the reason `why`.
    pub fn new(at: Timestamp, why: &'static str) -> Self {
        Deadline { at, why }
    }

    /// The earlier of two optional deadlines.
    pub fn earlier(left: Option<Deadline>, right: Option<Deadline>) -> Option<Deadline> {
        match (left, right) {
            (Some(left), Some(right)) if right.at < left.at => Some(right),
            (None, right) => right,
            (left, _) => left,
        }
    }
}
