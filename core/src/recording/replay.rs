//! Makes the decisions of a recording again.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use core::fmt;

use super::line::{self, Line, Unreadable};
use super::recorder::Witness;
use super::{Apart, Decided, End};

/// What a replay came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The version of the program that took the recording; empty if its first line is unreadable.
    pub version: String,
    /// Events after which everything was as recorded.
    pub steps: u64,
    /// Why the recording ends; nothing if it was cut off or not read to its end.
    pub end: Option<String>,
    /// Whether its last line is cut short.
    pub is_torn: bool,
    /// The first step at which the daemon did something else than what was recorded.
    pub apart: Option<(u64, Apart)>,
    /// Why the replay stopped before the end.
    pub fault: Option<Fault>,
}

/// Why a replay stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A line cannot be read.
    Unreadable(Unreadable),
    /// The same event led to another decision.
    Parted(Box<Parted>),
}

/// Where a replay decides otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parted {
    /// The step.
    pub step: u64,
    /// The event's name.
    pub event: &'static str,
    /// What the recording says.
    pub recorded: Decided,
    /// What the replay came to.
    pub replayed: Decided,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parted = match self {
            Fault::Unreadable(unreadable) => return unreadable.fmt(f),
            Fault::Parted(parted) => parted,
        };
        let Parted { step, event, recorded, replayed } = &**parted;
        writeln!(f, "step {step} ({event}): the decisions part here")?;
        for (side, decided) in [("recorded", recorded), ("replayed", replayed)] {
            let Decided { verdict, wanted, effects, view } = decided;
            writeln!(f, "  {side}: {verdict}; effects {effects}, view {view}")?;
            for (at, effect) in wanted.iter().enumerate() {
                let other = if side == "recorded" { &replayed.wanted } else { &recorded.wanted };
                let mark = if other.get(at) == Some(effect) { ' ' } else { '!' };
                writeln!(f, "  {mark} {effect}")?;
            }
        }
        f.write_str("this program decides otherwise than the one that took the recording")
    }
}

/// Makes decisions again, line by line.
#[derive(Default)]
pub struct Replay {
    witness: Option<Witness>,
    lines: u64,
    outcome: Outcome,
}

impl Replay {
    /// Replays a recording, or its first `until` steps. Total: any bytes have an outcome.
    pub fn run(recording: &[u8], until: Option<u64>) -> Outcome {
        let mut replay = Replay::default();
        for line in recording.split_inclusive(|byte| *byte == b'\n') {
            if until.is_some_and(|until| replay.outcome.steps >= until) {
                break;
            }
            let Some(line) = line.strip_suffix(b"\n") else {
                // A daemon that was killed was writing it.
                replay.outcome.is_torn = true;
                break;
            };
            if let Err(fault) = replay.take(line) {
                replay.outcome.fault = Some(fault);
                break;
            }
        }
        if replay.witness.is_none() && replay.outcome.fault.is_none() {
            let reason = "there is no whole line: this is no recording".to_string();
            replay.outcome.fault = Some(Fault::Unreadable(Unreadable { line: 1, reason }));
        }
        replay.outcome
    }

    fn take(&mut self, line: &[u8]) -> Result<(), Fault> {
        self.lines += 1;
        let number = self.lines;
        let wrong = |reason: &str| {
            Err(Fault::Unreadable(Unreadable { line: number, reason: reason.to_string() }))
        };
        let read = line::read(number, line).map_err(Fault::Unreadable)?;
        match (read, &mut self.witness) {
            (Line::Header(header), witness @ None) => {
                self.outcome.version.clone_from(&header.version);
                *witness = Some(Witness::new(header));
                Ok(())
            }
            (Line::Header(_), Some(_)) => {
                wrong("another recording begins here; replay each on its own")
            }
            (_, None) => wrong("the recording's first line is missing; take the whole file"),
            (_, Some(_)) if self.outcome.end.is_some() => {
                wrong("something follows the recording's end; take the file anew")
            }
            (Line::End(End { steps, end }), Some(_)) => {
                if steps != self.outcome.steps {
                    return wrong("steps are missing before the end; take the whole file");
                }
                self.outcome.end = Some(end);
                Ok(())
            }
            (Line::Step(step), Some(witness)) => {
                if step.step != self.outcome.steps + 1 {
                    return wrong("steps are missing or out of order; take the whole file");
                }
                let event = step.event.name();
                let replayed = witness.hear(step.at, step.event);
                if replayed != step.decided {
                    return Err(Fault::Parted(Box::new(Parted {
                        step: step.step,
                        event,
                        recorded: step.decided,
                        replayed,
                    })));
                }
                self.outcome.steps = step.step;
                if let (Some(apart), None) = (step.apart, &self.outcome.apart) {
                    self.outcome.apart = Some((step.step, apart));
                }
                Ok(())
            }
        }
    }
}
