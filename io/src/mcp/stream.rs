//! The answer to a call: plain JSON if it comes first, a stream of events if anything else does.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::stream::unfold;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, StatusCode};
use satellite_core::json::{self, Answer, Id};
use satellite_core::router::dispatch::Plan;
use satellite_core::router::outcome::Told;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::executor::{self, Strings};
use super::sessions::{OpenSession, Visit};
use super::{Surface, reply};

/// How long a call may be silent before its client is shown that the connection lives.
const SILENCE: Duration = Duration::from_secs(15);
/// Between two signs of life of a stream.
pub(super) const PING_INTERVAL: Duration = Duration::from_secs(30);
/// A sign of life: a comment, which clients skip.
pub(super) const PING: Bytes = Bytes::from_static(b": ping\n\n");
/// Notifications that wait for the stream; the executor waits with further ones.
const NOTES_MAX: usize = 16;

/// What a client takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Accepts {
    pub(super) json: bool,
    pub(super) events: bool,
}

type Work = Pin<Box<dyn Future<Output = Option<Vec<u8>>> + Send>>;

/// A call by its id, open in its session until dropped.
struct OpenCall {
    id: Box<RawValue>,
    visit: Visit,
}

impl OpenCall {
    fn session(&self) -> &OpenSession {
        &self.visit.session
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.session().end_call(self.id.get());
    }
}

/// Carries out `plan` for the request `id`. A client that goes away takes the call back.
pub(super) async fn answer(
    surface: Arc<Surface>,
    visit: Visit,
    id: Box<RawValue>,
    plan: Plan,
    accepts: Accepts,
) -> Response {
    let wants_notes = accepts.events && has_progress_token(&plan);
    let (notes, mut noted) = if wants_notes {
        let (sender, receiver) = mpsc::channel(NOTES_MAX);
        (Some(sender), Some(receiver))
    } else {
        (None, None)
    };
    let cancelled = visit.session.begin_call(id.get());
    let client = Arc::clone(&visit.session.client);
    let open = OpenCall { id, visit };
    let mut work: Work = Box::pin(async move {
        let told = executor::run(&surface, plan, Strings { cancelled, notes, client }).await;
        encode(&open.id, &told)
    });
    let first = tokio::select! {
        biased;
        Some(note) = next_note(&mut noted), if noted.is_some() => event(note.get().as_bytes()),
        answer = &mut work => {
            let is_noted = noted.as_ref().is_some_and(|noted| !noted.is_empty());
            return match answer {
                Some(answer) if accepts.json && !is_noted => reply::json(StatusCode::OK, answer),
                None if !is_noted => reply::empty(StatusCode::ACCEPTED),
                answer => {
                    let waiting = rest(noted.as_mut(), answer);
                    events(Stream { waiting, noted: None, work: None })
                }
            };
        }
        () = tokio::time::sleep(SILENCE), if accepts.events => PING,
    };
    events(Stream { waiting: VecDeque::from([first]), noted, work: Some(work) })
}

/// Carries out `plan` for one request of several: only its outcome is of interest.
pub(super) async fn answer_alone(
    surface: &Surface,
    session: &OpenSession,
    id: &RawValue,
    plan: Plan,
) -> Option<Vec<u8>> {
    let cancelled = session.begin_call(id.get());
    let client = Arc::clone(&session.client);
    let told = executor::run(surface, plan, Strings { cancelled, notes: None, client }).await;
    session.end_call(id.get());
    encode(id, &told)
}

fn has_progress_token(plan: &Plan) -> bool {
    // An ambiguous one is refused by the relay.
    plan.params.as_deref().is_some_and(|params| !matches!(json::progress_token(params), Ok(None)))
}

fn encode(id: &RawValue, told: &Told) -> Option<Vec<u8>> {
    let id = Id::from_token(id);
    match told {
        Told::Result(result) => Some(json::response(id, Answer::Result(result))),
        Told::Error(error) => Some(json::response(id, Answer::Error(error))),
        Told::Nothing => None,
    }
}

async fn next_note(noted: &mut Option<mpsc::Receiver<Box<RawValue>>>) -> Option<Box<RawValue>> {
    match noted {
        Some(noted) => noted.recv().await,
        None => std::future::pending().await,
    }
}

/// What is left to say at a call's end: notifications that its last step left behind, and `answer`.
fn rest(
    noted: Option<&mut mpsc::Receiver<Box<RawValue>>>,
    answer: Option<Vec<u8>>,
) -> VecDeque<Bytes> {
    let notes = noted.into_iter().flat_map(|noted| std::iter::from_fn(|| noted.try_recv().ok()));
    let notes = notes.map(|note| event(note.get().as_bytes()));
    notes.chain(answer.map(|answer| event(&answer))).collect()
}

/// A call whose answer goes into a stream.
struct Stream {
    waiting: VecDeque<Bytes>,
    noted: Option<mpsc::Receiver<Box<RawValue>>>,
    work: Option<Work>,
}

fn events(stream: Stream) -> Response {
    event_stream(Body::from_stream(unfold(stream, |mut stream| async move {
        let bytes = stream.next().await?;
        Some((Ok::<_, Infallible>(bytes), stream))
    })))
}

impl Stream {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(bytes) = self.waiting.pop_front() {
            return Some(bytes);
        }
        let work = self.work.as_mut()?;
        let answer = tokio::select! {
            biased;
            Some(note) = next_note(&mut self.noted), if self.noted.is_some() => {
                return Some(event(note.get().as_bytes()));
            }
            answer = work => answer,
            () = tokio::time::sleep(PING_INTERVAL) => return Some(PING),
        };
        self.work = None;
        self.waiting = rest(self.noted.as_mut(), answer);
        self.waiting.pop_front()
    }
}

/// One message as an event. A message has no newlines, so it is one line of data.
pub(super) fn event(message: &[u8]) -> Bytes {
    let mut bytes = Vec::with_capacity(message.len() + 24);
    bytes.extend_from_slice(b"event: message\ndata: ");
    bytes.extend_from_slice(message);
    bytes.extend_from_slice(b"\n\n");
    Bytes::from(bytes)
}

/// A response of events.
pub(super) fn event_stream(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    // Proxies that collect answers would hold events back.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}
