//! Places for processes: who has one, who waits for one, and whose turn it is.
//!
//! A start takes a place among the satellite's, one among its team's where teams have a quota, and
//! one of the few slots for starts that are under way. Teams take turns, so that a team with a
//! thousand waiting costs another one turn; within a team who comes first is served first. The last
//! free slot is for a team that has no start under way: a team whose servers hang as they start does
//! not keep the others from starting theirs.

use alloc::collections::{BTreeMap, BTreeSet};
use core::ops::Bound;

use crate::id::{InstanceKey, TeamId};
use crate::limits::Settings;
use crate::view::PlacesView;

/// How many there may be of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Places of the satellite.
    pub(super) processes: usize,
    /// Places of each team.
    pub(super) per_team: Option<usize>,
    /// Starts under way at once; at least one.
    pub(super) starts: usize,
}

impl Bounds {
    pub(super) fn of(settings: &Settings) -> Self {
        Bounds {
            processes: settings.processes_max,
            per_team: settings.team_processes_max,
            starts: settings.starts_max.max(1),
        }
    }
}

/// Who holds a place, and who waits for one.
#[derive(Debug)]
pub(super) struct Places {
    bounds: Bounds,
    held: BTreeSet<InstanceKey>,
    starting: BTreeSet<InstanceKey>,
    /// The tickets of those that wait. Lower ones came earlier.
    tickets: BTreeMap<InstanceKey, u64>,
    teams: BTreeMap<TeamId, Team>,
    next_ticket: u64,
    /// The team that had the last turn.
    last: Option<TeamId>,
}

/// What a team has and waits for.
#[derive(Debug, Default)]
struct Team {
    held: usize,
    starting: usize,
    /// Those that hold no place, by their tickets.
    waiting: BTreeMap<u64, InstanceKey>,
    /// Those that hold one and are to be started again in it, by their tickets.
    again: BTreeMap<u64, InstanceKey>,
}

impl Team {
    fn waits(&self) -> bool {
        !self.waiting.is_empty() || !self.again.is_empty()
    }

    /// Whose turn it is of the team's: `has_room` says whether there is another place for it.
    fn first(&self, has_room: bool) -> Option<&InstanceKey> {
        let waiting = self.waiting.first_key_value().filter(|_| has_room);
        let again = self.again.first_key_value();
        let first = [waiting, again].into_iter().flatten().min_by_key(|(ticket, _)| **ticket);
        first.map(|(_, key)| key)
    }
}

impl Places {
    pub(super) fn new(bounds: Bounds) -> Self {
        Places {
            bounds,
            held: BTreeSet::new(),
            starting: BTreeSet::new(),
            tickets: BTreeMap::new(),
            teams: BTreeMap::new(),
            next_ticket: 0,
            last: None,
        }
    }

    /// Changes how many places there are. Who holds one keeps it.
    pub(super) fn resize(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    /// Has `key` wait for its turn, unless it does so already.
    pub(super) fn claim(&mut self, key: &InstanceKey) {
        if self.tickets.contains_key(key) {
            return;
        }
        let ticket = self.next_ticket;
        self.next_ticket = ticket.wrapping_add(1);
        self.tickets.insert(key.clone(), ticket);
        let team = self.teams.entry(key.team.clone()).or_default();
        let queue = if self.held.contains(key) { &mut team.again } else { &mut team.waiting };
        queue.insert(ticket, key.clone());
    }

    /// Takes back the place or the request of `key`.
    pub(super) fn release(&mut self, key: &InstanceKey) {
        self.settled(key);
        let Some(team) = self.teams.get_mut(&key.team) else { return };
        if let Some(ticket) = self.tickets.remove(key) {
            team.waiting.remove(&ticket);
            team.again.remove(&ticket);
        }
        if self.held.remove(key) {
            team.held = team.held.saturating_sub(1);
        }
        if team.held == 0 && !team.waits() {
            self.teams.remove(&key.team);
        }
    }

    /// The start of `key`, if it was under way, is over; its place stays its own.
    pub(super) fn settled(&mut self, key: &InstanceKey) {
        if self.starting.remove(key)
            && let Some(team) = self.teams.get_mut(&key.team)
        {
            team.starting = team.starting.saturating_sub(1);
        }
    }

    /// Whose turn it is, if it can be started. Its start is under way from then on, until it is
    /// [`Places::settled`] or [`Places::release`]d.
    pub(super) fn next(&mut self) -> Option<InstanceKey> {
        let free_starts = self.free_starts();
        if free_starts == 0 || self.tickets.is_empty() {
            return None;
        }
        let is_last_start = free_starts == 1 && self.bounds.starts > 1;
        let after = self.last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let until =
            self.last.as_ref().into_iter().flat_map(|last| self.teams.range::<TeamId, _>(..=last));
        let turns = self.teams.range::<TeamId, _>((after, Bound::Unbounded)).chain(until);
        let key = turns
            .filter(|(_, team)| !is_last_start || team.starting == 0)
            .find_map(|(_, team)| team.first(self.has_room(team)))?
            .clone();
        let team = self.teams.get_mut(&key.team)?;
        let ticket = self.tickets.remove(&key)?;
        team.waiting.remove(&ticket);
        team.again.remove(&ticket);
        if self.held.insert(key.clone()) {
            team.held += 1;
        }
        if self.starting.insert(key.clone()) {
            team.starting += 1;
        }
        self.last = Some(key.team.clone());
        Some(key)
    }

    fn has_room(&self, team: &Team) -> bool {
        self.held.len() < self.bounds.processes && !self.is_full(team)
    }

    fn is_full(&self, team: &Team) -> bool {
        self.bounds.per_team.is_some_and(|most| team.held >= most)
    }

    /// How many places are lacking for those that wait and whose teams may have one more.
    pub(super) fn lacking(&self) -> usize {
        let may_have = |team: &Team| match self.bounds.per_team {
            Some(most) => team.waiting.len().min(most.saturating_sub(team.held)),
            None => team.waiting.len(),
        };
        let wanted: usize = self.teams.values().map(may_have).sum();
        wanted.saturating_sub(self.bounds.processes.saturating_sub(self.held.len()))
    }

    /// How many of a team wait because it has as many places as it may have.
    pub(super) fn lacking_of(&self, team: &TeamId) -> usize {
        let most = self.bounds.per_team.unwrap_or(usize::MAX);
        let lacking =
            |team: &Team| team.waiting.len().saturating_sub(most.saturating_sub(team.held));
        self.teams.get(team).map_or(0, lacking)
    }

    /// How many starts more may be under way.
    pub(super) fn free_starts(&self) -> usize {
        self.bounds.starts.saturating_sub(self.starting.len())
    }

    /// Whether anybody waits.
    pub(super) fn is_waited_for(&self) -> bool {
        !self.tickets.is_empty()
    }

    /// How many places there are.
    pub(super) fn capacity(&self) -> usize {
        self.bounds.processes
    }

    /// How many places are held.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// What the outside may know; `wait_ms` is how long a call waits for a place.
    pub(super) fn view(&self, wait_ms: u64) -> PlacesView {
        let full = |team: &Team| !team.waiting.is_empty() && self.is_full(team);
        let full_teams = self.teams.iter().filter(|(_, team)| full(team));
        PlacesView {
            held: self.held.len(),
            capacity: self.bounds.processes,
            starting: self.starting.len(),
            starts_max: self.bounds.starts,
            waiting: self.tickets.len(),
            waiting_in_place: self.teams.values().map(|team| team.again.len()).sum(),
            team_quota: self.bounds.per_team,
            full_teams: full_teams.map(|(id, team)| (id.clone(), team.waiting.len())).collect(),
            wait_ms,
        }
    }
}

#[cfg(test)]
mod tests;
