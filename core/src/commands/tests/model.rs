//! The command queue in its plainest form: one map from a command's id to what became of it, and
//! two lists of what the Backend has still to hear. Numbers and texts, none of the machine's types.
//!
//! | rule | here |
//! |---|---|
//! | one id is one command, however often it comes | [`Model::delivered`] |
//! | what may not run is answered by a failure, once | [`Model::delivered`] |
//! | what cannot be stored has never come | [`Model::delivered`] |
//! | one at a time, by urgency, then by arrival | [`Model::begin`] |
//! | after its time a command is not begun | [`Model::begin`] |
//! | what cannot be stored is not begun; half a minute later it is tried again | [`Model::begin`] |
//! | ten minutes of execution are enough | [`Model::time`] |
//! | results go out one after the other, each until it is settled | [`Model::send`] |
//! | a settled result that is asked for again goes out again | [`Model::delivered`] |
//! | receipts are acknowledged once each time they come, if the Backend wants that | [`Model::send`] |

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// A command as it is delivered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) id: u8,
    /// 0 is the most urgent.
    pub(super) urgency: u8,
    pub(super) kind: Kind,
    /// Seconds after which it must not be begun.
    pub(super) expires_in: Option<u64>,
    pub(super) attempt: u64,
}

/// Whether it may run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Good,
    UnknownType,
    OtherTeam,
    UnreadablePayload,
    /// Not even a command, but it has an id.
    Unreadable,
}

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Waits { order: (u8, u64), begin_by: Option<u64> },
    Runs { since: u64 },
    Ended { is_good: bool, is_told: bool },
}

/// What a delivery as a whole comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Reception {
    Ignored,
    Handled,
    Refused,
}

/// What must have happened by the end of a step.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Done {
    pub(super) begun: Option<u8>,
    /// The command whose result goes out, and whether it succeeded.
    pub(super) result: Option<(u8, bool)>,
    /// The command whose receipt is acknowledged, and which of its deliveries that is about.
    pub(super) acknowledged: Option<(u8, u64)>,
}

#[derive(Default)]
pub(super) struct Model {
    fates: BTreeMap<u8, Fate>,
    arrivals: u64,
    pub(super) is_full: bool,
    pub(super) wants_receipts: bool,
    pub(super) drains: bool,
    held_until: Option<u64>,
    /// Results to send, the one in flight included, which is the first.
    results: Vec<u8>,
    pub(super) result_in_flight: bool,
    pub(super) failures: u32,
    pub(super) paused_until: Option<u64>,
    receipts: Vec<(u8, u64)>,
    pub(super) receipt_in_flight: bool,
}

impl Model {
    pub(super) fn running(&self) -> Option<u8> {
        let runs = |(_, fate): &(&u8, &Fate)| matches!(fate, Fate::Runs { .. });
        self.fates.iter().find(runs).map(|(id, _)| *id)
    }

    /// How many results the Backend has not settled.
    pub(super) fn unsettled(&self) -> usize {
        self.results.len()
    }

    pub(super) fn delivered(&mut self, now: u64, orders: &[Order]) -> Reception {
        let mut reception = Reception::Ignored;
        let (mut taken, mut refused) = (Vec::new(), Vec::new());
        for order in orders {
            let Order { id, urgency, kind, expires_in, attempt } = *order;
            match self.fates.get(&id) {
                Some(Fate::Ended { is_good, is_told: true }) => {
                    self.ended(id, *is_good);
                    if reception == Reception::Ignored {
                        reception = Reception::Handled;
                    }
                }
                Some(Fate::Ended { is_told: false, .. }) => {}
                Some(Fate::Waits { .. } | Fate::Runs { .. }) => {
                    let is_stored = !taken.iter().any(|(other, _)| *other == id);
                    if is_stored && kind != Kind::Unreadable {
                        self.acknowledge(id, attempt);
                    }
                }
                None if kind != Kind::Good || expires_in == Some(0) => {
                    self.fates.insert(id, Fate::Ended { is_good: false, is_told: false });
                    refused.push(id);
                    reception = Reception::Refused;
                }
                None => {
                    self.arrivals += 1;
                    let begin_by = expires_in.map(|seconds| now + seconds * 1_000);
                    let order = (urgency, self.arrivals);
                    self.fates.insert(id, Fate::Waits { order, begin_by });
                    taken.push((id, attempt));
                    if reception == Reception::Ignored {
                        reception = Reception::Handled;
                    }
                }
            }
        }
        // What is new goes by way of the disk.
        self.results.extend(refused);
        for (id, attempt) in taken {
            if self.is_full {
                self.fates.remove(&id);
            } else {
                self.acknowledge(id, attempt);
            }
        }
        reception
    }

    fn acknowledge(&mut self, id: u8, attempt: u64) {
        if self.wants_receipts {
            self.receipts.retain(|(other, _)| *other != id);
            self.receipts.push((id, attempt));
        }
    }

    /// A command ended, however: its result is to go out.
    pub(super) fn ended(&mut self, id: u8, is_good: bool) {
        self.fates.insert(id, Fate::Ended { is_good, is_told: false });
        self.results.push(id);
    }

    /// The Backend has the first result, or never will.
    pub(super) fn settled(&mut self) {
        let id = self.results.remove(0);
        if let Some(Fate::Ended { is_told, .. }) = self.fates.get_mut(&id) {
            *is_told = true;
        }
        (self.result_in_flight, self.failures) = (false, 0);
    }

    /// The first result did not get through.
    pub(super) fn failed(&mut self) {
        self.result_in_flight = false;
        self.failures += 1;
    }

    /// Time has passed.
    pub(super) fn time(&mut self, now: u64) {
        let overdue = |fate: &Fate| matches!(fate, Fate::Runs { since } if now - since >= 600_000);
        let found = self.fates.iter().find(|(_, fate)| overdue(fate)).map(|(id, _)| *id);
        if let Some(id) = found {
            self.ended(id, false);
        }
    }

    /// What follows each event: the next begins, and what is to be told is.
    pub(super) fn follows(&mut self, now: u64) -> Done {
        let begun = self.begin(now);
        Done { begun, result: self.send(now), acknowledged: self.send_receipt() }
    }

    fn begin(&mut self, now: u64) -> Option<u8> {
        if self.held_until.is_some_and(|until| until <= now) {
            self.held_until = None;
        }
        while !self.drains && self.held_until.is_none() && self.running().is_none() {
            let waiting = self.fates.iter().filter_map(|(id, fate)| match fate {
                Fate::Waits { order, begin_by } => Some((*order, *id, *begin_by)),
                _ => None,
            });
            let (_, id, begin_by) = waiting.min()?;
            if begin_by.is_some_and(|begin_by| begin_by <= now) {
                self.ended(id, false);
            } else if self.is_full {
                self.held_until = Some(now + 30_000);
            } else {
                self.fates.insert(id, Fate::Runs { since: now });
                return Some(id);
            }
        }
        None
    }

    fn send(&mut self, now: u64) -> Option<(u8, bool)> {
        if self.result_in_flight || self.paused_until.is_some_and(|until| now < until) {
            return None;
        }
        self.paused_until = None;
        let id = *self.results.first()?;
        self.result_in_flight = true;
        let is_good = matches!(self.fates.get(&id), Some(Fate::Ended { is_good: true, .. }));
        Some((id, is_good))
    }

    fn send_receipt(&mut self) -> Option<(u8, u64)> {
        if self.receipt_in_flight || self.receipts.is_empty() {
            return None;
        }
        self.receipt_in_flight = true;
        Some(self.receipts.remove(0))
    }

    /// When something is due by time alone.
    pub(super) fn due(&self) -> Option<u64> {
        let held = self.held_until.filter(|_| !self.drains);
        let overdue = self.fates.values().find_map(|fate| match fate {
            Fate::Runs { since } => Some(since + 600_000),
            _ => None,
        });
        [held, overdue, self.paused_until].into_iter().flatten().min()
    }
}
