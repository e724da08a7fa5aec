//! The task of one remote: it owns the peer, and a task for each of its exchanges.
//!
//! Bodies arrive piece by piece through one bounded queue: a server that sends faster than the peer
//! takes waits in its own connection. All sources are polled in turn on every wake, so neither a
//! flooding server nor busy clients can starve the other. Dropping the task drops every exchange.

mod exchange;

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use satellite_core::Machine;
use satellite_core::id::InstanceKey;
use satellite_core::relay::{CallId, Report};
use satellite_core::remote::{self, AccessToken, Effect, Event, ExchangeId, Peer};
use satellite_core::time::Timestamp;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Sleep, sleep, timeout};

use self::exchange::Piece;
use crate::clock::Clock;
use crate::http_client::HttpClient;
use crate::relays::{Caller, RelayInbox, RelayInput};

/// Inputs taken at once.
const INPUT_BATCH: usize = 256;
/// Pieces of answers that may wait for the peer, of all exchanges together, and are taken at once.
const PIECES_MAX: usize = 64;
/// How long the server may take to hear that the session is over.
const GOODBYE: Duration = Duration::from_secs(2);

/// Where the access tokens of users come from.
pub trait TokenSource: Clone + Send + Sync + 'static {
    /// The token of the instance's user. `stale` names one that the server refused: not that again.
    ///
    /// # Errors
    ///
    /// Why there is none, and what to do about it.
    fn token(
        &self,
        key: &InstanceKey,
        stale: Option<u64>,
    ) -> impl Future<Output = Result<AccessToken, remote::Failure>> + Send;
}

/// Runs a peer until it is told to close, or until nobody holds a handle of its inbox. `report`
/// passes on what the control machine needs to know; [`Report::Closed`] is the last.
pub async fn run<C: HttpClient, T: TokenSource>(
    peer: Peer,
    client: C,
    tokens: T,
    key: InstanceKey,
    inbox: RelayInbox,
    report: impl Fn(Report) + Send,
    clock: Clock,
) {
    let (sender, pieces) = mpsc::channel(PIECES_MAX);
    let mut task = Task {
        peer,
        client,
        tokens,
        key,
        inbox,
        callers: BTreeMap::new(),
        exchanges: JoinSet::new(),
        running: BTreeMap::new(),
        sender,
        pieces,
        fetch: None,
        report,
        clock,
        is_closed: false,
        effects: Vec::new(),
        taken_inputs: Vec::with_capacity(INPUT_BATCH),
        taken_pieces: Vec::with_capacity(PIECES_MAX),
    };
    let mut alarm = pin!(sleep(Duration::ZERO));
    let mut armed = None;
    task.event(Event::Opened);
    while !task.is_closed {
        task.arm(alarm.as_mut(), &mut armed);
        let woken = poll_fn(|context| {
            let mut woken = task.poll(context);
            if armed.is_some() && alarm.as_mut().poll(context).is_ready() {
                armed = None;
                woken.is_any = true;
            }
            if woken.is_any { Poll::Ready(woken) } else { Poll::Pending }
        })
        .await;
        task.take(woken);
        if task.peer.next_deadline().is_some_and(|deadline| deadline.at <= task.clock.now()) {
            task.event(Event::Tick);
        }
    }
    task.refuse_the_rest();
    // What is under way is the goodbye; everything else has been given up.
    let _ = timeout(GOODBYE, async { while task.exchanges.join_next().await.is_some() {} }).await;
}

/// What a poll found, beside inputs and pieces.
struct Woken {
    is_any: bool,
    token: Option<Result<AccessToken, remote::Failure>>,
    /// Nobody can reach the task any more.
    is_left: bool,
}

type Fetch = Pin<Box<dyn Future<Output = Result<AccessToken, remote::Failure>> + Send>>;

struct Task<C, T, R> {
    peer: Peer,
    client: C,
    tokens: T,
    key: InstanceKey,
    inbox: RelayInbox,
    callers: BTreeMap<CallId, Caller>,
    exchanges: JoinSet<()>,
    running: BTreeMap<ExchangeId, AbortHandle>,
    sender: mpsc::Sender<(ExchangeId, Piece)>,
    pieces: mpsc::Receiver<(ExchangeId, Piece)>,
    fetch: Option<Fetch>,
    report: R,
    clock: Clock,
    is_closed: bool,
    effects: Vec<Effect>,
    taken_inputs: Vec<RelayInput>,
    taken_pieces: Vec<(ExchangeId, Piece)>,
}

impl<C: HttpClient, T: TokenSource, R: Fn(Report)> Task<C, T, R> {
    /// Sets the alarm to the peer's deadline. One that rings too early costs nothing.
    fn arm(&self, alarm: Pin<&mut Sleep>, armed: &mut Option<Timestamp>) {
        let Some(deadline) = self.peer.next_deadline() else { return };
        if armed.is_none_or(|armed| deadline.at < armed) {
            *armed = Some(deadline.at);
            // A deadline that stays due is asked again, but not without a pause.
            let soonest = tokio::time::Instant::now() + Duration::from_millis(1);
            alarm.reset(self.clock.instant(deadline.at).max(soonest));
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Woken {
        let pieces = self.pieces.poll_recv_many(context, &mut self.taken_pieces, PIECES_MAX);
        let inputs = self.inbox.inputs.poll_recv_many(context, &mut self.taken_inputs, INPUT_BATCH);
        let token = match self.fetch.as_mut().map(|fetch| fetch.as_mut().poll(context)) {
            Some(Poll::Ready(token)) => Some(token),
            Some(Poll::Pending) | None => None,
        };
        // Exchanges that have ended are only to be forgotten.
        while let Poll::Ready(Some(_)) = self.exchanges.poll_join_next(context) {}
        let is_any = pieces.is_ready() || inputs.is_ready() || token.is_some();
        Woken { is_any, token, is_left: matches!(inputs, Poll::Ready(0)) }
    }

    fn take(&mut self, woken: Woken) {
        if let Some(token) = woken.token {
            self.fetch = None;
            self.event(Event::Token(token));
        }
        let mut pieces = std::mem::take(&mut self.taken_pieces);
        for (exchange, piece) in pieces.drain(..) {
            self.take_piece(exchange, piece);
        }
        self.taken_pieces = pieces;
        let mut inputs = std::mem::take(&mut self.taken_inputs);
        let calls = inputs.iter().filter(|input| matches!(input, RelayInput::Call(..))).count();
        self.inbox.took(calls);
        for input in inputs.drain(..) {
            self.take_input(input);
        }
        self.taken_inputs = inputs;
        if woken.is_left {
            self.close();
        }
    }

    fn take_piece(&mut self, exchange: ExchangeId, piece: Piece) {
        // Pieces of what was given up may still be in the queue.
        if !self.running.contains_key(&exchange) {
            return;
        }
        let event = match piece {
            Piece::Head(head) => Event::Head { exchange, head },
            Piece::Chunk(bytes) => Event::Chunk { exchange, bytes: Vec::from(bytes) },
            Piece::Ended => Event::Ended { exchange },
            Piece::Failed(failure) => Event::Failed { exchange, failure },
        };
        if matches!(event, Event::Ended { .. } | Event::Failed { .. }) {
            self.running.remove(&exchange);
        }
        self.event(event);
    }

    fn take_input(&mut self, input: RelayInput) {
        match input {
            RelayInput::Call(call, caller) => {
                self.callers.insert(call.id, caller);
                self.event(Event::Called(call));
            }
            RelayInput::Cancel(call, reason) => self.event(Event::Cancelled { call, reason }),
            RelayInput::Relist => self.event(Event::Relist),
            RelayInput::Probe => self.event(Event::Probed),
            RelayInput::Reconnect => self.event(Event::Reconnect),
            RelayInput::DropToken => self.event(Event::TokenDropped),
            RelayInput::CloseInput => self.close(),
        }
    }

    fn close(&mut self) {
        if !self.is_closed {
            self.is_closed = true;
            self.event(Event::Close);
        }
    }

    fn event(&mut self, event: Event) {
        let mut effects = std::mem::take(&mut self.effects);
        self.peer.handle(self.clock.now(), event, &mut effects);
        for effect in effects.drain(..) {
            self.perform(effect);
        }
        self.effects = effects;
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Exchange { exchange, request } => {
                let sender = self.sender.clone();
                let carried = exchange::carry(self.client.clone(), exchange, request, sender);
                self.running.insert(exchange, self.exchanges.spawn(carried));
            }
            Effect::Abort { exchange } => {
                if let Some(running) = self.running.remove(&exchange) {
                    running.abort();
                }
            }
            Effect::FetchToken { stale } => {
                let (tokens, key) = (self.tokens.clone(), self.key.clone());
                self.fetch = Some(Box::pin(async move { tokens.token(&key, stale).await }));
            }
            Effect::Answer { call, outcome } => {
                if let Some(caller) = self.callers.remove(&call) {
                    // A client that is gone is no error.
                    let _ = caller.done.send(outcome);
                }
            }
            Effect::NotifyCall { call, message } => match self.callers.get(&call) {
                // Progress and logs are advice: a client too slow for them misses some.
                Some(Caller { notifications: Some(sender), .. }) => {
                    let _ = sender.try_send(message);
                }
                // The call has no stream of its own; its user's sessions may have one.
                Some(Caller { notifications: None, .. }) => self.inbox.notify_all(message),
                None => {}
            },
            Effect::NotifyAll { message } => self.inbox.notify_all(message),
            Effect::Report(report) => (self.report)(report),
        }
    }

    /// Ends the calls that came at the last moment.
    fn refuse_the_rest(&mut self) {
        self.inbox.inputs.close();
        while let Ok(input) = self.inbox.inputs.try_recv() {
            self.take_input(input);
        }
    }
}

#[cfg(test)]
mod tests;
