//! Who writes the journal: gathers the entries of one step, knows who waits for them to be synced,
//! and goes on when the disk does not.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use super::Entry;
use super::codec::{MARK_NUMBERS, encode};
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

/// What has become of an entry that somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is synced.
    Synced,
    /// It is not on disk, but the journal's mark says that such may be missing.
    Marked,
    /// A daemon that dies leaves no trace of it.
    Not,
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
    /// All events before this number are in the file, or never need be.
    written: u64,
    /// The file's mark stands for the numbers from `written` to before this one.
    marked: u64,
    /// Those who wait for the mark.
    owed: Vec<Waiter>,
    /// The mark could not be written either when that was last tried.
    unmarkable: bool,
}

#[derive(Debug)]
struct Write {
    waiters: Vec<Waiter>,
    /// The number of the next event when it was made; of a mark, that up to before which it goes.
    next_seq: u64,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Lines,
    /// The file as a whole, so long.
    Whole(usize),
    /// The mark.
    Mark,
}

#[derive(Debug)]
struct Failure {
    error: String,
    again_at: Timestamp,
}

impl Journal {
    /// A journal over a file of `bytes` bytes that holds all events before the number `written`;
    /// `unfit` if it must be rewritten first.
    pub(crate) fn new(bytes: usize, written: u64, unfit: bool) -> Self {
        Journal { base: bytes, written, unfit, ..Journal::default() }
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

    /// For a waiter whose entries, up to before the number `next_seq`, a failed journal lacks: what
    /// is to be said at once, unless it is to wait until the mark is written.
    pub(crate) fn lacks(&mut self, next_seq: u64, waiter: Waiter) -> Option<Kept> {
        if self.unmarkable {
            return Some(Kept::Not);
        }
        if next_seq <= self.marked {
            return Some(Kept::Marked);
        }
        self.owed.push(waiter);
        None
    }

    /// What is to be written, if anything is. `next_seq` is the number of the next event; `whole`
    /// writes everything that must be remembered, what was noted since the last write included.
    pub(crate) fn flush(
        &mut self,
        now: Timestamp,
        next_seq: u64,
        whole: impl FnOnce() -> Vec<u8>,
    ) -> Option<Record> {
        let rewrites = self.is_rewriting();
        if self.unfit {
            let needs_mark = next_seq > self.written.max(self.marked) && !self.unmarkable;
            let is_marking = self.in_flight.iter().any(|write| write.what == What::Mark);
            if self.failure.is_some() && needs_mark && !is_marking && !rewrites {
                let missing = next_seq.saturating_sub(self.written);
                // Ahead of what is missing, so that it need not be written with every event.
                let numbers = missing.div_ceil(MARK_NUMBERS).saturating_mul(MARK_NUMBERS);
                self.put_out(self.written.saturating_add(numbers), What::Mark);
                return Some(Record::JournalMark(numbers));
            }
            let is_due = self.failure.as_ref().is_none_or(|failure| failure.again_at <= now);
            if rewrites || !(is_due || self.sync) {
                return None;
            }
            return Some(self.rewrite(next_seq, whole()));
        }
        if self.lines.is_empty() && !self.sync {
            return None;
        }
        let appended = self.appended.saturating_add(self.lines.len());
        if appended > self.base.saturating_add(JOURNAL_SLACK_BYTES) && !rewrites {
            return Some(self.rewrite(next_seq, whole()));
        }
        self.appended = appended;
        self.put_out(next_seq, What::Lines);
        let sync = core::mem::take(&mut self.sync);
        Some(Record::Journal { bytes: core::mem::take(&mut self.lines), sync })
    }

    fn rewrite(&mut self, next_seq: u64, whole: Vec<u8>) -> Record {
        self.lines.clear();
        self.sync = false;
        self.put_out(next_seq, What::Whole(whole.len()));
        Record::JournalRewrite(whole)
    }

    fn put_out(&mut self, next_seq: u64, what: What) {
        let waiters = match what {
            What::Mark => Vec::new(),
            What::Lines | What::Whole(_) => core::mem::take(&mut self.waiters),
        };
        self.in_flight.push_back(Write { waiters, next_seq, what });
    }

    fn is_rewriting(&self) -> bool {
        self.in_flight.iter().any(|write| matches!(write.what, What::Whole(_)))
    }

    /// A write was answered. Returns those who have waited for that, and what to tell them.
    pub(crate) fn persisted(
        &mut self,
        now: Timestamp,
        outcome: &Result<(), String>,
    ) -> Vec<(Waiter, Kept)> {
        let Some(write) = self.in_flight.pop_front() else { return Vec::new() };
        let mut told = Vec::new();
        match (outcome, write.what) {
            (Ok(()), What::Lines) => self.written = self.written.max(write.next_seq),
            (Ok(()), What::Whole(bytes)) => {
                (self.base, self.appended) = (bytes, 0);
                self.written = self.written.max(write.next_seq);
                (self.unfit, self.unmarkable, self.marked) = (false, false, 0);
                self.failure = None;
                // It holds what they wait for.
                told.extend(self.owed.drain(..).map(|waiter| (waiter, Kept::Synced)));
            }
            (Ok(()), What::Mark) => {
                self.marked = write.next_seq;
                told.extend(self.owed.drain(..).map(|waiter| (waiter, Kept::Marked)));
            }
            (Err(_), What::Mark) => {
                self.unmarkable = true;
                told.extend(self.owed.drain(..).map(|waiter| (waiter, Kept::Not)));
            }
            (Err(error), what) => {
                self.unfit = true;
                self.unmarkable = false;
                if what != What::Lines || !self.is_rewriting() {
                    self.lines.clear();
                }
                let again_at = now.after(JOURNAL_RETRY_MS);
                self.failure = Some(Failure { error: error.clone(), again_at });
            }
        }
        for waiter in write.waiters {
            let kept = match (outcome, waiter) {
                (Ok(()), _) => Some(Kept::Synced),
                (Err(_), Waiter::Commands(_)) => Some(Kept::Not),
                (Err(_), Waiter::Outbox(_)) => self.lacks(write.next_seq, waiter),
            };
            told.extend(kept.map(|kept| (waiter, kept)));
        }
        told
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
