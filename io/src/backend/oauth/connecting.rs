//! A user's way through an authorisation server, from the link to the stored token.

use std::sync::Arc;

use satellite_core::backend::oauth::Problem;
use satellite_core::backend::oauth::authorisation::{self, Answer, FLOW_MS};
use satellite_core::backend::oauth::client::{self, Client, Way};
use satellite_core::backend::oauth::issuer::Issuer;
use satellite_core::backend::oauth::token::{self, Granted};
use satellite_core::backend::{same_text, sha256_hex};
use satellite_core::secret::Secret;
use satellite_core::time::{IsoTime, Timestamp};
use satellite_core::wire::admin::CreateServer;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Oauth;
use super::seal::Bound;
use crate::backend::open::Backend;
use crate::backend::store::records::{
    Credential, OauthClient, OauthFlow, OauthToken, Sealed, SealedGrant, StartedFlow,
};
use crate::backend::store::{Store, StoreError};

/// Why a user did not come through.
#[derive(Debug)]
pub(in crate::backend) enum Obstacle {
    /// The link or the answer belongs to nothing that is under way.
    Unknown,
    /// The authorisation server or the remote stands in the way.
    Problem(Problem),
    /// The storage failed.
    Store(StoreError),
}

impl From<Problem> for Obstacle {
    fn from(problem: Problem) -> Obstacle {
        Obstacle::Problem(problem)
    }
}

impl From<StoreError> for Obstacle {
    fn from(error: StoreError) -> Obstacle {
        Obstacle::Store(error)
    }
}

/// What a browser gets that has begun.
#[derive(Debug)]
pub(in crate::backend) struct Begun {
    /// Where it goes: at the authorisation server.
    pub(in crate::backend) address: String,
    /// What it shows when it comes back.
    pub(in crate::backend) cookie: Secret,
}

/// All that the answer will need.
#[derive(Serialize, Deserialize)]
struct Underway {
    browser_hash: String,
    verifier: Secret,
    client: Client,
    issuer: String,
    names_itself: bool,
    token_endpoint: String,
    resource: String,
    redirect: String,
}

impl Backend {
    /// Where answers come to.
    pub(super) fn redirect(&self) -> String {
        format!("{}/connect/callback", self.issuer)
    }

    /// Where this client's metadata is, if somebody on the Internet could fetch it there.
    pub(in crate::backend) fn client_document(&self) -> Option<String> {
        let is_public = self.issuer.starts_with("https://");
        is_public.then(|| format!("{}/connect/client.json", self.issuer))
    }

    /// This client's metadata.
    pub(in crate::backend) fn client_metadata(&self) -> Option<Vec<u8>> {
        let address = self.client_document()?;
        Some(client::document(&address, &self.issuer, &self.redirect()))
    }

    /// Makes a link that lets whoever holds it connect a user's instance; gives it with its end.
    pub(in crate::backend) async fn invite(
        &self,
        credential: Credential,
    ) -> Result<(String, Timestamp), StoreError> {
        let now = self.clock.now();
        let link = sha256_hex(&self.random::<32>());
        let ends = now.after(FLOW_MS);
        let flow = OauthFlow {
            id: self.id("flow_"),
            credential,
            link_hash: sha256_hex(link.as_bytes()),
            started: None,
            expires_at: IsoTime(ends),
        };
        self.store.create_oauth_flow(flow, now).await?;
        Ok((format!("{}/connect/{link}", self.issuer), ends))
    }

    /// For whom a link is that has not been used.
    pub(in crate::backend) async fn invited(
        &self,
        link: &str,
    ) -> Result<Option<Credential>, StoreError> {
        let hash = sha256_hex(link.as_bytes());
        let flow = self.store.oauth_flow(hash, self.clock.now()).await?;
        Ok(flow.map(|flow| flow.credential))
    }

    /// Begins a link's way: finds out where it leads, becomes a client there, and spends the link.
    pub(in crate::backend) async fn begin(
        &self,
        oauth: &Oauth,
        link: &str,
    ) -> Result<Begun, Obstacle> {
        let link_hash = sha256_hex(link.as_bytes());
        let flow = self.store.oauth_flow(link_hash.clone(), self.clock.now()).await?;
        let flow = flow.ok_or(Obstacle::Unknown)?;
        let server = self.remote(&flow.credential).await?.ok_or_else(|| {
            Problem::Unacceptable("this server is not reached over HTTP".to_owned())
        })?;
        let found = oauth.discover(server.expose()).await?;
        let redirect = self.redirect();
        let client = self.client_at(oauth, &found.issuer, &redirect).await?;
        let (state, cookie) = (self.secret_text(), self.secret_text());
        let verifier = authorisation::verifier(&self.random());
        let scopes = authorisation::scopes(&found.challenged, &found.resource, &found.issuer);
        let request = authorisation::Request {
            client: &client.id,
            redirect: &redirect,
            state: &state,
            verifier: &verifier,
            resource: &found.resource.identifier,
            scopes: &scopes,
        };
        let address = authorisation::address(&found.issuer, &request)?;
        let state_hash = sha256_hex(state.expose().as_bytes());
        let underway = Underway {
            browser_hash: sha256_hex(cookie.expose().as_bytes()),
            verifier,
            client,
            issuer: found.issuer.identifier,
            names_itself: found.issuer.names_itself,
            token_endpoint: found.issuer.token_endpoint,
            resource: found.resource.identifier,
            redirect,
        };
        let sealed = self.seal(oauth, Bound::Flow(&state_hash), &underway)?;
        let started = StartedFlow { state_hash, sealed };
        match self.store.start_oauth_flow(link_hash, started, self.clock.now()).await? {
            true => Ok(Begun { address, cookie }),
            false => Err(Obstacle::Unknown),
        }
    }

    /// Takes a browser's answer, exchanges its code, stores the token, and has the satellites
    /// connect that user's instance.
    pub(in crate::backend) async fn finish(
        self: &Arc<Self>,
        oauth: &Arc<Oauth>,
        query: &str,
        cookie: Option<&str>,
    ) -> Result<Credential, Obstacle> {
        let answer = Answer::read(query)?;
        let state = answer.state.as_ref().ok_or(Obstacle::Unknown)?;
        let state_hash = sha256_hex(state.expose().as_bytes());
        let now = self.clock.now();
        let flow = self.store.take_oauth_flow(state_hash.clone(), now).await?;
        let flow = flow.ok_or(Obstacle::Unknown)?;
        let started = flow.started.ok_or(Obstacle::Unknown)?;
        let underway: Underway =
            self.open_sealed(oauth, Bound::Flow(&state_hash), &started.sealed)?;
        let shown = sha256_hex(cookie.unwrap_or_default().as_bytes());
        if !same_text(&shown, &underway.browser_hash) {
            return Err(Obstacle::Unknown);
        }
        let code = answer.code(&underway.issuer, underway.names_itself)?;
        let (backend, oauth) = (Arc::clone(self), Arc::clone(oauth));
        // A browser that leaves must not lose the token between the exchange and the storage.
        let rest = tokio::spawn(async move {
            let grant = token::Grant::Code {
                code: &code,
                verifier: &underway.verifier,
                redirect: &underway.redirect,
            };
            let asked = token::request(&underway.client, &underway.resource, grant);
            let reply = oauth.exchange(&underway.token_endpoint, &asked).await?;
            let given = token::granted(reply.status, &reply.body, backend.clock.now());
            if let Err(Problem::ClientUnknown(_)) = &given {
                let (issuer, redirect) = (underway.issuer.clone(), underway.redirect.clone());
                backend.store.forget_oauth_client(issuer, redirect).await?;
            }
            let credential = flow.credential;
            let token = OauthToken {
                granted: backend.sealed_grant(&oauth, &credential, given?)?,
                issuer: underway.issuer,
                token_endpoint: underway.token_endpoint,
                resource: underway.resource,
                client: backend.seal(&oauth, Bound::ClientOf(&credential), &underway.client)?,
                leased_until: None,
                lease_holder: None,
                credential: credential.clone(),
            };
            backend.connected(token).await?;
            Ok(credential)
        });
        rest.await.unwrap_or_else(|_| {
            Err(Obstacle::Store(StoreError::Failed("the exchange broke off".to_owned())))
        })
    }

    async fn connected(&self, token: OauthToken) -> Result<(), StoreError> {
        let credential = token.credential.clone();
        let payload = json!({
            "event": "mcp_recovery",
            "installation_id": credential.installation_id,
            "team_id": credential.team_id,
            "user_id": credential.user_id,
        });
        self.store.connect(token, self.notice("configure", &payload)).await?;
        self.waiting.wake_all();
        tracing::info!(
            installationId = %credential.installation_id,
            userId = %credential.user_id,
            operation = "oauth_connected",
            "A user connected to a remote"
        );
        Ok(())
    }

    /// Where the remote of an installation is.
    async fn remote(&self, credential: &Credential) -> Result<Option<Secret>, StoreError> {
        let found = self.store.installation(credential.installation_id.clone()).await?;
        let Some(installation) = found else { return Ok(None) };
        let Some(server) = self.store.server(installation.server_id).await? else {
            return Ok(None);
        };
        let template: CreateServer = serde_json::from_str(server.definition.as_str())
            .map_err(|error| StoreError::Failed(format!("a template: {}", error.column())))?;
        Ok(template.remotes.into_iter().next().map(|remote| remote.url))
    }

    /// The client that the Backend is at `issuer`: the one it was, or another.
    async fn client_at(
        &self,
        oauth: &Oauth,
        issuer: &Issuer,
        redirect: &str,
    ) -> Result<Client, Obstacle> {
        let bound = Bound::ClientAt(&issuer.identifier);
        let known = self.store.oauth_client(issuer.identifier.clone(), redirect.to_owned());
        if let Some(known) = known.await? {
            let client: Client = self.open_sealed(oauth, bound, &known.client)?;
            if client.is_usable(self.clock.now()) {
                return Ok(client);
            }
        }
        let address = match client::choose(issuer, self.client_document().as_deref())? {
            Way::Document(client) => return Ok(client),
            Way::Register(address) => address,
        };
        let body = client::registration(issuer, &self.issuer, redirect);
        let reply = oauth.register(&address, body).await?;
        let client = client::registered(reply.status, &reply.body)?;
        self.store
            .put_oauth_client(OauthClient {
                issuer: issuer.identifier.clone(),
                redirect_uri: redirect.to_owned(),
                client: self.seal(oauth, bound, &client)?,
                created_at: IsoTime(self.clock.now()),
            })
            .await?;
        Ok(client)
    }

    pub(super) fn sealed_grant(
        &self,
        oauth: &Oauth,
        whose: &Credential,
        granted: Granted,
    ) -> Result<SealedGrant, StoreError> {
        let seal = |bound, token: &Secret| oauth.sealer.seal(&*self.entropy, bound, token.expose());
        let refresh_token = granted.refresh_token.as_ref();
        Ok(SealedGrant {
            access_token: seal(Bound::Access(whose), &granted.access_token)?,
            refresh_token: refresh_token
                .map(|token| seal(Bound::Refresh(whose), token))
                .transpose()?,
            token_type: granted.token_type,
            issued_at: IsoTime(self.clock.now()),
            expires_at: granted.expires_at.map(IsoTime),
            scope: granted.scope,
        })
    }

    fn seal(
        &self,
        oauth: &Oauth,
        bound: Bound<'_>,
        value: &impl Serialize,
    ) -> Result<Sealed, StoreError> {
        let text = serde_json::to_string(value)
            .map_err(|error| StoreError::Failed(format!("cannot be sealed: {error}")))?;
        oauth.sealer.seal(&*self.entropy, bound, &text)
    }

    pub(super) fn open_sealed<T: for<'de> Deserialize<'de>>(
        &self,
        oauth: &Oauth,
        bound: Bound<'_>,
        sealed: &Sealed,
    ) -> Result<T, StoreError> {
        let text = oauth.sealer.open(bound, sealed)?;
        serde_json::from_str(text.expose())
            .map_err(|error| StoreError::Failed(format!("sealed: column {}", error.column())))
    }

    fn secret_text(&self) -> Secret {
        Secret::new(sha256_hex(&self.random::<32>()))
    }
}
