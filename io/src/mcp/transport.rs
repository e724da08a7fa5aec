//! Streamable HTTP for both routers: every verb is authenticated before anything else is looked at.

mod caller;
mod intake;

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::header::{HeaderMap, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};
use satellite_core::json::{self, Answer, Id, Message, Parsed};
use satellite_core::router::dispatch::{self, Form, Step};
use satellite_core::router::outcome::{CODE_UNAVAILABLE, Told, no_method, told_of_denial};
use satellite_core::router::protocol::{self, Revision};
use satellite_core::router::{Catalogue, Denial, DenialKind, denial, meta_tools, search};
use satellite_core::usage::Origin;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

pub(super) use self::caller::Caller;
use self::caller::{identify_holder, identify_user, origin};
use self::intake::{Refusal, accepts, check_headers, read_body};
use super::sessions::{OpenSession, Visit};
use super::stream::Accepts;
use super::{Surface, batch, executor, listening, reply, stream};

const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");

pub(super) async fn post_all(State(surface): State<Arc<Surface>>, request: Request) -> Response {
    match identify_user(&surface, request.headers(), request.extensions()).await {
        Ok(caller) => post(surface, caller, request).await,
        Err(refusal) => *refusal,
    }
}

pub(super) async fn post_one(
    State(surface): State<Arc<Surface>>,
    Path(path): Path<String>,
    request: Request,
) -> Response {
    reply::without_referrer(match identify_holder(&surface, &path, &request) {
        Ok(caller) => post(surface, caller, request).await,
        Err(refusal) => *refusal,
    })
}

pub(super) async fn listen_all(State(surface): State<Arc<Surface>>, request: Request) -> Response {
    match identify_user(&surface, request.headers(), request.extensions()).await {
        Ok(caller) => listen(surface, &caller, request.headers()),
        Err(refusal) => *refusal,
    }
}

pub(super) async fn listen_one(
    State(surface): State<Arc<Surface>>,
    Path(path): Path<String>,
    request: Request,
) -> Response {
    reply::without_referrer(match identify_holder(&surface, &path, &request) {
        Ok(caller) => listen(surface, &caller, request.headers()),
        Err(refusal) => *refusal,
    })
}

pub(super) async fn delete_all(State(surface): State<Arc<Surface>>, request: Request) -> Response {
    match identify_user(&surface, request.headers(), request.extensions()).await {
        Ok(caller) => delete(&surface, &caller, request.headers()),
        Err(refusal) => *refusal,
    }
}

pub(super) async fn delete_one(
    State(surface): State<Arc<Surface>>,
    Path(path): Path<String>,
    request: Request,
) -> Response {
    reply::without_referrer(match identify_holder(&surface, &path, &request) {
        Ok(caller) => delete(&surface, &caller, request.headers()),
        Err(refusal) => *refusal,
    })
}

/// A session's own stream of notifications.
fn listen(surface: Arc<Surface>, caller: &Caller, headers: &HeaderMap) -> Response {
    if !accepts(headers).events {
        return reply::error(
            StatusCode::NOT_ACCEPTABLE,
            None,
            CODE_UNAVAILABLE,
            "The Accept header must allow text/event-stream.",
        );
    }
    let visit = match visit(&surface, caller, headers) {
        Ok(visit) => visit,
        Err(refusal) => return *refusal,
    };
    match caller {
        Caller::User(subject) => listening::listen(surface, visit, subject.expires, None),
        Caller::Holder(key) => {
            let instance = surface.view().instances.get(key).map(Arc::clone);
            listening::listen(surface, visit, None, instance.as_deref())
        }
    }
}

fn delete(surface: &Surface, caller: &Caller, headers: &HeaderMap) -> Response {
    let Some(id) = session_id(headers) else { return session_missing() };
    match surface.sessions.close(surface.clock.now(), id, &caller.owner()) {
        Ok(()) => reply::empty(StatusCode::OK),
        Err(_) => reply::no_session(),
    }
}

fn session_id(headers: &HeaderMap) -> Option<&str> {
    headers.get(SESSION_ID)?.to_str().ok()
}

fn session_missing() -> Response {
    reply::error(
        StatusCode::BAD_REQUEST,
        None,
        CODE_UNAVAILABLE,
        "The Mcp-Session-Id header is missing. Send initialize first, then the id it answered with.",
    )
}

fn visit(surface: &Surface, caller: &Caller, headers: &HeaderMap) -> Result<Visit, Refusal> {
    let Some(id) = session_id(headers) else { return Err(Box::new(session_missing())) };
    surface
        .sessions
        .enter(surface.clock, id, &caller.owner())
        .map_err(|_| Box::new(reply::no_session()))
}

/// A message, or several, from a client.
async fn post(surface: Arc<Surface>, caller: Caller, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let headers = head.headers;
    let accepts = match check_headers(&headers) {
        Ok(accepts) => accepts,
        Err(refusal) => return *refusal,
    };
    if surface.view.borrow().draining {
        let text = "The satellite is shutting down. Try again when it is back.";
        let mut response =
            reply::error(StatusCode::SERVICE_UNAVAILABLE, None, CODE_UNAVAILABLE, text);
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("10"));
        return response;
    }
    let body = match read_body(&headers, body).await {
        Ok(body) => body,
        Err(refusal) => return *refusal,
    };
    match json::parse(&body) {
        Err(invalid) => reply::error(
            StatusCode::BAD_REQUEST,
            invalid.id,
            invalid.fault.code(),
            &format!("Invalid message: {invalid}"),
        ),
        Ok(Parsed::Single(Message::Request { id, method, params })) if method == "initialize" => {
            let origin = origin(&headers, &head.extensions);
            initialize(&surface, &caller, id, params, origin).await
        }
        Ok(parsed) => match visit(&surface, &caller, &headers) {
            Err(refusal) => *refusal,
            Ok(visit) => match parsed {
                Parsed::Single(Message::Request { id, method, params }) => {
                    request_in(surface, visit, &caller, id, &method, params, accepts).await
                }
                Parsed::Single(message) => {
                    note(&visit.session, &message);
                    reply::empty(StatusCode::ACCEPTED)
                }
                Parsed::Batch(members) => batch::answer(&surface, &visit, &caller, &members).await,
            },
        },
    }
}

/// Takes a message that wants no answer.
pub(super) fn note(session: &OpenSession, message: &Message<'_>) {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Cancelled<'a> {
        #[serde(borrow)]
        request_id: &'a RawValue,
        #[serde(default)]
        reason: Option<String>,
    }
    // Other notifications concern the client's own state; answers answer nothing we asked.
    if let Message::Notification { method, params: Some(params) } = message
        && method == "notifications/cancelled"
        && let Ok(cancelled) = serde_json::from_str::<Cancelled<'_>>(params.get())
    {
        session.cancel(cancelled.request_id.get(), cancelled.reason);
    }
}

async fn initialize(
    surface: &Arc<Surface>,
    caller: &Caller,
    id: Id<'_>,
    params: Option<&RawValue>,
    origin: Origin,
) -> Response {
    let revision = match protocol::requested_revision(params) {
        Ok(revision) => revision,
        Err(text) => {
            let code = json::CODE_INVALID_PARAMS;
            return reply::error(StatusCode::BAD_REQUEST, Some(id), code, &text);
        }
    };
    let result = match introduction(surface, caller, revision).await {
        Ok(result) => result,
        Err(denial) => return answered(id, &told_of_denial(&denial, Form::Plain)),
    };
    let origin = Origin { name: protocol::client_name(params), ..origin }.bounded();
    let now = surface.clock.now();
    let opened = surface
        .sessions
        .open(now, caller.owner(), revision, |session| caller.client(session, origin, now));
    let header = opened.as_ref().ok().and_then(|id| HeaderValue::from_str(id.as_str()).ok());
    let Some(header) = header else {
        return reply::error(
            StatusCode::TOO_MANY_REQUESTS,
            Some(id),
            CODE_UNAVAILABLE,
            "Too many sessions are in use. End some with DELETE, or wait for them to end.",
        );
    };
    let mut response =
        reply::json(StatusCode::OK, json::response(Some(id), Answer::Result(&result)));
    response.headers_mut().insert(SESSION_ID, header);
    response
}

/// The result of `initialize`. A server that was never asked what it is has to be started first.
async fn introduction(
    surface: &Surface,
    caller: &Caller,
    revision: Revision,
) -> Result<Box<RawValue>, Denial> {
    let Caller::Holder(key) = caller else { return Ok(protocol::router_initialize(revision)) };
    let known = surface.view().instances.get(key).map(Arc::clone);
    let instance = match known {
        Some(instance) if instance.inventory.initialize.is_some() => instance,
        _ => executor::ready(surface, key, None).await?.instance,
    };
    Ok(protocol::instance_initialize(&instance, revision))
}

/// A request in a session.
async fn request_in(
    surface: Arc<Surface>,
    visit: Visit,
    caller: &Caller,
    id: Id<'_>,
    method: &str,
    params: Option<&RawValue>,
    accepts: Accepts,
) -> Response {
    match step(&surface, caller, method, params).await {
        Ok(Next::Call(plan)) => {
            let Ok(owned) = RawValue::from_string(id.token().to_owned()) else {
                return reply::empty(StatusCode::BAD_REQUEST);
            };
            stream::answer(surface, visit, owned, plan, accepts).await
        }
        Ok(Next::Told(told)) => {
            surface.usage.requested(&visit.session.client);
            answered(id, &told)
        }
        Err(denial) => {
            surface.usage.requested(&visit.session.client);
            surface.usage.refused(&denial, visit.session.client.ip_address.clone());
            reply::denied(&denial, Some(id), &surface.metadata_uri)
        }
    }
}

/// What a request comes to, once everything that can be decided here is.
pub(super) enum Next {
    Call(dispatch::Plan),
    Told(Told),
}

/// Decides a request. Only a [`Denial`] with an HTTP status of its own is an error.
pub(super) async fn step(
    surface: &Surface,
    caller: &Caller,
    method: &str,
    params: Option<&RawValue>,
) -> Result<Next, Denial> {
    let form = if method == "tools/call" { Form::Tool } else { Form::Plain };
    let mut decided = decide(surface, caller, method, params);
    if let Ok(Step::Start(key)) = &decided {
        decided = match executor::ready(surface, key, None).await {
            Ok(ready) => {
                dispatch::one_instance(&ready.instance, surface.clock.now(), method, params)
            }
            Err(denial) => Err(denial),
        };
    }
    Ok(Next::Told(match decided {
        Ok(Step::Call(plan)) => return Ok(Next::Call(plan)),
        Ok(Step::Answer(result)) => Told::Result(result),
        Ok(Step::Search { query, limit }) => find(surface, caller, &query, limit),
        Ok(Step::NoMethod) => Told::Error(no_method(method)),
        Ok(Step::Start(_)) => {
            let denial =
                Denial::new(DenialKind::InstanceUnready, "The server has not listed what it has.");
            told_of_denial(&denial, form)
        }
        Err(denial) => match denial.kind.presentation() {
            denial::Presentation::Http { .. } => return Err(denial),
            _ => told_of_denial(&denial, form),
        },
    }))
}

fn decide(
    surface: &Surface,
    caller: &Caller,
    method: &str,
    params: Option<&RawValue>,
) -> Result<Step, Denial> {
    let view = surface.view.borrow();
    match caller {
        Caller::User(subject) => {
            dispatch::all_instances(&view, subject, surface.clock.now(), method, params)
        }
        Caller::Holder(key) => match view.instances.get(key) {
            Some(instance) => dispatch::one_instance(instance, surface.clock.now(), method, params),
            None => Err(Denial::new(DenialKind::InstanceUnready, "The server was removed.")),
        },
    }
}

fn find(surface: &Surface, caller: &Caller, query: &str, limit: usize) -> Told {
    let Caller::User(subject) = caller else { return Told::Nothing };
    let view = surface.view();
    let catalogue = Catalogue::of(&view, subject, surface.clock.now());
    let started = Instant::now();
    let found = search::search(&catalogue, query, limit);
    let took = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    Told::Result(meta_tools::discovered(&found, query, took))
}

fn answered(id: Id<'_>, told: &Told) -> Response {
    let answer = match told {
        Told::Result(result) => Answer::Result(result),
        Told::Error(error) => Answer::Error(error),
        Told::Nothing => return reply::empty(StatusCode::ACCEPTED),
    };
    reply::json(StatusCode::OK, json::response(Some(id), answer))
}
