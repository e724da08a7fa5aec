//! Users' access tokens towards remotes, as the satellite has them from the Backend: each kept until
//! shortly before its end, each fetched by one request however many want it.
//!
//! A token that a server refused is dropped and fetched once more, with word of which one it was;
//! whoever is refused again has to ask their user.

mod answer;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::backend::sha256_hex;
use crate::http::{HttpAnswer, HttpFailure, HttpRequest, Method};
use crate::id::{InstanceKey, TeamId, UserId};
use crate::limits::BACKEND_TIMEOUT_MS;
use crate::random::Random;
use crate::remote::{AccessToken, Failure, Fault};
use crate::secret::Secret;
use crate::time::{MINUTE, SECOND, Timestamp};
use crate::wire::tokens::TokensRequest;
use crate::wire::{encode, path};
use crate::{Deadline, Machine, Refusal, Verdict};

use answer::Answer;

/// How long a token is used before the Backend is asked again.
pub const KEPT_MS: u64 = 5 * MINUTE;
/// How long before its end a token is not handed out any more, if another can be had.
pub const LEAD_MS: u64 = 10 * SECOND;
/// Requests for one token before those who wait for it are told that there is none.
pub const ATTEMPTS_MAX: u32 = 3;
/// The longest wait that a Backend may ask for between two of them.
pub const RETRY_MAX_MS: u64 = 5 * SECOND;
/// Tokens that are kept.
pub const KEPT_MAX: usize = 10_000;
/// Callers that wait at the same time.
pub const WAITING_MAX: usize = 10_000;

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// Somebody wants the token of an instance's user.
    Wanted {
        /// Who; the answer names it.
        caller: u64,
        /// Of which instance.
        key: InstanceKey,
        /// The token that the server refused, if one was.
        stale: Option<u64>,
    },
    /// The Backend answered, or did not.
    Answered {
        /// Which request.
        request: u64,
        /// How.
        answer: Result<HttpAnswer, HttpFailure>,
    },
    /// A user is to be forgotten; with a team, as its member only.
    UserForgotten {
        /// The user.
        user: UserId,
        /// The team.
        team: Option<TeamId>,
    },
    /// Time passed.
    Tick,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Ask the Backend; [`request`] says how.
    Fetch {
        /// The answer names it.
        request: u64,
        /// What to ask for.
        wanted: TokensRequest,
    },
    /// Give somebody what they wanted.
    Give {
        /// Who.
        caller: u64,
        /// The token, or why there is none.
        outcome: Result<AccessToken, Failure>,
    },
}

/// The request that fetches a token, for the satellite of this pairing.
pub fn request(
    credentials: &crate::credentials::Credentials,
    wanted: &TokensRequest,
) -> HttpRequest {
    HttpRequest {
        method: Method::Post,
        path: path::tokens_retrieve(&credentials.satellite_id),
        bearer: Some(credentials.api_key.clone()),
        headers: Vec::new(),
        body: Some(encode(wanted)),
        timeout_ms: BACKEND_TIMEOUT_MS,
    }
}

/// The tokens of all users.
#[derive(Debug)]
pub struct Tokens {
    entries: BTreeMap<InstanceKey, Entry>,
    random: Random,
    /// The last id given, of tokens and of requests.
    last: u64,
    waiting: usize,
}

#[derive(Debug, Default)]
struct Entry {
    kept: Option<Kept>,
    fetch: Option<Fetch>,
}

#[derive(Debug)]
struct Kept {
    token: AccessToken,
    /// When the Backend is asked again.
    until: Timestamp,
}

impl Kept {
    /// Whether it is good although the Backend cannot be asked.
    fn lasts(&self, now: Timestamp) -> bool {
        self.token.expires_at.is_none_or(|end| now < end)
    }
}

#[derive(Debug)]
struct Fetch {
    request: u64,
    attempts: u32,
    /// The next attempt; none while one is under way.
    retry_at: Option<Timestamp>,
    /// The token that the server refused.
    refused: Option<Secret>,
    callers: Vec<u64>,
}

impl Tokens {
    /// No token is known yet.
    pub fn new(random: Random) -> Self {
        Tokens { entries: BTreeMap::new(), random, last: 0, waiting: 0 }
    }

    fn next_id(&mut self) -> u64 {
        self.last = self.last.saturating_add(1);
        self.last
    }

    fn wanted(
        &mut self,
        now: Timestamp,
        caller: u64,
        key: &InstanceKey,
        stale: Option<u64>,
        out: &mut Vec<Effect>,
    ) -> Verdict {
        let entry = self.entries.entry(key.clone()).or_default();
        let is_stale = |kept: &mut Kept| stale == Some(kept.token.id);
        let refused = entry.kept.take_if(is_stale).map(|kept| kept.token.token);
        let fresh = entry.kept.as_ref().filter(|kept| now < kept.until);
        if let (Some(kept), None) = (fresh, &entry.fetch) {
            out.push(Effect::Give { caller, outcome: Ok(kept.token.clone()) });
            return Verdict::Handled;
        }
        if self.waiting >= WAITING_MAX {
            let outcome = Err(Failure::new(Fault::Unreachable, "too many wait for tokens"));
            out.push(Effect::Give { caller, outcome });
            self.make_room();
            return Verdict::Refused(Refusal::LimitReached);
        }
        self.waiting += 1;
        if let Some(fetch) = &mut entry.fetch {
            fetch.callers.push(caller);
            return Verdict::Handled;
        }
        let callers = alloc::vec![caller];
        entry.fetch = Some(Fetch { request: 0, attempts: 0, retry_at: None, refused, callers });
        self.fetch(key, out);
        self.make_room();
        Verdict::Moved
    }

    /// Begins the next attempt.
    fn fetch(&mut self, key: &InstanceKey, out: &mut Vec<Effect>) {
        let request = self.next_id();
        let Some(fetch) = self.entries.get_mut(key).and_then(|entry| entry.fetch.as_mut()) else {
            return;
        };
        fetch.request = request;
        fetch.attempts = fetch.attempts.saturating_add(1);
        fetch.retry_at = None;
        let refused = fetch.refused.as_ref();
        let wanted = TokensRequest {
            refused_token_sha256: refused.map(|token| sha256_hex(token.expose().as_bytes())),
            ..asked_for(key)
        };
        out.push(Effect::Fetch { request, wanted });
    }

    fn answered(
        &mut self,
        now: Timestamp,
        request: u64,
        answer: Result<HttpAnswer, HttpFailure>,
        out: &mut Vec<Effect>,
    ) -> Verdict {
        let waits = |entry: &Entry| {
            entry.fetch.as_ref().is_some_and(|it| it.request == request && it.retry_at.is_none())
        };
        let found = self.entries.iter().find(|(_, entry)| waits(entry));
        let Some(key) = found.map(|(key, _)| key.clone()) else { return Verdict::Ignored("late") };
        let id = self.next_id();
        let Some(entry) = self.entries.get_mut(&key) else { return Verdict::Ignored("late") };
        let Some(fetch) = entry.fetch.as_mut() else { return Verdict::Ignored("late") };
        let outcome = match answer::read(&asked_for(&key), answer, now) {
            Answer::Token { token, .. } if fetch.refused.as_ref() == Some(&token) => {
                let next = asked_for(&key).advice();
                let message = format!("the server refuses the user's access. {next}");
                Err(Failure::new(Fault::AuthorisationNeeded, message))
            }
            Answer::Token { token, token_type, expires_at } => {
                let token = AccessToken { id, token_type, token, expires_at };
                let end = expires_at.map(|end| Timestamp(end.0.saturating_sub(LEAD_MS)));
                let until = end.map_or(now.after(KEPT_MS), |end| end.min(now.after(KEPT_MS)));
                entry.kept = Some(Kept { token: token.clone(), until });
                Ok(token)
            }
            Answer::No(failure) => {
                entry.kept = None;
                Err(failure)
            }
            Answer::Later { message, wait_ms } => {
                let wait = wait_ms.unwrap_or(0);
                if fetch.attempts < ATTEMPTS_MAX && wait <= RETRY_MAX_MS {
                    let base = (SECOND / 2) << (fetch.attempts.saturating_sub(1)).min(4);
                    let pause = self.random.between(base / 2, base).max(wait);
                    fetch.retry_at = Some(now.after(pause));
                    return Verdict::Handled;
                }
                // A Backend that is away takes no token away that still lasts.
                match entry.kept.as_ref().filter(|kept| kept.lasts(now)) {
                    Some(kept) => Ok(kept.token.clone()),
                    None => Err(Failure {
                        retry_after_ms: wait_ms,
                        ..Failure::new(Fault::Unreachable, message)
                    }),
                }
            }
        };
        let callers = entry.fetch.take().map(|fetch| fetch.callers).unwrap_or_default();
        if entry.kept.is_none() {
            self.entries.remove(&key);
        }
        self.waiting = self.waiting.saturating_sub(callers.len());
        let give = |caller| Effect::Give { caller, outcome: outcome.clone() };
        out.extend(callers.into_iter().map(give));
        Verdict::Moved
    }

    /// Drops what is kept of a user. What is being fetched is fetched anew: its answer may be from
    /// before.
    fn forget(&mut self, user: &UserId, team: Option<&TeamId>, out: &mut Vec<Effect>) -> Verdict {
        let theirs =
            |key: &InstanceKey| key.user == *user && team.is_none_or(|team| key.team == *team);
        let keys: Vec<InstanceKey> =
            self.entries.keys().filter(|key| theirs(key)).cloned().collect();
        let was_known = !keys.is_empty();
        for key in keys {
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            entry.kept = None;
            if entry.fetch.is_some() {
                self.fetch(&key, out);
            } else {
                self.entries.remove(&key);
            }
        }
        if was_known { Verdict::Moved } else { Verdict::Ignored("unknown") }
    }

    fn tick(&mut self, now: Timestamp, out: &mut Vec<Effect>) -> Verdict {
        let is_due = |entry: &Entry| {
            entry.fetch.as_ref().and_then(|it| it.retry_at).is_some_and(|at| at <= now)
        };
        let due: Vec<InstanceKey> =
            self.entries.iter().filter(|(_, it)| is_due(it)).map(|(key, _)| key.clone()).collect();
        for key in &due {
            self.fetch(key, out);
        }
        if due.is_empty() { Verdict::Ignored("nothing due") } else { Verdict::Handled }
    }

    /// Drops the token that is asked about anew the soonest, where too many are kept.
    fn make_room(&mut self) {
        if self.entries.len() <= KEPT_MAX {
            return;
        }
        let idle = self.entries.iter().filter(|(_, entry)| entry.fetch.is_none());
        let soonest = idle.min_by_key(|(_, entry)| entry.kept.as_ref().map(|kept| kept.until));
        if let Some(key) = soonest.map(|(key, _)| key.clone()) {
            self.entries.remove(&key);
        }
    }
}

impl Machine for Tokens {
    type Event = Event;
    type Effect = Effect;

    fn handle(&mut self, now: Timestamp, event: Event, out: &mut Vec<Effect>) -> Verdict {
        match event {
            Event::Wanted { caller, key, stale } => self.wanted(now, caller, &key, stale, out),
            Event::Answered { request, answer } => self.answered(now, request, answer, out),
            Event::UserForgotten { user, team } => self.forget(&user, team.as_ref(), out),
            Event::Tick => self.tick(now, out),
        }
    }

    fn next_deadline(&self) -> Option<Deadline> {
        let waits = self.entries.values().filter_map(|entry| entry.fetch.as_ref()?.retry_at);
        waits.min().map(|at| Deadline::new(at, "fetch of a token"))
    }
}

/// What the Backend is asked for the token of an instance's user.
fn asked_for(key: &InstanceKey) -> TokensRequest {
    TokensRequest {
        installation_id: key.installation.clone(),
        user_id: key.user.clone(),
        team_id: key.team.clone(),
        refused_token_sha256: None,
    }
}

/// Why a satellite without a pairing has no token.
pub fn unpaired() -> Failure {
    Failure::new(Fault::Unreachable, String::from("the satellite is not paired with a Backend"))
}

#[cfg(test)]
mod tests;
