//! Users' tokens towards remotes, fetched from the Backend with the pairing's key.

use std::collections::BTreeMap;
use std::sync::Arc;

use satellite_core::credentials::Credentials;
use satellite_core::id::{InstanceKey, TeamId, UserId};
use satellite_core::random::Random;
use satellite_core::remote::{AccessToken, Failure, Fault};
use satellite_core::tokens::{Effect, Event, Tokens, request, unpaired};
use tokio::sync::{mpsc, oneshot, watch};

use crate::clock::Clock;
use crate::driver::{self, Inbox, Performed, World};
use crate::mcp::BackendExchange;
use crate::remote_task::TokenSource;

/// The tokens of all users. Cheap to clone; all clones are one memory, which ends with the last.
#[derive(Clone, Debug)]
pub struct BackendTokens {
    asks: mpsc::UnboundedSender<Ask>,
}

#[derive(Debug)]
enum Ask {
    Token { key: InstanceKey, stale: Option<u64>, reply: Reply },
    Forget { user: UserId, team: Option<TeamId> },
}

type Reply = oneshot::Sender<Result<AccessToken, Failure>>;

impl BackendTokens {
    /// Asks `backend`, as the satellite that `credentials` names. To be called on a runtime.
    pub fn start(
        backend: Arc<dyn BackendExchange>,
        credentials: watch::Receiver<Option<Credentials>>,
        random: Random,
        clock: Clock,
    ) -> BackendTokens {
        let (asks, incoming) = mpsc::unbounded_channel();
        let (inbox, events) = mpsc::unbounded_channel();
        let callers: Callers = Callers::default();
        let fetching =
            Fetching { inbox: inbox.clone(), backend, credentials, callers: callers.clone() };
        let machine = tokio::spawn(driver::run(Tokens::new(random), events, clock, fetching));
        tokio::spawn(async move {
            take(incoming, &inbox, &callers).await;
            machine.abort();
        });
        BackendTokens { asks }
    }

    /// Drops a user's tokens; with a team, those they have as its member. The next request asks the
    /// Backend.
    pub fn forget(&self, user: &UserId, team: Option<&TeamId>) {
        let _ = self.asks.send(Ask::Forget { user: user.clone(), team: team.cloned() });
    }
}

impl TokenSource for BackendTokens {
    async fn token(&self, key: &InstanceKey, stale: Option<u64>) -> Result<AccessToken, Failure> {
        let (reply, outcome) = oneshot::channel();
        // One that is gone drops the reply, which is noticed below.
        let _ = self.asks.send(Ask::Token { key: key.clone(), stale, reply });
        outcome.await.unwrap_or_else(|_| {
            Err(Failure::new(Fault::Unreachable, "the satellite is ending; try again later"))
        })
    }
}

/// Who waits for what, by the number the machine knows them by.
#[derive(Clone, Debug, Default)]
struct Callers(Arc<std::sync::Mutex<BTreeMap<u64, Reply>>>);

impl Callers {
    fn table(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Reply>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Turns questions into events until nobody is left who could ask.
async fn take(mut incoming: mpsc::UnboundedReceiver<Ask>, inbox: &Inbox<Event>, callers: &Callers) {
    let mut last = 0;
    while let Some(ask) = incoming.recv().await {
        let event = match ask {
            Ask::Token { key, stale, reply } => {
                last += 1;
                callers.table().insert(last, reply);
                Event::Wanted { caller: last, key, stale }
            }
            Ask::Forget { user, team } => Event::UserForgotten { user, team },
        };
        if inbox.send(event).is_err() {
            return;
        }
    }
}

/// Performs what the machine wants.
struct Fetching {
    inbox: Inbox<Event>,
    backend: Arc<dyn BackendExchange>,
    credentials: watch::Receiver<Option<Credentials>>,
    callers: Callers,
}

impl World<Tokens> for Fetching {
    type End = ();

    fn tick(&self) -> Event {
        Event::Tick
    }

    fn name(&self, event: &Event) -> &'static str {
        match event {
            Event::Wanted { .. } => "token_wanted",
            Event::Answered { .. } => "token_answered",
            Event::UserForgotten { .. } => "token_user_forgotten",
            Event::Tick => "token_tick",
        }
    }

    async fn perform(&mut self, effect: Effect) -> Performed<Event, ()> {
        match effect {
            Effect::Fetch { request: number, wanted } => {
                let pairing = self.credentials.borrow().clone();
                let Some(credentials) = pairing else {
                    let why = unpaired().message;
                    let answer = Err(satellite_core::http::HttpFailure::Other(why));
                    return Performed::Answered(Event::Answered { request: number, answer });
                };
                let (backend, inbox) = (Arc::clone(&self.backend), self.inbox.clone());
                tokio::spawn(async move {
                    let answer = backend.exchange(request(&credentials, &wanted)).await;
                    let _ = inbox.send(Event::Answered { request: number, answer });
                });
            }
            Effect::Give { caller, outcome } => {
                let reply = self.callers.table().remove(&caller);
                // Whoever has left wants nothing.
                let _ = reply.map(|reply| reply.send(outcome));
            }
        }
        Performed::Done
    }

    fn publish(&mut self, _: &Tokens) {}
}

#[cfg(test)]
mod tests;
