//! Registration tokens.

use axum::extract::Path;
use satellite_core::backend::Owner;
use satellite_core::backend::registration_token::{self, Claims};
use satellite_core::id::{TeamId, UserId};
use satellite_core::time::IsoTime;
use satellite_core::wire::Acknowledgement;
use satellite_core::wire::registration_token::{
    CreateToken, IssuedToken, TokenData, TokenList, TokenReply, TokenSummary,
};

use super::pages::{OfRegistrationTokens, Part};
use crate::backend::answer::{Answer, Body, Failure, ok};
use crate::backend::authority::Authorised;
use crate::backend::open::Backend;
use crate::backend::store::records::{ListOf, RegistrationToken, owner_of};
use crate::backend::store::{Store, StoreError};

pub(crate) async fn create_global(backend: Authorised, body: Body) -> Answer {
    create(&backend, &body, Owner::Global).await
}

pub(crate) async fn create_team(
    backend: Authorised,
    Path(team): Path<TeamId>,
    body: Body,
) -> Answer {
    let team = backend.store.team(team).await?.ok_or_else(|| Failure::not_found("team"))?;
    create(&backend, &body, Owner::Team(team.id)).await
}

async fn create(backend: &Backend, body: &Body, owner: Owner) -> Answer {
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

pub(crate) async fn list(backend: Authorised, part: Part<OfRegistrationTokens>) -> Answer {
    let page = part.of(ListOf::REGISTRATION_TOKENS)?;
    let mut tokens = backend.store.registration_tokens_page(page).await?;
    let next_cursor = part.cut(ListOf::REGISTRATION_TOKENS, &mut tokens);
    let summary = |token: RegistrationToken| TokenSummary {
        id: token.id,
        token_type: owner_of(token.team_id.clone()).satellite_type(),
        team_id: token.team_id,
        created_by: UserId::from(token.created_by),
        expires_at: token.expires_at,
        created_at: token.created_at,
        used: token.used,
    };
    ok(&TokenList { tokens: tokens.into_iter().map(summary).collect(), next_cursor })
}

pub(crate) async fn delete(backend: Authorised, Path(token): Path<String>) -> Answer {
    if !backend.store.delete_registration_token(token).await? {
        return Err(Failure::not_found("unused registration token"));
    }
    ok(&Acknowledgement::new("The token is revoked."))
}
