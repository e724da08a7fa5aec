//! What clients do, on its way to the control machine. A call leaves one small message and waits for
//! nothing; a task makes excerpts and sends them on, as fast as the control machine takes them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use satellite_core::allowance::Allowance;
use satellite_core::control::Event;
use satellite_core::limits::{
    REQUEST_DETAILS_BURST, REQUEST_DETAILS_PER_SECOND, REQUEST_EXCERPT_MAX_BYTES, USAGE_REPORTS_MAX,
};
use satellite_core::redaction::Redaction;
use satellite_core::relay::CallOutcome;
use satellite_core::router::Denial;
use satellite_core::router::dispatch::Plan;
use satellite_core::router::outcome::Outcome;
use satellite_core::time::Timestamp;
use satellite_core::usage::{Batch, Client, Detail, EndedCall, RefusedCredential, Report};
use satellite_core::view::InstanceView;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::Surface;
use crate::clock::Clock;
use crate::driver::Inbox;

/// Reports sent on together.
const BATCH: usize = 256;

/// Where reports are put.
#[derive(Debug)]
pub(super) struct Usage {
    reports: mpsc::Sender<Seen>,
    lost: Arc<AtomicU64>,
    details: Mutex<Allowance>,
    clock: Clock,
}

/// A report, as it was made.
#[derive(Debug)]
enum Seen {
    Whole(Report),
    /// A call whose texts are still as they were sent.
    Raw(EndedCall, Texts),
}

/// The beginnings of what was sent and answered.
#[derive(Debug)]
struct Texts {
    params: Option<Piece>,
    response: Option<Piece>,
    redaction: Arc<Redaction>,
}

#[derive(Debug)]
struct Piece {
    text: Box<str>,
    is_whole: bool,
}

impl Usage {
    /// Starts the task that sends reports on.
    pub(super) fn start(control: Inbox<Event>, clock: Clock) -> Usage {
        let (reports, seen) = mpsc::channel(USAGE_REPORTS_MAX);
        let lost = Arc::<AtomicU64>::default();
        tokio::spawn(send_on(seen, Arc::clone(&lost), control));
        let details = Allowance::new(REQUEST_DETAILS_PER_SECOND, REQUEST_DETAILS_BURST);
        Usage { reports, lost, details: Mutex::new(details), clock }
    }

    pub(super) fn tell(&self, report: Report) {
        self.put(Seen::Whole(report));
    }

    /// A request that was no call of a tool.
    pub(super) fn requested(&self, client: &Arc<Client>) {
        self.tell(Report::Requested { client: Arc::clone(client), at: self.clock.now() });
    }

    /// Somebody was refused for the credential they showed.
    pub(super) fn refused(&self, denial: &Denial, ip_address: Option<String>) {
        let Some(reason) = denial.kind.of_credential() else { return };
        let at = self.clock.now();
        self.tell(Report::Refused(RefusedCredential {
            team: None,
            client: None,
            reason,
            ip_address,
            at,
        }));
    }

    fn put(&self, seen: Seen) {
        if self.reports.try_send(seen).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn may_detail(&self, now: Timestamp) -> bool {
        self.details.lock().unwrap_or_else(PoisonError::into_inner).take(now)
    }
}

async fn send_on(mut seen: mpsc::Receiver<Seen>, lost: Arc<AtomicU64>, control: Inbox<Event>) {
    let mut batch = Vec::with_capacity(BATCH);
    while seen.recv_many(&mut batch, BATCH).await > 0 {
        let (receipt, taken) = oneshot::channel::<()>();
        let reports = batch.drain(..).map(Seen::report).collect();
        let reports = Arc::new(Batch::with_receipt(reports, receipt));
        let lost = lost.swap(0, Ordering::Relaxed);
        // The inbox is gone when the daemon is.
        if control.send(Event::Used { reports, lost }).is_err() {
            return;
        }
        // What comes meanwhile waits here, where its number is bounded.
        // Nothing is sent: the receipt is dropped with the reports.
        let _ = taken.await;
    }
}

impl Seen {
    fn report(self) -> Report {
        match self {
            Seen::Whole(report) => report,
            Seen::Raw(call, texts) => {
                Report::Called(EndedCall { detail: Some(texts.detail()), ..call })
            }
        }
    }
}

impl Texts {
    fn detail(self) -> Detail {
        let Texts { params, response, redaction } = self;
        let shown = |piece: Piece| {
            redaction.excerpt(&piece.text, piece.is_whole, REQUEST_EXCERPT_MAX_BYTES)
        };
        let mut params = params.map_or(Value::Null, shown);
        // What stands beside the arguments is the tool's name and the protocol's own.
        let arguments = params.get_mut("arguments").map(Value::take);
        Detail { params: arguments.unwrap_or_default(), response: response.map(shown) }
    }
}

impl Piece {
    /// The beginning of `text`: what an excerpt may need of it, and no more is copied.
    fn of(text: &str, redaction: &Redaction) -> Piece {
        let reach = 2 * REQUEST_EXCERPT_MAX_BYTES + redaction.longest();
        let end = text.floor_char_boundary(reach);
        Piece { text: Box::from(&text[..end]), is_whole: end == text.len() }
    }
}

/// A call of an instance, told when it ends; one that is dropped before was taken back.
pub(super) struct Meter<'a> {
    surface: &'a Surface,
    plan: &'a Plan,
    client: Arc<Client>,
    began: Timestamp,
    is_told: bool,
}

impl<'a> Meter<'a> {
    pub(super) fn begin(surface: &'a Surface, plan: &'a Plan, client: Arc<Client>) -> Meter<'a> {
        Meter { surface, plan, client, began: surface.clock.now(), is_told: false }
    }

    /// The call had this outcome at `instance`.
    pub(super) fn ended(mut self, outcome: &CallOutcome, instance: &InstanceView) {
        let (ending, error) = Outcome::of(outcome);
        let answer = match outcome {
            CallOutcome::Result(text) | CallOutcome::Error(text) => Some(text.get()),
            _ => None,
        };
        self.tell(ending, error, answer, Some(instance));
    }

    /// The call never reached its instance.
    pub(super) fn denied(mut self, denial: &Denial) {
        self.tell(Outcome::RejectedBeforeSend, Some(denial.text.clone()), None, None);
    }

    fn tell(
        &mut self,
        outcome: Outcome,
        error: Option<String>,
        answer: Option<&str>,
        instance: Option<&InstanceView>,
    ) {
        self.is_told = true;
        let usage = &self.surface.usage;
        let Some(tool) = &self.plan.tool else { return usage.requested(&self.client) };
        let now = usage.clock.now();
        let found = match instance {
            Some(_) => None,
            None => self.surface.view.borrow().instances.get(&self.plan.key).map(Arc::clone),
        };
        let instance = instance.or(found.as_deref());
        let is_logged = instance.is_some_and(|instance| instance.request_logging);
        let call = EndedCall {
            client: Arc::clone(&self.client),
            key: self.plan.key.clone(),
            tool: Redaction::default().brief(tool, 256),
            began: self.began,
            duration_ms: now.since(self.began),
            outcome,
            error: error.map(|error| Redaction::default().brief(&error, 512)),
            is_logged,
            detail: None,
        };
        let redaction = instance.filter(|_| is_logged && usage.may_detail(now));
        let Some(redaction) = redaction.map(|instance| Arc::clone(&instance.redaction)) else {
            return usage.tell(Report::Called(call));
        };
        let params = self.plan.params.as_deref().map(|params| Piece::of(params.get(), &redaction));
        let response = answer.map(|answer| Piece::of(answer, &redaction));
        usage.put(Seen::Raw(call, Texts { params, response, redaction }));
    }
}

impl Drop for Meter<'_> {
    fn drop(&mut self) {
        if !self.is_told {
            let (outcome, error) = Outcome::of(&CallOutcome::Cancelled);
            self.tell(outcome, error, None, None);
        }
    }
}
