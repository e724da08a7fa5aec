//! Access tokens that were asked about, by their SHA-256: the token itself is not kept.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use satellite_core::credentials::Credentials;
use satellite_core::id::{TeamId, UserId};
use satellite_core::router::identity::{Known, introspection_request};
use satellite_core::router::{Audience, Denial, DenialKind, Subject};
use satellite_core::time::Timestamp;
use satellite_core::wire::decode;
use satellite_core::wire::introspection::Introspection;
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, watch};

use super::introspection::BackendExchange;
use crate::clock::Clock;

/// Tokens that are remembered.
const REMEMBERED_MAX: usize = 10_000;
/// Tokens that are asked about at the same time.
const ASKED_AT_ONCE_MAX: usize = 16;
/// Longest token that is looked at.
const TOKEN_MAX_BYTES: usize = 8 * 1024;

type Hash = [u8; 32];

/// What is known of the access tokens that clients sent.
#[derive(Debug)]
pub(super) struct Identities {
    known: Mutex<BTreeMap<Hash, Arc<Slot>>>,
    asking: Semaphore,
    credentials: watch::Receiver<Option<Credentials>>,
}

#[derive(Debug, Default)]
struct Slot {
    known: Mutex<Option<Known>>,
    /// Held while the Backend is asked, so that many requests ask once.
    asking: tokio::sync::Mutex<()>,
}

impl Slot {
    fn known(&self) -> Option<Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn fresh(&self, now: Timestamp) -> Option<Result<Arc<Subject>, Denial>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|known| known.is_fresh(now)).map(|known| known.verdict.clone())
    }
}

impl Identities {
    pub(super) fn new(credentials: watch::Receiver<Option<Credentials>>) -> Self {
        let asking = Semaphore::new(ASKED_AT_ONCE_MAX);
        Identities { known: Mutex::default(), asking, credentials }
    }

    /// Who `token` stands for.
    ///
    /// # Errors
    ///
    /// A [`Denial`] if it is not good, or if nobody can say.
    pub(super) async fn of(
        &self,
        token: Option<&str>,
        backend: &dyn BackendExchange,
        audience: &Audience,
        clock: Clock,
    ) -> Result<Arc<Subject>, Denial> {
        let Some(token) = token else {
            return Err(Denial::new(
                DenialKind::TokenMissing,
                "An access token is required. Sign in, and send it as `Authorization: Bearer …`.",
            ));
        };
        if token.len() > TOKEN_MAX_BYTES {
            return Err(Denial::new(DenialKind::TokenInvalid, "This is no access token."));
        }
        let slot = self.slot(Sha256::digest(token.as_bytes()).into(), clock.now());
        if let Some(verdict) = slot.fresh(clock.now()) {
            return verdict;
        }
        let _asking = slot.asking.lock().await;
        if let Some(verdict) = slot.fresh(clock.now()) {
            return verdict;
        }
        let Ok(_permit) = self.asking.acquire().await else { return Err(unreachable_backend()) };
        match self.ask(token, backend, audience, clock).await {
            Some(verdict) => {
                let known =
                    Known { verdict: verdict.clone(), asked: clock.now(), unanswered: None };
                *slot.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
                verdict
            }
            None => match slot.known().filter(|known| known.survives_outage(clock.now())) {
                Some(known) => {
                    let verdict = known.verdict.clone();
                    let known = Known { unanswered: Some(clock.now()), ..known };
                    *slot.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
                    verdict
                }
                None => Err(unreachable_backend()),
            },
        }
    }

    /// What the Backend says of `token`; nothing if it does not say.
    async fn ask(
        &self,
        token: &str,
        backend: &dyn BackendExchange,
        audience: &Audience,
        clock: Clock,
    ) -> Option<Result<Arc<Subject>, Denial>> {
        let api_key = self.credentials.borrow().as_ref()?.api_key.clone();
        let answer = backend.exchange(introspection_request(&api_key, token)).await;
        let answer =
            answer.inspect_err(|failure| tracing::warn!(%failure, "Introspection failed")).ok()?;
        if !answer.is_success() {
            tracing::warn!(status = answer.status, "Introspection was refused");
            return None;
        }
        let reply: Introspection = decode("introspection", &answer.body)
            .inspect_err(|error| tracing::warn!(error, "Introspection was answered unreadably"))
            .ok()?;
        Some(Subject::admit(&reply, audience, clock.now()).map(Arc::new))
    }

    /// Forgets what is known of a user's tokens, or of those for one team. Tokens that are being
    /// asked about are forgotten too, uncounted: the answer may be older than the order.
    pub(super) fn forget(&self, user: &UserId, team: Option<&TeamId>) -> u64 {
        let mut forgotten = 0;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, slot| match slot.known().map(|known| known.verdict) {
            None => false,
            Some(Err(_)) => true,
            Some(Ok(subject)) => {
                let is_theirs =
                    subject.user == *user && team.is_none_or(|team| *team == subject.team);
                forgotten += u64::from(is_theirs);
                !is_theirs
            }
        });
        forgotten
    }

    fn slot(&self, hash: Hash, now: Timestamp) -> Arc<Slot> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = known.get(&hash) {
            return Arc::clone(slot);
        }
        if known.len() >= REMEMBERED_MAX {
            known.retain(|_, slot| {
                Arc::strong_count(slot) > 1
                    || slot
                        .known()
                        .is_some_and(|known| known.is_fresh(now) || known.survives_outage(now))
            });
        }
        let slot = Arc::<Slot>::default();
        // With no room left the token is asked about each time: slower, but nobody is locked out.
        if known.len() < REMEMBERED_MAX {
            known.insert(hash, Arc::clone(&slot));
        }
        slot
    }
}

fn unreachable_backend() -> Denial {
    Denial::new(
        DenialKind::TokenInvalid,
        "The access token can't be checked at the moment: the Backend does not answer. Try again \
         in a minute; the token may be good.",
    )
}
