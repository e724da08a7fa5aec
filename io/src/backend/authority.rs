//! Who asks.

use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use satellite_core::backend::admission::{acts_as_itself, bearer};
use satellite_core::backend::api_key::{self, KeyFault};
use satellite_core::backend::{same_text, sha256_hex};
use satellite_core::id::SatelliteId;

use super::answer::Failure;
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

    /// Lets the administrator in. Routes of administration alone ask through [`Administrator`].
    pub(super) fn administrator(&self, headers: &HeaderMap) -> Result<(), Failure> {
        let token = bearer_of(headers).ok_or_else(|| {
            Failure::unauthorised("Authorization: Bearer <administration token> is required")
        })?;
        if same_text(&sha256_hex(token.as_bytes()), &self.admin_token_hash) {
            return Ok(());
        }
        Err(Failure::unauthorised(
            "The administration token is wrong; the Backend printed it at its first start",
        ))
    }
}

/// A Backend that only an administrator reaches: the state of administration's routes.
#[derive(Clone)]
pub(super) struct Guarded(Arc<Backend>);

impl Guarded {
    pub(super) fn new(backend: Arc<Backend>) -> Guarded {
        Guarded(backend)
    }
}

/// The Backend, for a request that shows the administration token. There is no other way out of
/// [`Guarded`], so no handler of administration forgets to ask for it. It stands first among a
/// handler's parameters: nothing else of the request is read for a stranger.
pub(super) struct Administrator(Arc<Backend>);

impl Deref for Administrator {
    type Target = Backend;

    fn deref(&self) -> &Backend {
        &self.0
    }
}

impl FromRequestParts<Guarded> for Administrator {
    type Rejection = Failure;

    async fn from_request_parts(
        parts: &mut Parts,
        Guarded(backend): &Guarded,
    ) -> Result<Administrator, Failure> {
        backend.administrator(&parts.headers)?;
        Ok(Administrator(Arc::clone(backend)))
    }
}
