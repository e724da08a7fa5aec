//! Every request in flight, under ids of our own, with its deadline.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};

use super::CallId;
use crate::limits::CALL_TIMEOUT_MAX_MS;
use crate::time::Timestamp;

/// What a request in flight is for.
#[derive(Debug)]
pub(crate) enum Purpose {
    /// A client's call.
    Call {
        /// The host's name for it.
        call: CallId,
        /// The client's own progress token, as written.
        token: Option<Box<str>>,
        /// Whether it may be carried out twice.
        repeatable: bool,
    },
    /// The handshake.
    Initialize,
    /// A page of a list.
    List,
    /// A probe.
    Ping,
}

impl Purpose {
    /// Whether the request may be sent again after it may have been carried out.
    pub(crate) fn is_repeatable(&self) -> bool {
        match self {
            Purpose::Call { repeatable, .. } => *repeatable,
            Purpose::Initialize | Purpose::List | Purpose::Ping => true,
        }
    }
}

/// A request in flight.
#[derive(Debug)]
pub(crate) struct InFlight {
    pub(crate) purpose: Purpose,
    /// When it was sent.
    pub(crate) sent: Timestamp,
    timeout_ms: u64,
    pub(crate) deadline: Timestamp,
}

/// The requests in flight. Ids are never used twice.
#[derive(Debug)]
pub(crate) struct Table {
    next: u64,
    in_flight: BTreeMap<u64, InFlight>,
    calls: BTreeMap<CallId, u64>,
    deadlines: BTreeSet<(Timestamp, u64)>,
    /// Requests ended so far.
    ended: u64,
}

impl Table {
    pub(crate) fn new() -> Self {
        Table {
            // Peers have taken an id of 0 for none.
            next: 1,
            in_flight: BTreeMap::new(),
            calls: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            ended: 0,
        }
    }

    /// The id that the next request gets.
    pub(crate) fn next_id(&self) -> u64 {
        self.next
    }

    /// Whether a request ever had this id.
    pub(crate) fn has_issued(&self, id: u64) -> bool {
        (1..self.next).contains(&id)
    }

    /// Calls of clients in flight.
    pub(crate) fn calls(&self) -> usize {
        self.calls.len()
    }

    /// Whether a call is in flight.
    pub(crate) fn contains_call(&self, call: CallId) -> bool {
        self.calls.contains_key(&call)
    }

    /// Takes a request in, to end after `timeout_ms`, and gives it its id.
    pub(crate) fn insert(&mut self, now: Timestamp, purpose: Purpose, timeout_ms: u64) -> u64 {
        let id = self.next;
        self.next += 1;
        let timeout_ms = timeout_ms.clamp(1, CALL_TIMEOUT_MAX_MS);
        let deadline = now.after(timeout_ms);
        if let Purpose::Call { call, .. } = &purpose {
            self.calls.insert(*call, id);
        }
        self.deadlines.insert((deadline, id));
        self.in_flight.insert(id, InFlight { purpose, sent: now, timeout_ms, deadline });
        id
    }

    /// Ends a request.
    pub(crate) fn remove(&mut self, id: u64) -> Option<InFlight> {
        let found = self.in_flight.remove(&id)?;
        self.ended += 1;
        self.deadlines.remove(&(found.deadline, id));
        if let Purpose::Call { call, .. } = &found.purpose {
            self.calls.remove(call);
        }
        Some(found)
    }

    /// Ends a call, and gives its request's id.
    pub(crate) fn remove_call(&mut self, call: CallId) -> Option<u64> {
        let id = self.calls.get(&call).copied()?;
        self.remove(id).map(|_| id)
    }

    /// A request in flight.
    pub(crate) fn get(&self, id: u64) -> Option<&InFlight> {
        self.in_flight.get(&id)
    }

    /// Requests ended so far.
    pub(crate) fn ended(&self) -> u64 {
        self.ended
    }

    /// Requests whose deadline has passed.
    pub(crate) fn due(&self, now: Timestamp) -> impl Iterator<Item = u64> + '_ {
        self.deadlines.iter().take_while(move |(at, _)| *at <= now).map(|(_, id)| *id)
    }

    /// Ends every request for a page of a list, and says nothing to anybody.
    pub(crate) fn forget_lists(&mut self) {
        let is_list = |(_, found): &(&u64, &InFlight)| matches!(found.purpose, Purpose::List);
        let lists: alloc::vec::Vec<u64> =
            self.in_flight.iter().filter(is_list).map(|(id, _)| *id).collect();
        for id in lists {
            self.remove(id);
        }
    }

    /// Whether the handshake is under way.
    pub(crate) fn is_greeting(&self) -> bool {
        self.in_flight.values().any(|found| matches!(found.purpose, Purpose::Initialize))
    }

    /// The oldest request in flight.
    pub(crate) fn first(&self) -> Option<u64> {
        self.in_flight.keys().next().copied()
    }

    /// The call that a request is for, and the client's progress token. Its time starts anew, but
    /// ends [`CALL_TIMEOUT_MAX_MS`] after it was sent in any case.
    pub(crate) fn progressed(&mut self, now: Timestamp, id: u64) -> Option<(CallId, &str)> {
        let found = self.in_flight.get_mut(&id)?;
        let Purpose::Call { call, token: Some(token), .. } = &found.purpose else { return None };
        let last = found.sent.after(CALL_TIMEOUT_MAX_MS);
        let deadline = now.after(found.timeout_ms).min(last).max(found.deadline);
        if deadline != found.deadline {
            self.deadlines.remove(&(found.deadline, id));
            self.deadlines.insert((deadline, id));
            found.deadline = deadline;
        }
        Some((*call, token))
    }

    /// Ends the request whose deadline passed first, if one has.
    pub(crate) fn remove_expired(&mut self, now: Timestamp) -> Option<(u64, InFlight)> {
        let (deadline, id) = self.deadlines.first().copied()?;
        if deadline > now {
            return None;
        }
        self.remove(id).map(|found| (id, found))
    }

    /// The next deadline.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }
}
