//! Who asks.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use satellite_core::backend::access_token::{self, AccessTokenRecord};
use satellite_core::backend::admission::{acts_as_itself, bearer};
use satellite_core::backend::api_key::{self, KeyFault};
use satellite_core::backend::roles::{self, Permission, Refused};
use satellite_core::backend::{same_text, sha256_hex};
use satellite_core::id::{SatelliteId, TeamId, UserId};
use satellite_core::limits::NAME_CHARS_MAX;

use super::answer::{Failure, check_address};
use super::open::Backend;
use super::store::Store;
use super::store::records::{KeyState, Satellite};

/// The bearer token of a request.
pub(super) fn bearer_of(headers: &HeaderMap) -> Option<&str> {
    bearer(headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()))
}

impl Backend {
    /// The satellite whose key the request carries.
    pub(super) async fn key_holder(&self, headers: &HeaderMap) -> Result<Satellite, Failure> {
        let key = bearer_of(headers).ok_or(KeyFault::Missing)?;
        let lookup = api_key::lookup(key).ok_or(KeyFault::Unknown)?;
        let holder = self.store.key_holder(lookup.to_owned()).await?;
        let row = holder.as_ref().map(|holder| {
            let state = match holder.state {
                KeyState::Valid(_) => api_key::KeyState::Valid,
                KeyState::Revoked => api_key::KeyState::Revoked,
                KeyState::Deleted => api_key::KeyState::SatelliteDeleted,
            };
            (holder.api_key_hash.as_str(), state)
        });
        api_key::admit(key, row)?;
        match holder.map(|holder| holder.state) {
            Some(KeyState::Valid(satellite)) => Ok(*satellite),
            _ => Err(KeyFault::Unknown.into()),
        }
    }

    /// The satellite whose key the request carries, if it is also that of the path.
    pub(super) async fn satellite(
        &self,
        headers: &HeaderMap,
        path: &SatelliteId,
    ) -> Result<Satellite, Failure> {
        let satellite = self.key_holder(headers).await?;
        acts_as_itself(&satellite.id, path)?;
        Ok(satellite)
    }

    /// Who asks, if they may use a route of `permission` that names `team` and `user`. Routes of
    /// administration alone ask through [`Authorised`].
    pub(super) async fn authorise(
        &self,
        headers: &HeaderMap,
        permission: Permission,
        team: Option<TeamId>,
        user: Option<UserId>,
    ) -> Result<Actor, Failure> {
        let token = bearer_of(headers).ok_or_else(|| {
            Failure::unauthorised("Authorization: Bearer <administration token> is required")
        })?;
        if same_text(&sha256_hex(token.as_bytes()), &self.admin_token_hash) {
            return Ok(Actor::Administrator);
        }
        if !token.starts_with(access_token::PREFIX) {
            return Err(Failure::unauthorised(
                "The administration token is wrong; the Backend printed it at its first start",
            ));
        }
        let unknown = || Failure::unauthorised("The access token is unknown or has ended");
        let owner = self.store.introspect(access_token::hash(token)).await?;
        let record = AccessTokenRecord::from(owner.ok_or_else(unknown)?);
        let target = (team.as_ref(), user.as_ref());
        match roles::authorise(permission, &record, target, self.clock.now()) {
            Ok(()) => Ok(Actor::User(record.user)),
            Err(Refused::Unknown) => Err(unknown()),
            Err(Refused::Forbidden(forbidden)) => Err(forbidden.into()),
            Err(Refused::NoSuchTeam) => Err(Failure::not_found("team")),
        }
    }
}

/// Who was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Actor {
    /// The holder of the administration token.
    Administrator,
    /// A user, by an access token of theirs.
    User(UserId),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Actor::Administrator => f.write_str("admin"),
            Actor::User(user) => fmt::Display::fmt(user, f),
        }
    }
}

/// A Backend that nobody reaches without permission: the state of administration's routes.
#[derive(Clone)]
pub(super) struct Guarded(Arc<Backend>);

impl Guarded {
    pub(super) fn new(backend: Arc<Backend>) -> Guarded {
        Guarded(backend)
    }
}

/// The Backend, for a request whose caller may use its route. There is no other way out of
/// [`Guarded`], so no handler of administration forgets to ask. It stands first among a handler's
/// parameters: nothing else of the request is read for a stranger.
pub(super) struct Authorised {
    backend: Arc<Backend>,
    pub(super) actor: Actor,
}

impl Deref for Authorised {
    type Target = Backend;

    fn deref(&self) -> &Backend {
        &self.backend
    }
}

impl FromRequestParts<Guarded> for Authorised {
    type Rejection = Failure;

    async fn from_request_parts(
        parts: &mut Parts,
        Guarded(backend): &Guarded,
    ) -> Result<Authorised, Failure> {
        // A route that says nothing is the administrator's.
        let said = parts.extensions.get::<Permission>().copied();
        let permission = said.unwrap_or(Permission::Administer);
        let (mut team, mut user) = (None, None);
        let parameters = RawPathParams::from_request_parts(parts, &()).await;
        for (name, value) in parameters.iter().flatten() {
            match name {
                "team" => team = Some(TeamId::new(value)),
                "user" => user = Some(UserId::new(value)),
                _ => {}
            }
        }
        let actor = backend.authorise(&parts.headers, permission, team, user).await?;
        check_address(&parts.uri)?;
        let parameters = parameters.map_err(|_| Failure::invalid("path: must be UTF-8"))?;
        let long = |(name, value): (&str, &str)| {
            (value.chars().count() > NAME_CHARS_MAX)
                .then(|| format!("path: `{name}`: must have at most {NAME_CHARS_MAX} characters"))
        };
        if let Some(why) = parameters.iter().find_map(long) {
            return Err(Failure::invalid(why));
        }
        if parts.method != Method::GET {
            let (method, path) = (parts.method.as_str(), parts.uri.path());
            tracing::info!(
                operation = "administration", actor = %actor, method, path,
                "A change was asked for by somebody who may make it"
            );
        }
        Ok(Authorised { backend: Arc::clone(backend), actor })
    }
}
