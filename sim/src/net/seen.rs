//! What servers, clients and the administrator saw themselves: the other half of each invariant.

use std::collections::BTreeMap;

use serde_json::Value;

use super::World;

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Processes that run, by instance.
    pub(super) alive: BTreeMap<String, u32>,
    /// Processes that were started for a command, by its id.
    pub(super) effects: BTreeMap<String, u32>,
    /// Calls by their word.
    pub(super) calls: BTreeMap<String, Call>,
    /// Commands that the Backend said it has stored.
    pub(super) filed: Vec<String>,
}

/// A client's call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Call {
    /// How often a server executed it.
    pub(super) executed: u32,
    /// Results that its client got: `ok`, or an error.
    pub(super) ok: u32,
    pub(super) errors: u32,
    /// Whether its client learnt of its end, be it by an error.
    pub(super) is_answered: bool,
    /// The satellite's machine went away while it was pending.
    pub(super) interrupted: bool,
}

impl Seen {
    /// A server executes a call.
    pub(super) fn executed(&mut self, word: &Value) {
        if let Some(call) = word.as_str().and_then(|word| self.calls.get_mut(word)) {
            call.executed += 1;
        }
    }
}

/// A process that runs. Dropped, it has ended, whether by itself or with its machine.
pub(super) struct Alive {
    world: World,
    key: String,
}

impl Alive {
    /// A process of an instance starts, on account of a command or not.
    pub(super) fn born(world: &World, key: String, command: Option<String>) -> Alive {
        let mut inner = world.lock();
        *inner.seen.alive.entry(key.clone()).or_default() += 1;
        if let Some(command) = command {
            *inner.seen.effects.entry(command).or_default() += 1;
        }
        drop(inner);
        Alive { world: world.clone(), key }
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        let mut inner = self.world.lock();
        if let Some(count) = inner.seen.alive.get_mut(&self.key) {
            *count -= 1;
        }
        inner.seen.alive.retain(|_, count| *count > 0);
    }
}
