//! Who writes the journal: gathers the entries of one step, knows who waits for them to be synced,
//! and goes on when the disk does not.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use super::Entry;
use super::codec::encode;
use crate::control::Record;
use crate::limits::{JOURNAL_RETRY_MS, JOURNAL_SLACK_BYTES};
use crate::machine::Deadline;
use crate::time::Timestamp;

/// Who waits for an entry to be synced, and by what number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiter {
    /// The command queue.
    Commands(u64),
    /// The outbox.
    Outbox(u64),
}

/// The journal's writing end.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    lines: Vec<u8>,
    waiters: Vec<Waiter>,
    sync: bool,
    in_flight: VecDeque<Write>,
    /// Bytes of the last rewriting, and appended since.
    base: usize,
    appended: usize,
    /// The file is not fit to be appended to.
    unfit: bool,
    failure: Option<Failure>,
}

#[derive(Debug)]
struct Write {
    waiters: Vec<Waiter>,
    /// The length of the file, if it was written as a whole.
    rewritten: Option<usize>,
}

#[derive(Debug)]
struct Failure {
    error: String,
    again_at: Timestamp,
}

impl Journal {
    /// A journal over a file of `bytes` bytes; `unfit` if it must be rewritten first.
    pub(crate) fn new(bytes: usize, unfit: bool) -> Self {
        Journal { base: bytes, unfit, ..Journal::default() }
    }

    /// Takes an entry. With a waiter it is synced, and the waiter is told.
    pub(crate) fn note(&mut self, entry: &Entry, waiter: Option<Waiter>) {
        // What a failed journal misses, its next rewriting holds.
        if !self.unfit || self.is_rewriting() {
            encode(entry, &mut self.lines);
        }
        if let Some(waiter) = waiter {
            self.waiters.push(waiter);
            self.sync = true;
        }
    }

    /// Has the file written anew with the next write.
    pub(crate) fn renew(&mut self) {
        self.unfit = true;
    }

    /// Has everything noted so far synced with the next write.
    pub(crate) fn sync(&mut self) {
        self.sync = true;
    }

    /// What is to be written, if anything is. `whole` writes everything that must be remembered,
    /// what was noted since the last write included.
    pub(crate) fn flush(
        &mut self,
        now: Timestamp,
        whole: impl FnOnce() -> Vec<u8>,
    ) -> Option<Record> {
        if self.unfit {
            let is_due = self.failure.as_ref().is_none_or(|failure| failure.again_at <= now);
            if self.is_rewriting() || !(is_due || self.sync) {
                return None;
            }
            return Some(self.rewrite(whole()));
        }
        if self.lines.is_empty() && !self.sync {
            return None;
        }
        let appended = self.appended.saturating_add(self.lines.len());
        if appended > self.base.saturating_add(JOURNAL_SLACK_BYTES) && !self.is_rewriting() {
            return Some(self.rewrite(whole()));
        }
        self.appended = appended;
        self.in_flight
            .push_back(Write { waiters: core::mem::take(&mut self.waiters), rewritten: None });
        let sync = core::mem::take(&mut self.sync);
        Some(Record::Journal { bytes: core::mem::take(&mut self.lines), sync })
    }

    fn rewrite(&mut self, whole: Vec<u8>) -> Record {
        self.lines.clear();
        self.sync = false;
        let waiters = core::mem::take(&mut self.waiters);
        self.in_flight.push_back(Write { waiters, rewritten: Some(whole.len()) });
        Record::JournalRewrite(whole)
    }

    fn is_rewriting(&self) -> bool {
        self.in_flight.iter().any(|write| write.rewritten.is_some())
    }

    /// A write was answered. Returns those who waited for it.
    pub(crate) fn persisted(
        &mut self,
        now: Timestamp,
        outcome: &Result<(), String>,
    ) -> Vec<Waiter> {
        let Some(write) = self.in_flight.pop_front() else { return Vec::new() };
        match (outcome, write.rewritten) {
            (Ok(()), None) => {}
            (Ok(()), Some(bytes)) => {
                (self.base, self.appended) = (bytes, 0);
                self.unfit = false;
                self.failure = None;
            }
            (Err(error), rewritten) => {
                self.unfit = true;
                if rewritten.is_some() || !self.is_rewriting() {
                    self.lines.clear();
                }
                let again_at = now.after(JOURNAL_RETRY_MS);
                self.failure = Some(Failure { error: error.clone(), again_at });
            }
        }
        write.waiters
    }

    /// Why it cannot be written, while it cannot.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.as_ref().map(|failure| failure.error.as_str())
    }

    /// When the next attempt is due.
    pub(crate) fn next_deadline(&self) -> Option<Deadline> {
        if self.is_rewriting() {
            return None;
        }
        self.failure.as_ref().map(|failure| Deadline::new(failure.again_at, "journal again"))
    }
}

#[cfg(test)]
mod tests;
