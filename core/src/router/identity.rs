//! Who calls: the user behind an access token.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::denial::{Denial, DenialKind};
use super::scope::Scope;
use crate::http::{HttpRequest, Method};
use crate::id::{TeamId, UserId};
use crate::limits::{
    BACKEND_TIMEOUT_MS, INTROSPECTION_CACHE_MS, INTROSPECTION_NEGATIVE_CACHE_MS,
    INTROSPECTION_OUTAGE_MS, INTROSPECTION_RETRY_MS,
};
use crate::secret::Secret;
use crate::time::{SECOND, Timestamp};
use crate::wire::introspection::{Introspection, IntrospectionRequest};
use crate::wire::{encode, path};

/// A user, as a valid access token names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The user.
    pub user: UserId,
    /// The team the token is for.
    pub team: TeamId,
    /// The OAuth client it was issued to.
    pub client: Option<String>,
    /// What it permits.
    pub scopes: BTreeSet<String>,
    /// When it ends, if the Backend said so.
    pub expires: Option<Timestamp>,
}

impl Subject {
    /// Whether the token permits `scope`.
    pub fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(scope.as_str())
    }

    /// Reads the Backend's answer about a token (RFC 7662 §2.2).
    ///
    /// # Errors
    ///
    /// A [`Denial`] of kind [`DenialKind::TokenInvalid`] if the token is not active, has ended, is
    /// for another resource (RFC 8707), or names no user or team.
    pub fn admit(
        reply: &Introspection,
        audience: &Audience,
        now: Timestamp,
    ) -> Result<Subject, Denial> {
        let invalid = |text: &str| Denial::new(DenialKind::TokenInvalid, text);
        if !reply.active {
            return Err(invalid("The access token is unknown, expired or revoked. Sign in again."));
        }
        let (Some(user), Some(team)) = (&reply.sub, &reply.team_id) else {
            return Err(invalid(
                "The access token names no user or no team. Sign in again and choose a team.",
            ));
        };
        let expires = reply.exp.map(|seconds| Timestamp(seconds.saturating_mul(SECOND)));
        if expires.is_some_and(|end| end <= now) {
            return Err(invalid("The access token has expired. Refresh it or sign in again."));
        }
        if !audience.is_met(&reply.aud, team) {
            return Err(Denial::new(
                DenialKind::TokenInvalid,
                format!(
                    "The access token is for another resource than {}. Sign in with that resource.",
                    audience.resource()
                ),
            ));
        }
        Ok(Subject {
            user: user.clone(),
            team: team.clone(),
            client: reply.client_id.clone(),
            scopes: reply.scopes().map(String::from).collect(),
            expires,
        })
    }
}

/// What is known of a token, and since when.
#[derive(Clone, Debug)]
pub struct Known {
    /// Who it stands for, or why nobody.
    pub verdict: Result<Arc<Subject>, Denial>,
    /// When the Backend was asked.
    pub asked: Timestamp,
    /// When it was last asked in vain since then.
    pub unanswered: Option<Timestamp>,
}

impl Known {
    /// Whether it may be used without asking again: a subject for 5 minutes or until its token
    /// ends, a refusal for a moment.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        let life = match self.verdict {
            Ok(_) => INTROSPECTION_CACHE_MS,
            Err(_) => INTROSPECTION_NEGATIVE_CACHE_MS,
        };
        let is_spared = self.unanswered.is_some_and(|at| now.since(at) < INTROSPECTION_RETRY_MS);
        self.holds(now, life) || is_spared && self.survives_outage(now)
    }

    /// Whether it may be used while the Backend can't be asked: nothing says that a token which
    /// was good has been revoked, and its own end still counts.
    pub fn survives_outage(&self, now: Timestamp) -> bool {
        self.verdict.is_ok() && self.holds(now, INTROSPECTION_OUTAGE_MS)
    }

    fn holds(&self, now: Timestamp, life: u64) -> bool {
        let has_ended = self
            .verdict
            .as_ref()
            .is_ok_and(|subject| subject.expires.is_some_and(|end| end <= now));
        now.since(self.asked) < life && !has_ended
    }
}

/// Asks the Backend about an access token.
pub fn introspection_request(api_key: &Secret, token: &str) -> HttpRequest {
    let question = IntrospectionRequest { token: Secret::new(token), team_id: None };
    HttpRequest {
        method: Method::Post,
        path: String::from(path::INTROSPECT),
        bearer: Some(api_key.clone()),
        headers: Vec::new(),
        body: Some(encode(&question)),
        timeout_ms: BACKEND_TIMEOUT_MS,
    }
}

/// Which `aud` values a token may have here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audience {
    resource: String,
    accepted: Vec<String>,
}

impl Audience {
    /// The audience of a satellite at `base` (no trailing slash): its resource `{base}/mcp`, or
    /// the base itself, which older discovery documents named.
    pub fn new(base: &str) -> Self {
        Audience {
            resource: format!("{base}/mcp"),
            accepted: Vec::from([
                String::from(base),
                format!("{base}/"),
                format!("{base}/mcp"),
                format!("{base}/mcp/"),
            ]),
        }
    }

    /// The resource's URI (RFC 9728 §2).
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// A token that was asked for without a resource is issued for its team:
    /// `deploystack:team:{id}`. Which teams are served here is judged separately.
    fn is_met(&self, audiences: &[String], team: &TeamId) -> bool {
        audiences.iter().any(|audience| {
            self.accepted.contains(audience)
                || audience.strip_prefix("deploystack:team:") == Some(team.as_str())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply() -> Introspection {
        Introspection {
            active: true,
            scope: Some(String::from("mcp:read offline_access")),
            sub: Some(UserId::new("u1")),
            team_id: Some(TeamId::new("t1")),
            aud: Vec::from([String::from("https://sat.example.com/mcp")]),
            exp: Some(2_000),
            ..Introspection::default()
        }
    }

    fn admit(reply: &Introspection) -> Result<Subject, Denial> {
        Subject::admit(reply, &Audience::new("https://sat.example.com"), Timestamp(1_000_000))
    }

    #[test]
    fn a_good_token_becomes_a_subject_with_its_scopes_and_end() {
        let subject = admit(&reply()).unwrap();
        assert_eq!(subject.user, UserId::new("u1"));
        assert_eq!(subject.expires, Some(Timestamp(2_000_000)));
        assert!(subject.has(Scope::Read) && !subject.has(Scope::Execute));
    }

    #[test]
    fn inactive_expired_nameless_and_foreign_tokens_are_refused() {
        let cases = [
            Introspection { active: false, ..reply() },
            Introspection { exp: Some(1_000), ..reply() },
            Introspection { sub: None, ..reply() },
            Introspection { team_id: None, ..reply() },
            Introspection { aud: Vec::new(), ..reply() },
            Introspection {
                aud: Vec::from([String::from("https://other.example/mcp")]),
                ..reply()
            },
            Introspection { aud: Vec::from([String::from("deploystack:team:t2")]), ..reply() },
        ];
        for case in cases {
            let denial = admit(&case).unwrap_err();
            assert_eq!(denial.kind, DenialKind::TokenInvalid, "{case:?}");
        }
    }

    #[test]
    fn what_is_known_of_a_token_ages_and_ends_with_it() {
        let asked = Timestamp(1_000_000);
        let mut subject = admit(&reply()).unwrap();
        let refused = Known {
            verdict: Err(admit(&Introspection::inactive()).unwrap_err()),
            asked,
            unanswered: None,
        };
        assert!(refused.is_fresh(asked.after(INTROSPECTION_NEGATIVE_CACHE_MS - 1)));
        assert!(!refused.is_fresh(asked.after(INTROSPECTION_NEGATIVE_CACHE_MS)));
        assert!(!refused.survives_outage(asked));
        let known = Known { verdict: Ok(Arc::new(subject.clone())), asked, unanswered: None };
        assert!(known.is_fresh(asked.after(INTROSPECTION_CACHE_MS - 1)));
        assert!(!known.is_fresh(asked.after(INTROSPECTION_CACHE_MS)));
        assert!(known.survives_outage(asked.after(INTROSPECTION_CACHE_MS)));
        assert!(!known.survives_outage(Timestamp(2_000_000)), "its own end counts");
        let tried = asked.after(INTROSPECTION_CACHE_MS);
        let unanswered = Known { unanswered: Some(tried), ..known.clone() };
        assert!(unanswered.is_fresh(tried.after(INTROSPECTION_RETRY_MS - 1)));
        assert!(!unanswered.is_fresh(tried.after(INTROSPECTION_RETRY_MS)), "it is asked again");
        assert!(!unanswered.is_fresh(Timestamp(2_000_000)), "its own end counts");
        subject.expires = None;
        let endless = Known { verdict: Ok(Arc::new(subject)), asked, unanswered: None };
        assert!(!endless.survives_outage(asked.after(INTROSPECTION_OUTAGE_MS)));
    }

    #[test]
    fn the_question_carries_the_satellite_s_key_and_the_token() {
        let request = introspection_request(&Secret::new("key"), "tok");
        assert_eq!(request.path, "/api/oauth2/introspect");
        assert_eq!(request.bearer, Some(Secret::new("key")));
        assert_eq!(request.body.as_deref(), Some(&br#"{"token":"tok"}"#[..]));
    }

    #[test]
    fn a_token_for_its_team_is_for_every_satellite_of_that_team() {
        let aud = Vec::from([String::from("deploystack:team:t1")]);
        assert!(admit(&Introspection { aud, ..reply() }).is_ok());
    }
}
