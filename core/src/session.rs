//! Sessions of MCP clients: who owns them, how many there may be, when they end.
//!
//! A session is bound to its owner, not to the bytes of a token, so that a refreshed token keeps
//! it and nobody else's opens it. One that has ended is unknown, and an unknown one is never
//! brought back: its client is told to initialise again.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::id::{InstallationId, InstanceKey, SessionId, TeamId, UserId};
use crate::limits::{SESSION_IDLE_MS, SESSION_YOUNG_MS, SESSIONS_MAX, SESSIONS_PER_SUBJECT_MAX};
use crate::router::identity::Subject;
use crate::router::protocol::Revision;
use crate::time::Timestamp;
use crate::{Deadline, Refusal};

/// Whose a session is, and which router it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    user: UserId,
    team: TeamId,
    /// Set for the router of one instance.
    installation: Option<InstallationId>,
}

impl Owner {
    /// The owner of a session with the router of all of a user's instances.
    pub fn of_subject(subject: &Subject) -> Self {
        Owner { user: subject.user.clone(), team: subject.team.clone(), installation: None }
    }

    /// The owner of a session with the router of one instance.
    pub fn of_instance(key: &InstanceKey) -> Self {
        Owner {
            user: key.user.clone(),
            team: key.team.clone(),
            installation: Some(key.installation.clone()),
        }
    }
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Whose it is.
    pub owner: Owner,
    /// The protocol revision agreed on.
    pub revision: Revision,
    /// When it was opened.
    pub opened: Timestamp,
    /// When it was last used.
    pub used: Timestamp,
    /// Requests and streams that are open; with one, it does not end.
    pub open: usize,
}

/// The sessions of a satellite.
#[derive(Clone, Debug, Default)]
pub struct Sessions {
    sessions: BTreeMap<SessionId, Session>,
    by_owner: BTreeMap<Owner, BTreeSet<SessionId>>,
}

/// A session that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Its id.
    pub id: SessionId,
    /// The owner's longest unused session, where it had to make room.
    pub replaced: Option<SessionId>,
}

impl Sessions {
    /// Opens a session. `entropy` is 16 bytes of the kernel's randomness: the id is nothing else.
    ///
    /// An owner at its bound loses its longest unused session, unless all of them are busy.
    ///
    /// # Errors
    ///
    /// [`Refusal::LimitReached`] if the owner's sessions are all in use, or if there are too many
    /// in all.
    pub fn open(
        &mut self,
        now: Timestamp,
        owner: Owner,
        revision: Revision,
        entropy: [u8; 16],
    ) -> Result<Opened, Refusal> {
        let mut replaced = None;
        let own = self.by_owner.get(&owner);
        if own.is_some_and(|own| own.len() >= SESSIONS_PER_SUBJECT_MAX) {
            let unused = own
                .into_iter()
                .flatten()
                .filter_map(|id| Some((id, self.sessions.get(id)?)))
                .filter(|(_, session)| session.open == 0)
                .filter(|(_, session)| now.since(session.used) >= SESSION_YOUNG_MS)
                .min_by_key(|(_, session)| session.used)
                .map(|(id, _)| id.clone());
            let Some(unused) = unused else { return Err(Refusal::LimitReached) };
            self.remove(unused.as_str());
            replaced = Some(unused);
        }
        if self.sessions.len() >= SESSIONS_MAX {
            return Err(Refusal::LimitReached);
        }
        let id = id_from(entropy);
        if self.sessions.contains_key(&id) {
            // A source that repeats itself is broken; no session is better than a shared one.
            return Err(Refusal::IllegalTransition);
        }
        self.by_owner.entry(owner.clone()).or_default().insert(id.clone());
        let session = Session { owner, revision, opened: now, used: now, open: 0 };
        self.sessions.insert(id.clone(), session);
        Ok(Opened { id, replaced })
    }

    /// The session `id` of `owner`; it counts as used.
    ///
    /// # Errors
    ///
    /// [`Refusal::Unknown`], in the same way, whether it never was, has ended or is somebody else's.
    pub fn enter(&mut self, now: Timestamp, id: &str, owner: &Owner) -> Result<&Session, Refusal> {
        let is_over = self.sessions.get(id).is_some_and(|session| session.is_over(now));
        if is_over {
            self.remove(id);
        }
        match self.sessions.get_mut(id) {
            Some(session) if session.owner == *owner => {
                session.used = session.used.max(now);
                Ok(session)
            }
            _ => Err(Refusal::Unknown),
        }
    }

    /// A request or stream of the session began.
    pub fn begin(&mut self, id: &SessionId) {
        if let Some(session) = self.sessions.get_mut(id) {
            session.open = session.open.saturating_add(1);
        }
    }

    /// A request or stream of the session ended.
    pub fn end(&mut self, now: Timestamp, id: &SessionId) {
        if let Some(session) = self.sessions.get_mut(id) {
            session.open = session.open.saturating_sub(1);
            session.used = session.used.max(now);
        }
    }

    /// Ends the session `id` of `owner`.
    ///
    /// # Errors
    ///
    /// [`Refusal::Unknown`] as with [`Sessions::enter`].
    pub fn close(&mut self, now: Timestamp, id: &str, owner: &Owner) -> Result<SessionId, Refusal> {
        self.enter(now, id, owner)?;
        self.remove(id);
        Ok(SessionId::new(id))
    }

    /// Ends every session of `user`, or those the user has as a member of `team`, and names them.
    pub fn close_all(&mut self, user: &UserId, team: Option<&TeamId>) -> Vec<SessionId> {
        let theirs =
            |owner: &Owner| owner.user == *user && team.is_none_or(|team| *team == owner.team);
        let owned = self.by_owner.iter().filter(|(owner, _)| theirs(owner));
        let closed: Vec<SessionId> = owned.flat_map(|(_, ids)| ids).cloned().collect();
        for id in &closed {
            self.remove(id.as_str());
        }
        closed
    }

    /// Ends every session that was not used for [`SESSION_IDLE_MS`], and names them.
    pub fn expire(&mut self, now: Timestamp) -> Vec<SessionId> {
        let over: Vec<_> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.is_over(now))
            .map(|(id, _)| id.clone())
            .collect();
        for id in &over {
            self.remove(id.as_str());
        }
        over
    }

    /// When the next session may end for lack of use.
    pub fn next_deadline(&self) -> Option<Deadline> {
        self.sessions
            .values()
            .filter(|session| session.open == 0)
            .map(|session| session.used.after(SESSION_IDLE_MS))
            .min()
            .map(|at| Deadline::new(at, "session idle"))
    }

    /// Whether there is a session `id`, whoever owns it.
    pub fn contains(&self, id: &str) -> bool {
        self.sessions.contains_key(id)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    fn remove(&mut self, id: &str) {
        let Some(session) = self.sessions.remove(id) else { return };
        if let Some(own) = self.by_owner.get_mut(&session.owner) {
            own.remove(id);
            if own.is_empty() {
                self.by_owner.remove(&session.owner);
            }
        }
    }
}

impl Session {
    fn is_over(&self, now: Timestamp) -> bool {
        self.open == 0 && now.since(self.used) >= SESSION_IDLE_MS
    }
}

fn id_from(entropy: [u8; 16]) -> SessionId {
    SessionId::new(alloc::format!("{:032x}", u128::from_be_bytes(entropy)))
}

#[cfg(test)]
mod tests;
