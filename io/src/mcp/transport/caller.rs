//! Who calls: the token of a request, and whom it stands for.

use std::sync::Arc;

use axum::extract::Request;
use http::Extensions;
use http::header::{AUTHORIZATION, HeaderMap, USER_AGENT};
use satellite_core::backend::admission;
use satellite_core::id::{InstanceKey, SessionId};
use satellite_core::router::{Denial, Scope, Subject, authorise};
use satellite_core::session::Owner;
use satellite_core::time::Timestamp;
use satellite_core::usage::{Client, Origin};

use super::super::serve::Peer;
use super::super::{Surface, reply};
use super::intake::Refusal;

/// Who calls, as the token says.
#[derive(Clone, Debug)]
pub(in super::super) enum Caller {
    /// A user, at the router of all of that user's instances.
    User(Arc<Subject>),
    /// The holder of an instance token, at that instance's router.
    Holder(InstanceKey),
}

impl Caller {
    pub(super) fn owner(&self) -> Owner {
        match self {
            Caller::User(subject) => Owner::of_subject(subject),
            Caller::Holder(key) => Owner::of_instance(key),
        }
    }

    /// It as the client of a session.
    pub(super) fn client(&self, session: SessionId, origin: Origin, now: Timestamp) -> Client {
        match self {
            Caller::User(subject) => Client::of_subject(subject, session, origin, now),
            Caller::Holder(key) => Client::of_instance(key, session, origin, now),
        }
    }
}

/// Where a request comes from, as far as its head says.
pub(super) fn origin(headers: &HeaderMap, extensions: &Extensions) -> Origin {
    let agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    Origin { name: None, user_agent: agent.map(String::from), ip_address: address(extensions) }
}

fn address(extensions: &Extensions) -> Option<String> {
    extensions.get::<Peer>().map(|peer| String::from(&*peer.0))
}

pub(super) async fn identify_user(
    surface: &Surface,
    headers: &HeaderMap,
    extensions: &Extensions,
) -> Result<Caller, Refusal> {
    if let Some(why) = surface.gate.refusal(headers) {
        return Err(Box::new(reply::forbidden(why)));
    }
    let denied = |denial: &Denial| {
        surface.usage.refused(denial, address(extensions));
        Box::new(reply::denied(denial, None, &surface.metadata_uri))
    };
    let subject = surface
        .identities
        .of(bearer(headers), &*surface.backend, &surface.audience, surface.clock)
        .await
        .map_err(|denial| denied(&denial))?;
    authorise::router_access(&surface.view(), &subject, Scope::Read, surface.clock.now())
        .map_err(|denial| denied(&denial))?;
    Ok(Caller::User(subject))
}

pub(super) fn identify_holder(
    surface: &Surface,
    path: &str,
    request: &Request,
) -> Result<Caller, Refusal> {
    if let Some(why) = surface.gate.refusal(request.headers()) {
        return Err(Box::new(reply::forbidden(why)));
    }
    let in_query = || {
        let query = request.uri().query()?;
        query.split('&').find_map(|pair| pair.strip_prefix("token="))
    };
    let token = bearer(request.headers()).or_else(in_query);
    let view = surface.view.borrow();
    match authorise::instance_by_token(&view, path, token) {
        Ok(instance) => Ok(Caller::Holder(instance.key.clone())),
        Err(denial) => {
            if token.is_some() {
                surface.usage.refused(&denial, address(request.extensions()));
            }
            Err(Box::new(reply::denied(&denial, None, &surface.metadata_uri)))
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    admission::bearer(headers.get(AUTHORIZATION)?.to_str().ok())
}
