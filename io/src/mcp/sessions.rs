//! Sessions at work: what is open in each, and how it is ended.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use satellite_core::Refusal;
use satellite_core::id::{SessionId, TeamId, UserId};
use satellite_core::router::protocol::Revision;
use satellite_core::session::{Owner, Sessions};
use satellite_core::time::{MINUTE, Timestamp};
use satellite_core::usage::{Client, Report};
use satellite_core::view::View;
use satellite_core::wire::event::DisconnectReason;
use tokio::sync::{oneshot, watch};

use super::usage::Usage;
use crate::clock::Clock;
use crate::entropy::Entropy;

/// All sessions.
#[derive(Debug)]
pub(super) struct SessionTable {
    table: Mutex<Table>,
    usage: Arc<Usage>,
    entropy: Arc<dyn Entropy>,
}

/// How often sessions are ended that nobody uses any more.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// Ends sessions that nobody uses, and tells that all are over when the satellite is about to end:
/// from then on it takes no request.
pub(super) async fn attend(
    sessions: Weak<SessionTable>,
    mut view: watch::Receiver<Arc<View>>,
    clock: Clock,
) {
    let mut sweep = tokio::time::interval(SWEEP_INTERVAL);
    sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let is_draining = tokio::select! {
            biased;
            _ = sweep.tick() => false,
            drained = view.wait_for(|view| view.draining) => drained.is_ok(),
        };
        let Some(sessions) = sessions.upgrade() else { return };
        if is_draining {
            return sessions.tell_all_over(clock.now());
        }
        sessions.expire(clock.now());
    }
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
    pub(super) client: Arc<Client>,
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
    pub(super) fn new(usage: Arc<Usage>, entropy: Arc<dyn Entropy>) -> Self {
        SessionTable { table: Mutex::default(), usage, entropy }
    }

    /// Opens a session; `client` says whose it is, by its id.
    pub(super) fn open(
        &self,
        now: Timestamp,
        owner: Owner,
        revision: Revision,
        client: impl FnOnce(SessionId) -> Client,
    ) -> Result<SessionId, Refusal> {
        let mut entropy = [0; 16];
        self.entropy.fill(&mut entropy);
        self.expire(now);
        let mut table = self.lock();
        let opened = table.sessions.open(now, owner, revision, entropy)?;
        let replaced = opened.replaced.as_ref().and_then(|replaced| table.forget(replaced));
        let client = Arc::new(client(opened.id.clone()));
        let open = OpenSession {
            id: opened.id.clone(),
            revision,
            client: Arc::clone(&client),
            calls: Mutex::default(),
            listener: watch::Sender::new(Listener::Current(0)),
        };
        table.open.insert(opened.id.clone(), Arc::new(open));
        drop(table);
        self.tell_over(now, replaced.as_deref(), DisconnectReason::Timeout);
        self.usage.tell(Report::Connected { client });
        Ok(opened.id)
    }

    /// Enters the session `id` of `owner`, which stays in use until the visit is dropped.
    pub(super) fn enter(
        self: &Arc<Self>,
        clock: Clock,
        id: &str,
        owner: &Owner,
    ) -> Result<Visit, Refusal> {
        let now = clock.now();
        let mut table = self.lock();
        if let Err(refusal) = table.sessions.enter(now, id, owner) {
            let stale = table.drop_stale(id);
            drop(table);
            self.tell_over(now, stale.as_deref(), DisconnectReason::Timeout);
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
        let closed = table.forget(&closed);
        drop(table);
        self.tell_over(now, closed.as_deref(), DisconnectReason::ClientClose);
        Ok(())
    }

    /// Ends the sessions that were not used for long, looking no more than once a minute.
    fn expire(&self, now: Timestamp) {
        let mut table = self.lock();
        if now.since(table.swept) < MINUTE {
            return;
        }
        table.swept = now;
        let over = table.sessions.expire(now);
        let over: Vec<_> = over.iter().filter_map(|id| table.forget(id)).collect();
        drop(table);
        for session in over {
            self.tell_over(now, Some(&session), DisconnectReason::Timeout);
        }
    }

    fn tell_over(&self, at: Timestamp, session: Option<&OpenSession>, reason: DisconnectReason) {
        if let Some(session) = session {
            let client = Arc::clone(&session.client);
            self.usage.tell(Report::Disconnected { client, reason, at });
        }
    }

    fn tell_all_over(&self, now: Timestamp) {
        let open: Vec<_> = self.lock().open.values().map(Arc::clone).collect();
        for session in open {
            self.tell_over(now, Some(&session), DisconnectReason::Error);
        }
    }

    /// Ends every session of a user, or those the user has as a member of one team; says how many.
    pub(super) fn close_all(&self, now: Timestamp, user: &UserId, team: Option<&TeamId>) -> u64 {
        let mut table = self.lock();
        let closed = table.sessions.close_all(user, team);
        let over: Vec<_> = closed.iter().filter_map(|id| table.forget(id)).collect();
        drop(table);
        for session in &over {
            self.tell_over(now, Some(session), DisconnectReason::Error);
        }
        closed.len() as u64
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn forget(&mut self, id: &SessionId) -> Option<Arc<OpenSession>> {
        let session = self.open.remove(id)?;
        session.end();
        Some(session)
    }

    /// A session that was found to have ended when somebody asked for it.
    fn drop_stale(&mut self, id: &str) -> Option<Arc<OpenSession>> {
        if self.sessions.contains(id) {
            return None;
        }
        let session = self.open.remove(id)?;
        session.end();
        Some(session)
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
