//! Health and registration.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use satellite_core::backend::registration_token::{self, TokenFault};
use satellite_core::backend::{api_key, registration};
use satellite_core::id::SatelliteId;
use satellite_core::time::IsoTime;
use satellite_core::wire::health::Health;
use satellite_core::wire::registration::{
    RegisteredSatellite, RegistrationReply, RegistrationRequest, RegistrationStatus,
};

use crate::backend::answer::{Answer, Body, Failure, ok};
use crate::backend::authority::bearer_of;
use crate::backend::open::Backend;
use crate::backend::store::Store;
use crate::backend::store::records::{JsonText, Registered, Registration};

pub(super) async fn health(State(backend): State<Arc<Backend>>) -> Answer {
    ok(&Health {
        status: "ok".to_owned(),
        timestamp: Some(IsoTime(backend.clock.now())),
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
    })
}

pub(super) async fn register_status() -> Answer {
    ok(&RegistrationStatus {
        registration_method: "token_based".to_owned(),
        token_required: true,
        supported_prefixes: vec![
            registration_token::GLOBAL_PREFIX.to_owned(),
            registration_token::TEAM_PREFIX.to_owned(),
        ],
        instructions: "Send a registration token as bearer to POST /api/satellites/register."
            .to_owned(),
    })
}

pub(super) async fn register(
    State(backend): State<Arc<Backend>>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let now = backend.clock.now();
    let token = bearer_of(&headers).ok_or(TokenFault::Missing)?;
    let claims = registration_token::verify(&backend.jwt_secret, token, now)?;
    let owner = claims.owner().ok_or(TokenFault::InvalidScope)?;
    let request: RegistrationRequest = body.read("registration")?;
    registration::check_name(&request.name)
        .map_err(|why| Failure::invalid(format!("registration: `name`: {why}")))?;
    let key = api_key::issue(&owner, &backend.random());
    let registered = backend
        .store
        .register_satellite(Registration {
            token_hash: registration_token::hash(token),
            owner: owner.clone(),
            satellite_id: SatelliteId::from(backend.id("sat_")),
            name: request.name.clone(),
            capabilities: request.capabilities,
            satellite_url: registration::base_url(request.satellite_url.as_deref())
                .unwrap_or_default(),
            region: request.region,
            system_info: request.system_info.as_ref().map(JsonText::of),
            api_key_lookup: key.lookup,
            api_key_hash: key.hash,
            now,
        })
        .await?;
    let (satellite, again) = match registered {
        Registered::Paired { satellite, again } => (satellite, again),
        Registered::TokenUnknown => {
            return Err(TokenFault::Invalid("it was deleted, or never issued here").into());
        }
        Registered::TokenUsed => return Err(TokenFault::AlreadyUsed.into()),
        Registered::TokenExpired => {
            return Err(TokenFault::Expired { at: claims.expires_at() }.into());
        }
        Registered::NameTaken => {
            let body = registration::conflict(&request.name);
            return Err(Failure::new(StatusCode::CONFLICT, body));
        }
    };
    tracing::info!(
        satelliteId = %satellite.id, operation = "satellite_registered", again, "Satellite registered"
    );
    ok(&RegistrationReply {
        success: true,
        satellite: RegisteredSatellite {
            id: satellite.id,
            name: satellite.name,
            satellite_type: owner.satellite_type(),
            team_id: satellite.team_id,
            status: satellite.status,
            api_key: key.key,
        },
        message: if again {
            "The satellite is paired again; its former key is void."
        } else {
            "The satellite is paired; its first heartbeat makes it active."
        }
        .to_owned(),
    })
}
