//! What the Backend answers when a satellite asks about a token (RFC 7662).

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::vec::Vec;

use super::Owner;
use super::access_token::AccessTokenRecord;
use crate::id::TeamId;
use crate::time::{SECOND, Timestamp};
use crate::wire::introspection::Introspection;

/// The answer to a satellite of `owner`.
///
/// A token that is unknown, ended, revoked, or whose user left the team is inactive without a
/// reason. One for a team the satellite does not serve, or other than `wanted`, is inactive with
/// the error `token_not_for_team`. `exp` is the token's own end, so that no cache outlives it.
pub fn answer(
    record: Option<&AccessTokenRecord>,
    owner: &Owner,
    wanted: Option<&TeamId>,
    issuer: &str,
    now: Timestamp,
) -> Introspection {
    let Some(record) = record.filter(|record| !record.revoked && now < record.expires_at) else {
        return Introspection::inactive();
    };
    let Some(role) = &record.team_role else { return Introspection::inactive() };
    if !owner.serves(&record.team) || wanted.is_some_and(|wanted| *wanted != record.team) {
        return Introspection {
            error: Some("token_not_for_team".to_owned()),
            error_description: Some(
                "the token is for another team; choose that team's satellite, \
                 or get a token for this team"
                    .to_owned(),
            ),
            ..Introspection::inactive()
        };
    }
    let aud = if record.resources.is_empty() {
        Vec::from([format!("deploystack:team:{}", record.team)])
    } else {
        record.resources.clone()
    };
    Introspection {
        active: true,
        scope: Some(record.scope.clone()),
        client_id: Some(record.client_id.clone()),
        username: Some(record.username.clone()),
        sub: Some(record.user.clone()),
        aud,
        iss: Some(issuer.to_owned()),
        exp: Some(record.expires_at.0 / SECOND),
        iat: Some(record.issued_at.0 / SECOND),
        team_id: Some(record.team.clone()),
        team_name: Some(record.team_name.clone()),
        team_role: Some(role.clone()),
        team_permissions: permissions(role).iter().map(|&text| text.to_owned()).collect(),
        error: None,
        error_description: None,
    }
}

/// What a role may do in its team.
fn permissions(role: &str) -> &'static [&'static str] {
    match role {
        "team_admin" => &["mcp.servers.view", "mcp.tools.execute", "mcp.tools.manage"],
        _ => &["mcp.servers.view", "mcp.tools.execute"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn record() -> AccessTokenRecord {
        AccessTokenRecord {
            user: "u".into(),
            username: "ann".into(),
            team: "t".into(),
            team_name: "T".into(),
            team_role: Some("team_user".into()),
            client_id: "c".into(),
            scope: "mcp:read".into(),
            resources: Vec::new(),
            issued_at: Timestamp(0),
            expires_at: Timestamp(1_001_000),
            revoked: false,
        }
    }

    fn ask(record: &AccessTokenRecord, owner: &Owner, wanted: Option<&TeamId>) -> Introspection {
        answer(Some(record), owner, wanted, "https://b", NOW)
    }

    #[test]
    fn a_good_token_is_described_with_its_own_end() {
        let reply = ask(&record(), &Owner::Global, None);
        assert!(reply.active);
        assert_eq!(reply.exp, Some(1_001));
        assert_eq!(reply.aud, ["deploystack:team:t"]);
        assert_eq!(reply.sub, Some("u".into()));
    }

    #[test]
    fn a_token_of_another_team_is_inactive_and_says_so() {
        let elsewhere = ask(&record(), &Owner::Team("other".into()), None);
        assert!(!elsewhere.active);
        assert_eq!(elsewhere.error.as_deref(), Some("token_not_for_team"));
        assert_eq!(elsewhere.sub, None);
        assert!(!ask(&record(), &Owner::Global, Some(&"other".into())).active);
        assert!(ask(&record(), &Owner::Team("t".into()), Some(&"t".into())).active);
    }

    #[test]
    fn a_token_that_ended_in_any_way_is_inactive_without_a_reason() {
        let inactive = Introspection::inactive();
        assert_eq!(answer(None, &Owner::Global, None, "i", NOW), inactive);
        let revoked = AccessTokenRecord { revoked: true, ..record() };
        assert_eq!(ask(&revoked, &Owner::Global, None), inactive);
        let left = AccessTokenRecord { team_role: None, ..record() };
        assert_eq!(ask(&left, &Owner::Global, None), inactive);
        let ended = AccessTokenRecord { expires_at: NOW, ..record() };
        assert_eq!(ask(&ended, &Owner::Global, None), inactive);
    }
}
