//! Health, registration tokens, registration.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use satellite_core::backend::registration_token::{self, Claims, TokenFault};
use satellite_core::backend::{Owner, api_key, registration};
use satellite_core::id::{SatelliteId, TeamId, UserId};
use satellite_core::time::IsoTime;
use satellite_core::wire::Acknowledgement;
use satellite_core::wire::health::Health;
use satellite_core::wire::registration::{
    RegisteredSatellite, RegistrationReply, RegistrationRequest, RegistrationStatus,
};
use satellite_core::wire::registration_token::{
    CreateToken, IssuedToken, TokenData, TokenList, TokenReply, TokenSummary,
};

use crate::backend::answer::{Answer, Body, Failure, ok};
use crate::backend::authority::bearer_of;
use crate::backend::open::Backend;
use crate::backend::store::records::{
    JsonText, Registered, Registration, RegistrationToken, owner_of,
};
use crate::backend::store::{Store, StoreError};

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

pub(super) async fn create_global_token(
    State(backend): State<Arc<Backend>>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    backend.administrator(&headers)?;
    create_token(&backend, &body, Owner::Global).await
}

pub(super) async fn create_team_token(
    State(backend): State<Arc<Backend>>,
    Path(team): Path<TeamId>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    backend.administrator(&headers)?;
    let team = backend.store.team(team).await?.ok_or_else(|| Failure::not_found("team"))?;
    create_token(&backend, &body, Owner::Team(team.id)).await
}

async fn create_token(backend: &Backend, body: &Body, owner: Owner) -> Answer {
    let asked: CreateToken = body.read_or_default("token")?;
    let now = backend.clock.now();
    let creator = UserId::from("admin");
    let claims =
        Claims::new(&owner, creator.clone(), asked.expires_in_hours, now, &backend.random())
            .map_err(Failure::invalid)?;
    let token =
        registration_token::issue(&backend.jwt_secret, &claims).map_err(StoreError::Failed)?;
    let kind = owner.satellite_type();
    let prefix = match owner {
        Owner::Global => registration_token::GLOBAL_PREFIX,
        Owner::Team(_) => registration_token::TEAM_PREFIX,
    };
    let row = RegistrationToken {
        id: backend.id("rtok_"),
        token_type: kind.as_str(),
        team_id: owner.team().cloned(),
        token_hash: registration_token::hash(token.expose()),
        token_prefix: prefix.to_owned(),
        created_by: creator.to_string(),
        permissions: claims.permissions.clone(),
        used: false,
        used_at: None,
        used_by_satellite_id: None,
        expires_at: IsoTime(claims.expires_at()),
        created_at: IsoTime(now),
    };
    backend.store.create_registration_token(row.clone()).await?;
    let reply = TokenReply {
        success: true,
        instructions:
            "Set DEPLOYSTACK_REGISTRATION_TOKEN to this token where the satellite starts \
                       for the first time. It is shown here only and works once."
                .to_owned(),
        data: TokenData {
            token: IssuedToken {
                id: row.id,
                token,
                token_type: kind,
                team_id: row.team_id,
                created_by: creator,
                expires_at: row.expires_at,
                created_at: row.created_at,
                used: false,
            },
        },
    };
    ok(&reply)
}

pub(super) async fn tokens(State(backend): State<Arc<Backend>>, headers: HeaderMap) -> Answer {
    backend.administrator(&headers)?;
    let tokens = backend.store.registration_tokens().await?;
    let summary = |token: RegistrationToken| TokenSummary {
        id: token.id,
        token_type: owner_of(token.team_id.clone()).satellite_type(),
        team_id: token.team_id,
        created_by: UserId::from(token.created_by),
        expires_at: token.expires_at,
        created_at: token.created_at,
        used: token.used,
    };
    ok(&TokenList { tokens: tokens.into_iter().map(summary).collect() })
}

pub(super) async fn delete_token(
    State(backend): State<Arc<Backend>>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Answer {
    backend.administrator(&headers)?;
    if !backend.store.delete_registration_token(token).await? {
        return Err(Failure::not_found("unused registration token"));
    }
    ok(&Acknowledgement::new("The token is revoked."))
}
