//! A user's token for a satellite: as it is, or renewed. However many ask, at one Backend or at
//! several, one renewal is under way: the right to it is a lease in the storage.

use std::sync::Arc;
use std::time::Duration;

use satellite_core::backend::oauth::Problem;
use satellite_core::backend::oauth::client::Client;
use satellite_core::backend::oauth::refresh::{
    Consequence, LEAD_MS, LEASE_MS, Life, RETRY_MS, Standing, consequence,
};
use satellite_core::backend::oauth::token::{self, Grant, Granted};
use satellite_core::backend::{same_text, sha256_hex};
use satellite_core::secret::Secret;
use satellite_core::wire::tokens::Tokens;
use tokio::time::Instant;

use super::Oauth;
use super::seal::Bound;
use crate::backend::open::Backend;
use crate::backend::store::records::{Credential, OauthToken, Unrenewed};
use crate::backend::store::{Store, StoreError};

/// How long a request waits for a renewal: less than a satellite waits for its answer.
const PATIENCE: Duration = Duration::from_secs(8);
/// How often it looks whether another Backend has renewed the token.
const LOOK: Duration = Duration::from_millis(200);
/// Renewals begun by one round of the background job.
const PER_ROUND: u32 = 20;
/// What an instance says whose token ended.
const ENDED: &str =
    "the access to the remote has ended: connect again, with `satellite server connect`";

/// What there is for a satellite.
#[derive(Debug)]
pub(in crate::backend) enum Lookup {
    /// A token that is good.
    Good(Box<Tokens>),
    /// None, or one that has ended for good: the user must connect.
    Nothing,
    /// None at the moment: the authorisation server cannot be asked.
    Later,
}

impl Backend {
    /// The token of `whose`, renewed if it is about to end or is the one whose SHA-256 is `refused`
    /// by the remote.
    pub(in crate::backend) async fn look_up(
        self: &Arc<Self>,
        oauth: &Arc<Oauth>,
        whose: &Credential,
        refused: Option<&str>,
    ) -> Result<Lookup, StoreError> {
        let patience = Instant::now() + PATIENCE;
        let mut tried = false;
        loop {
            // Before the storage is looked at, so that no renewal is missed in between.
            let renewed = oauth.renewed.notified();
            let Some(stored) = self.store.oauth_token(whose.clone()).await? else {
                return Ok(Lookup::Nothing);
            };
            let access = oauth.sealer.open(Bound::Access(whose), &stored.granted.access_token)?;
            let now = self.clock.now();
            let is_refused = refused
                .is_some_and(|hash| same_text(hash, &sha256_hex(access.expose().as_bytes())));
            let life = Life {
                issued_at: stored.granted.issued_at.0,
                expires_at: stored.granted.expires_at.map(|end| end.0),
            };
            let standing = if is_refused { life.refused(now) } else { life.standing(now) };
            let can_renew = stored.granted.refresh_token.is_some();
            match standing {
                Standing::Ended if !can_renew => return Ok(Lookup::Nothing),
                Standing::Ended if tried => return Ok(Lookup::Later),
                Standing::Ended => {}
                Standing::Due if can_renew && !tried => {}
                Standing::Due | Standing::Fresh => {
                    return Ok(Lookup::Good(Box::new(shown(stored, access))));
                }
            }
            let is_leased = stored.leased_until.is_some_and(|until| now < until.0);
            if !is_leased {
                tried = self.renew(oauth, whose).await? || tried;
            } else if stored.lease_holder.is_none() || Instant::now() >= patience {
                // A renewal has just failed, or takes too long.
                tried = true;
            } else {
                let _ = tokio::time::timeout(LOOK, renewed).await;
            }
        }
    }

    /// Renews a token, unless somebody else does; says whether it tried.
    async fn renew(
        self: &Arc<Self>,
        oauth: &Arc<Oauth>,
        whose: &Credential,
    ) -> Result<bool, StoreError> {
        let (holder, now) = (self.id("renewal_"), self.clock.now());
        let until = now.after(LEASE_MS);
        let lease = self.store.lease_renewal(whose.clone(), holder.clone(), now, until);
        let Some(stored) = lease.await? else { return Ok(false) };
        let (backend, oauth) = (Arc::clone(self), Arc::clone(oauth));
        // Whoever asked may leave: a rotated refresh token must be stored all the same.
        let renewal = tokio::spawn(async move {
            let outcome = backend.ask_anew(&oauth, &stored).await;
            let stored = backend.keep(&oauth, &stored, holder, outcome).await;
            oauth.renewed.notify_waiters();
            stored
        });
        renewal
            .await
            .unwrap_or_else(|_| Err(StoreError::Failed("a renewal broke off".to_owned())))?;
        Ok(true)
    }

    async fn ask_anew(&self, oauth: &Oauth, stored: &OauthToken) -> Result<Granted, Problem> {
        let whose = &stored.credential;
        let unsealed = || {
            let client: Client = self.open_sealed(oauth, Bound::ClientOf(whose), &stored.client)?;
            let refresh = stored.granted.refresh_token.as_ref();
            let refresh = refresh.ok_or(StoreError::Missing("refresh token"))?;
            Ok((client, oauth.sealer.open(Bound::Refresh(whose), refresh)?))
        };
        let (client, refresh) = unsealed()
            .map_err(|error: StoreError| Problem::Temporary(format!("cannot be read: {error}")))?;
        let asked = token::request(&client, &stored.resource, Grant::Refresh(&refresh));
        let reply = oauth.exchange(&stored.token_endpoint, &asked).await?;
        token::granted(reply.status, &reply.body, self.clock.now())
    }

    /// Stores what a renewal brought. The old refresh token stays until then.
    async fn keep(
        &self,
        oauth: &Oauth,
        stored: &OauthToken,
        holder: String,
        outcome: Result<Granted, Problem>,
    ) -> Result<(), StoreError> {
        let whose = &stored.credential;
        let now = self.clock.now();
        let problem = match outcome {
            Ok(granted) => {
                let sealed = self.sealed_grant(oauth, whose, granted)?;
                let kept = self.store.renewed(whose.clone(), holder, sealed).await?;
                log(whose, if kept { "renewed" } else { "superseded" }, None);
                return Ok(());
            }
            Err(problem) => problem,
        };
        if let Problem::ClientUnknown(_) = &problem {
            let redirect = self.redirect();
            self.store.forget_oauth_client(stored.issuer.clone(), redirect).await?;
        }
        let (next, outcome) = match consequence(&problem) {
            Consequence::Later => (Ok(now.after(RETRY_MS)), "postponed"),
            Consequence::Over => (Err(ENDED.to_owned()), "over"),
        };
        log(whose, outcome, Some(&problem));
        let failure = Unrenewed { credential: whose.clone(), holder, next, now };
        self.store.unrenewed(failure).await?;
        Ok(())
    }

    /// Renews what ends soon, and has the instances wait for their users whose tokens have ended.
    pub(in crate::backend) async fn renew_due(self: &Arc<Self>) -> Result<(), StoreError> {
        let Some(oauth) = &self.oauth else { return Ok(()) };
        let now = self.clock.now();
        for whose in self.store.renewals_due(now.after(LEAD_MS), now, PER_ROUND).await? {
            // What is wrong with one must not keep the others from being renewed.
            if let Err(error) = self.look_up(oauth, &whose, None).await {
                tracing::error!(
                    %error,
                    installationId = %whose.installation_id,
                    userId = %whose.user_id,
                    operation = "oauth_renewal",
                    "A token could not be renewed"
                );
            }
        }
        self.store.lapse_tokens(ENDED.to_owned(), self.clock.now()).await?;
        Ok(())
    }
}

fn shown(stored: OauthToken, access_token: Secret) -> Tokens {
    Tokens {
        access_token,
        // A satellite has no use for it, and what it does not have cannot leak there.
        refresh_token: None,
        token_type: stored.granted.token_type,
        expires_at: stored.granted.expires_at,
        scope: stored.granted.scope,
    }
}

fn log(whose: &Credential, outcome: &str, problem: Option<&Problem>) {
    tracing::info!(
        installationId = %whose.installation_id,
        userId = %whose.user_id,
        operation = "oauth_renewal",
        outcome,
        problem = problem.map(tracing::field::display),
        "A renewal of a token ended"
    );
}
