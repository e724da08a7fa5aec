//! Users' access to servers, and where a daemon has their tokens from.

use std::collections::BTreeMap;

use satellite_core::id::{InstanceKey, UserId};
use satellite_core::remote::{self, AccessToken, Failure};
use satellite_core::secret::Secret;
use satellite_core::time::{HOUR, MINUTE, Timestamp};

use crate::stage::faults::Fault;
use crate::stage::{SECRET, Stage};

/// One user's access to one server.
#[derive(Clone, Copy, Debug, Default)]
pub struct Access {
    /// Tokens before this one are refused.
    pub good_from: u64,
    /// Whether no token is good before the user has connected again.
    pub has_ended: bool,
}

/// Tokens of all users.
#[derive(Debug, Default)]
pub struct Tokens {
    /// When each token ends. Its place is its id.
    ends: Vec<Timestamp>,
    /// The token that each satellite has for an instance.
    kept: BTreeMap<(usize, InstanceKey), u64>,
}

impl Tokens {
    /// The id of the next token.
    fn next(&self) -> u64 {
        self.ends.len() as u64
    }

    fn lasts(&self, id: u64, now: Timestamp) -> bool {
        usize::try_from(id).ok().and_then(|at| self.ends.get(at)).is_some_and(|ends| now < *ends)
    }

    /// Has a satellite ask anew for a user's tokens.
    pub(in crate::stage) fn forget(&mut self, satellite: usize, user: &UserId) {
        self.kept.retain(|(whose, key), _| *whose != satellite || key.user != *user);
    }

    /// A daemon begins without any.
    pub(in crate::stage) fn forget_all(&mut self, satellite: usize) {
        self.kept.retain(|(whose, _), _| *whose != satellite);
    }
}

/// A token's text.
fn text(slug: &str, user: &str, id: u64) -> String {
    format!("{SECRET}-token:{slug}:{user}:{id}")
}

/// Server, user and id of a token.
pub(in crate::stage) fn read(text: &str) -> Option<(&str, &str, u64)> {
    let mut parts = text.split(':').skip(1);
    Some((parts.next()?, parts.next()?, parts.next()?.parse().ok()?))
}

/// The slug in an instance's key.
pub(super) fn slug(key: &InstanceKey) -> &str {
    key.installation.as_str().strip_prefix("i-").unwrap_or_default()
}

impl Stage {
    /// What the source of tokens says.
    pub(super) fn token(
        &mut self,
        satellite: usize,
        key: &InstanceKey,
        stale: Option<u64>,
    ) -> Result<AccessToken, Failure> {
        if self.strikes(satellite, Fault::TokenRefused) {
            let what = "the Backend could not be asked for a token; check that it runs";
            return Err(Failure::new(remote::Fault::Unreachable, what));
        }
        let (slug, user) = (slug(key), key.user.as_str());
        let needs_again = || {
            let what = "the access has ended; connect the server again";
            Failure::new(remote::Fault::AuthorisationNeeded, what)
        };
        let server = self.remotes.servers.get_mut(slug).ok_or_else(needs_again)?;
        if server.access.entry(user.to_string()).or_default().has_ended {
            return Err(needs_again());
        }
        let now = self.now;
        let tokens = &mut self.remotes.tokens;
        let place = (satellite, key.clone());
        let kept = tokens.kept.get(&place).copied();
        let id = match kept.filter(|id| Some(*id) != stale && tokens.lasts(*id, now)) {
            Some(id) => id,
            None => {
                let id = tokens.next();
                tokens.ends.push(now.after(self.remotes.random.between(10 * MINUTE, 3 * HOUR)));
                tokens.kept.insert(place, id);
                id
            }
        };
        let ends = usize::try_from(id).ok().and_then(|at| self.remotes.tokens.ends.get(at));
        let left = ends.map_or(0, |ends| ends.since(now));
        let clock = self.satellites.get(satellite).map(|subject| subject.clock);
        Ok(AccessToken {
            id,
            token_type: String::from("Bearer"),
            token: Secret::new(text(slug, user, id)),
            expires_at: clock.map(|clock| clock.show(now).after(left)),
        })
    }

    /// Whether a server takes a token.
    pub(super) fn takes_token(&self, slug: &str, authorization: Option<&str>) -> bool {
        let Some(server) = self.remotes.servers.get(slug) else { return false };
        let token = authorization.and_then(|value| value.strip_prefix("Bearer ")).and_then(read);
        token.is_some_and(|(of, user, id)| {
            let access = server.access.get(user).copied().unwrap_or_default();
            let is_good = !access.has_ended && id >= access.good_from;
            is_good && of == slug && self.remotes.tokens.lasts(id, self.now)
        })
    }

    /// Has a server take none of the tokens that a user has: the next one will do.
    pub fn void_tokens(&mut self, slug: &str, user: &str) {
        let next = self.remotes.tokens.next();
        if let Some(access) = self.access(slug, user) {
            access.good_from = next;
        }
    }

    /// Ends a user's access to a server until the user connects again.
    pub fn end_access(&mut self, slug: &str, user: &str) {
        if let Some(access) = self.access(slug, user) {
            access.has_ended = true;
        }
    }

    /// A user connects to a server again, and every satellite is told.
    pub fn give_access(&mut self, slug: &str, user: &str) {
        self.void_tokens(slug, user);
        if let Some(access) = self.access(slug, user) {
            access.has_ended = false;
        }
        let about = serde_json::json!({"event": "mcp_recovery", "team_id": "t1",
            "installation_id": format!("i-{slug}"), "user_id": user});
        self.file_with_all("configure", &about);
    }

    fn access(&mut self, slug: &str, user: &str) -> Option<&mut Access> {
        let server = self.remotes.servers.get_mut(slug).filter(|server| server.kind.needs_token)?;
        Some(server.access.entry(user.to_string()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_whose_it_is() {
        assert_eq!(read(&text("far", "u1", 17)), Some(("far", "u1", 17)));
        assert_eq!(read("something else"), None);
    }
}
