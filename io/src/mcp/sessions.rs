//! Sessions at work: what is open in each, and how it is ended.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use satellite_core::Refusal;
use satellite_core::id::SessionId;
use satellite_core::router::protocol::Revision;
use satellite_core::session::{Owner, Sessions};
use satellite_core::time::{MINUTE, Timestamp};
use tokio::sync::{oneshot, watch};

use crate::clock::Clock;

/// All sessions.
#[derive(Debug, Default)]
pub(super) struct SessionTable {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    sessions: Sessions,
    open: BTreeMap<SessionId, Arc<OpenSession>>,
    swept: Timestamp,
}

/// What is open in a session.
#[derive(Debug)]
pub(super) struct OpenSession {
    pub(super) id: SessionId,
    pub(super) revision: Revision,
    calls: Mutex<BTreeMap<Box<str>, oneshot::Sender<Option<String>>>>,
    listener: watch::Sender<Listener>,
}

/// Which listening stream is the session's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listener {
    /// The one that came as number this; earlier ones end.
    Current(u64),
    /// None: the session is over.
    Closed,
}

impl SessionTable {
    /// Opens a session.
    pub(super) fn open(
        &self,
        now: Timestamp,
        owner: Owner,
        revision: Revision,
    ) -> Result<SessionId, Refusal> {
        let mut entropy = [0; 16];
        // Without randomness an id could be guessed.
        getrandom::fill(&mut entropy).map_err(|_| Refusal::IllegalTransition)?;
        let mut table = self.lock();
        if now.since(table.swept) >= MINUTE {
            table.swept = now;
            for id in table.sessions.expire(now) {
                table.forget(&id);
            }
        }
        let opened = table.sessions.open(now, owner, revision, entropy)?;
        if let Some(replaced) = &opened.replaced {
            table.forget(replaced);
        }
        let open = OpenSession {
            id: opened.id.clone(),
            revision,
            calls: Mutex::default(),
            listener: watch::Sender::new(Listener::Current(0)),
        };
        table.open.insert(opened.id.clone(), Arc::new(open));
        Ok(opened.id)
    }

    /// Enters the session `id` of `owner`, which stays in use until the visit is dropped.
    pub(super) fn enter(
        self: &Arc<Self>,
        clock: Clock,
        id: &str,
        owner: &Owner,
    ) -> Result<Visit, Refusal> {
        let mut table = self.lock();
        if let Err(refusal) = table.sessions.enter(clock.now(), id, owner) {
            table.drop_stale(id);
            return Err(refusal);
        }
        let session = Arc::clone(table.open.get(id).ok_or(Refusal::Unknown)?);
        table.sessions.begin(&session.id);
        Ok(Visit { table: Arc::clone(self), clock, session })
    }

    /// Ends the session `id` of `owner`, and everything open in it.
    pub(super) fn close(&self, now: Timestamp, id: &str, owner: &Owner) -> Result<(), Refusal> {
        let mut table = self.lock();
        let closed = table.sessions.close(now, id, owner)?;
        table.forget(&closed);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn forget(&mut self, id: &SessionId) {
        if let Some(session) = self.open.remove(id) {
            session.end();
        }
    }

    /// A session that was found to have ended when somebody asked for it.
    fn drop_stale(&mut self, id: &str) {
        if let Some(session) = self.open.get(id)
            && !self.sessions.contains(id)
        {
            session.end();
            self.open.remove(id);
        }
    }
}

impl OpenSession {
    /// Notes a call, by the token of its id; what it returns resolves when it is to be cancelled.
    pub(super) fn begin_call(&self, id: &str) -> oneshot::Receiver<Option<String>> {
        let (cancel, cancelled) = oneshot::channel();
        self.calls().insert(Box::from(id), cancel);
        cancelled
    }

    /// Forgets a call that has ended.
    pub(super) fn end_call(&self, id: &str) {
        self.calls().remove(id);
    }

    /// Cancels a call, if it is still open.
    pub(super) fn cancel(&self, id: &str, reason: Option<String>) {
        if let Some(cancel) = self.calls().remove(id) {
            // It may have ended this moment.
            let _ = cancel.send(reason);
        }
    }

    /// A stream that listens: earlier ones end.
    pub(super) fn listen(&self) -> (u64, watch::Receiver<Listener>) {
        let mut number = 0;
        self.listener.send_modify(|listener| {
            if let Listener::Current(current) = listener {
                *current += 1;
                number = *current;
            }
        });
        (number, self.listener.subscribe())
    }

    fn end(&self) {
        self.listener.send_replace(Listener::Closed);
        for (_, cancel) in std::mem::take(&mut *self.calls()) {
            let _ = cancel.send(Some(String::from("the session was ended")));
        }
    }

    fn calls(&self) -> MutexGuard<'_, BTreeMap<Box<str>, oneshot::Sender<Option<String>>>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session in use by a request or a stream.
#[derive(Debug)]
pub(super) struct Visit {
    table: Arc<SessionTable>,
    clock: Clock,
    pub(super) session: Arc<OpenSession>,
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.table.lock().sessions.end(self.clock.now(), &self.session.id);
    }
}
