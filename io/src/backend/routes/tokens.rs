//! Tokens for upstream servers. This Backend keeps none, and says so in the contract's way.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use satellite_core::backend::admission::Forbidden;
use satellite_core::id::{InstallationId, SatelliteId};
use satellite_core::wire::tokens::{TokensRequest, TokensStatus};

use crate::backend::answer::{Answer, Body, Failure, ok};
use crate::backend::open::Backend;
use crate::backend::store::Store;
use crate::backend::store::records::Satellite;

pub(super) async fn status(
    State(backend): State<Arc<Backend>>,
    Path(satellite): Path<SatelliteId>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let satellite = backend.satellite(&headers, &satellite).await?;
    check(&satellite, &body)?;
    ok(&TokensStatus { exists: false, expired: None, expires_at: None, can_refresh: false })
}

pub(super) async fn retrieve(
    State(backend): State<Arc<Backend>>,
    Path(satellite): Path<SatelliteId>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let satellite = backend.satellite(&headers, &satellite).await?;
    check(&satellite, &body)?;
    Err(Failure::not_found("OAuth token of this installation"))
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

fn check(satellite: &Satellite, body: &Body) -> Result<(), Failure> {
    let request: TokensRequest = body.read("token request")?;
    if !satellite.owner().serves(&request.team_id) {
        let why = format!("The satellite does not serve team {}", request.team_id);
        return Err(Forbidden(why).into());
    }
    Ok(())
}
