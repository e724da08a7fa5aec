//! Tokens for upstream servers.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use satellite_core::backend::admission::Forbidden;
use satellite_core::id::{InstallationId, SatelliteId};
use satellite_core::wire::error::ErrorBody;
use satellite_core::wire::tokens::{TokensRequest, TokensStatus};

use crate::backend::answer::{Answer, Body, Failure, ok};
use crate::backend::oauth::Lookup;
use crate::backend::open::Backend;
use crate::backend::store::Store;
use crate::backend::store::records::{Credential, Satellite};

pub(super) async fn status(
    State(backend): State<Arc<Backend>>,
    Path(satellite): Path<SatelliteId>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let satellite = backend.satellite(&headers, &satellite).await?;
    let request = admit(&backend, &satellite, &body).await?;
    let stored = backend.store.oauth_token(credential(&request)).await?;
    let now = backend.clock.now();
    let ends = stored.as_ref().and_then(|token| token.granted.expires_at);
    ok(&TokensStatus {
        exists: stored.is_some(),
        expired: ends.map(|end| end.0 <= now),
        expires_at: ends,
        can_refresh: stored.is_some_and(|token| token.granted.refresh_token.is_some()),
    })
}

pub(super) async fn retrieve(
    State(backend): State<Arc<Backend>>,
    Path(satellite): Path<SatelliteId>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let satellite = backend.satellite(&headers, &satellite).await?;
    if let Some(oauth) = &backend.oauth
        && let Err(seconds) = oauth.admit(&satellite.id, backend.clock.now())
    {
        let body = ErrorBody::new("rate limit (429)")
            .with_message("a satellite may ask for 100 tokens a minute");
        return Err(Failure::new(StatusCode::TOO_MANY_REQUESTS, body).retry_after(seconds));
    }
    let request = admit(&backend, &satellite, &body).await?;
    let none = || {
        let body = ErrorBody::new("OAuth token of this installation not found")
            .with_message("the user has not connected to this server, or the access has ended")
            .with_instructions(request.advice());
        Failure::new(StatusCode::NOT_FOUND, body)
    };
    let oauth = backend.oauth.as_ref().ok_or_else(none)?;
    let refused = request.refused_token_sha256.as_deref();
    match backend.look_up(oauth, &credential(&request), refused).await? {
        Lookup::Good(tokens) => ok(&*tokens),
        Lookup::Nothing => Err(none()),
        Lookup::Later => {
            let body = ErrorBody::new("the token cannot be renewed at the moment")
                .with_message("the authorisation server does not answer as it should");
            Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, body).retry_after(10))
        }
    }
}

pub(super) async fn github(
    State(backend): State<Arc<Backend>>,
    Path((satellite, installation)): Path<(SatelliteId, InstallationId)>,
    headers: HeaderMap,
) -> Answer {
    let satellite = backend.satellite(&headers, &satellite).await?;
    let installation = backend.store.installation(installation).await?;
    let installation = installation.ok_or_else(|| Failure::not_found("installation"))?;
    if !satellite.serves(&installation.team_id, installation.satellite_id.as_ref()) {
        return Err(Forbidden("The satellite does not serve this installation".to_owned()).into());
    }
    Err(Failure::not_found("GitHub token of this installation"))
}

/// What is asked for, if the satellite serves whom it is about.
async fn admit(
    backend: &Backend,
    satellite: &Satellite,
    body: &Body,
) -> Result<TokensRequest, Failure> {
    let request: TokensRequest = body.read("token request")?;
    for (name, text) in [
        ("installation_id", request.installation_id.as_str()),
        ("user_id", request.user_id.as_str()),
        ("team_id", request.team_id.as_str()),
    ] {
        if text.is_empty() {
            return Err(Failure::invalid(format!("token request: {name}: must not be empty")));
        }
    }
    let foreign = |what: &str| {
        let why = format!("The satellite does not serve this {what}");
        Failure::from(Forbidden(why))
    };
    if !satellite.owner().serves(&request.team_id) {
        return Err(foreign("team"));
    }
    // One that is not there has no token either, which is what the caller is told.
    if let Some(found) = backend.store.installation(request.installation_id.clone()).await? {
        if found.team_id != request.team_id {
            return Err(foreign("team's installation"));
        }
        if !satellite.serves(&found.team_id, found.satellite_id.as_ref()) {
            return Err(foreign("installation"));
        }
    }
    Ok(request)
}

fn credential(request: &TokensRequest) -> Credential {
    Credential {
        installation_id: request.installation_id.clone(),
        user_id: request.user_id.clone(),
        team_id: request.team_id.clone(),
    }
}
