//! Satellites are made by an administrator's registration tokens, of which each is good for one.

use std::sync::Arc;

use satellite_core::credentials::Credentials;
use satellite_core::http::{HttpAnswer, HttpFailure, HttpRequest, Method};
use satellite_core::limits::BACKEND_TIMEOUT_MS;
use satellite_core::random::Random;
use satellite_core::secret::Secret;
use satellite_core::time::IsoTime;
use satellite_core::wire::capability::{ADDITIONS, TRANSPORTS};
use satellite_core::wire::registration::{RegistrationReply, RegistrationRequest};
use satellite_core::wire::registration_token::TokenReply;
use satellite_core::wire::{self, path};
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::wire::Lines;
use super::{Drive, Shared};

/// So many are paired at once.
const AT_ONCE: usize = 8;

/// Pairs all satellites of a run.
pub(super) async fn pair(
    drive: &Drive,
    shared: &Arc<Shared>,
    mut names: Random,
) -> Result<Vec<Credentials>, String> {
    let names: Vec<String> = (0..drive.satellites).map(|_| names.id("generated-")).collect();
    let mut helpers = JoinSet::new();
    let share = names.len().div_ceil(AT_ONCE).max(1);
    for (number, names) in names.chunks(share).map(<[String]>::to_vec).enumerate() {
        let (shared, token) = (Arc::clone(shared), drive.admin_token.clone());
        helpers.spawn(async move {
            let lines = shared.wire.lines(number);
            let mut paired = Vec::new();
            for name in names {
                paired.push(shared.pair_one(&lines, &token, name).await?);
            }
            Ok::<_, String>(paired)
        });
    }
    let mut paired = Vec::new();
    while let Some(share) = helpers.join_next().await {
        paired.extend(share.map_err(|error| error.to_string())??);
    }
    Ok(paired)
}

impl Shared {
    async fn pair_one(
        &self,
        lines: &Lines,
        token: &Secret,
        name: String,
    ) -> Result<Credentials, String> {
        let path = "/api/satellites/global/registration-tokens";
        let reply: TokenReply = self.ask(lines, path, token, b"{}".to_vec()).await?;
        let capabilities = TRANSPORTS.iter().chain(&ADDITIONS).map(ToString::to_string).collect();
        let request = RegistrationRequest {
            name,
            capabilities,
            satellite_url: None,
            region: None,
            system_info: None,
            isolation: None,
        };
        let (token, body) = (reply.data.token.token, wire::encode(&request));
        let reply: RegistrationReply = self.ask(lines, path::REGISTER, &token, body).await?;
        let now = IsoTime(self.clock.now());
        Ok(Credentials {
            api_key: Secret::new(reply.satellite.api_key.expose().to_owned()),
            satellite_id: reply.satellite.id,
            satellite_name: reply.satellite.name,
            team_id: None,
            backend_url: None,
            registered_at: now,
            last_verified: now,
        })
    }

    /// Asks for what must succeed.
    async fn ask<T: DeserializeOwned>(
        &self,
        lines: &Lines,
        path: &str,
        token: &Secret,
        body: Vec<u8>,
    ) -> Result<T, String> {
        let http = HttpRequest {
            method: Method::Post,
            path: path.to_owned(),
            bearer: Some(token.clone()),
            headers: Vec::new(),
            body: Some(body),
            timeout_ms: BACKEND_TIMEOUT_MS,
        };
        let began = Instant::now();
        let answer: Result<HttpAnswer, HttpFailure> = self.wire.send(lines, &http).await;
        let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.figures.count(&http, &answer, took);
        let answer = answer.map_err(|failure| format!("{path}: {failure}"))?;
        if !answer.is_success() {
            let said: String = String::from_utf8_lossy(&answer.body).chars().take(300).collect();
            return Err(format!("{path}: {} {said}", answer.status));
        }
        wire::decode(path, &answer.body).map_err(|error| format!("{path}: {error}"))
    }
}
