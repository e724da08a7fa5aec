//! What users may do through the administration API: asked in one place, for every route.

use alloc::borrow::ToOwned;
use alloc::format;

use super::access_token::AccessTokenRecord;
use super::admission::Forbidden;
use crate::id::{TeamId, UserId};
use crate::time::Timestamp;

/// The scope without which a token opens no route of administration. The tokens that MCP clients
/// keep do not have it.
pub const SCOPE: &str = "satellite:manage";

/// The role that may change what is its team's.
pub const TEAM_ADMINISTRATOR: &str = "team_admin";
/// The role of everybody else.
pub const MEMBER: &str = "team_user";

/// What a route asks of its caller. The administration token may do everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// To hold the administration token.
    Administer,
    /// To be an administrator of the path's team.
    ManageTeam,
    /// To be in the path's team.
    SeeTeam,
    /// To be in the path's team, and its administrator or the path's user.
    ActForUser,
    /// To be the path's user.
    OwnUser,
}

/// Why a caller is turned away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// 401: the token is unknown, has ended, or its user left the team.
    Unknown,
    /// 403: the token, or the role, does not go so far.
    Forbidden(Forbidden),
    /// 404: for whom it is not theirs, a team is as good as not there.
    NoSuchTeam,
}

/// Whether the holder of a token may use a route that names `team` and `user` in its path.
///
/// # Errors
///
/// [`Refused`], with the status it is answered with.
pub fn authorise(
    permission: Permission,
    token: &AccessTokenRecord,
    (team, user): (Option<&TeamId>, Option<&UserId>),
    now: Timestamp,
) -> Result<(), Refused> {
    let Some(role) = token.team_role.as_deref() else { return Err(Refused::Unknown) };
    if token.revoked || token.expires_at <= now {
        return Err(Refused::Unknown);
    }
    if !token.scope.split(' ').any(|scope| scope == SCOPE) {
        return Err(forbidden(&format!("The token lacks the scope {SCOPE}")));
    }
    if team.is_some_and(|team| *team != token.team) {
        return Err(Refused::NoSuchTeam);
    }
    let manages = role == TEAM_ADMINISTRATOR;
    let is_self = user.is_some_and(|user| *user == token.user);
    let (is_allowed, why) = match permission {
        Permission::Administer => (false, "This takes the administration token"),
        Permission::ManageTeam => {
            (manages && team.is_some(), "This takes an administrator of the team")
        }
        Permission::SeeTeam => (team.is_some(), "This takes a member of the team"),
        Permission::ActForUser => (
            team.is_some() && (manages || is_self),
            "This takes the user themselves, or an administrator of the team",
        ),
        Permission::OwnUser => (is_self, "This takes the user themselves"),
    };
    if is_allowed { Ok(()) } else { Err(forbidden(why)) }
}

fn forbidden(why: &str) -> Refused {
    Refused::Forbidden(Forbidden(why.to_owned()))
}

#[cfg(test)]
mod tests {
    use alloc::string::{String, ToString};

    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp(1_000);
    const ALL: [Permission; 5] = [
        Permission::Administer,
        Permission::ManageTeam,
        Permission::SeeTeam,
        Permission::ActForUser,
        Permission::OwnUser,
    ];

    fn token(role: Option<&str>, scope: &str) -> AccessTokenRecord {
        AccessTokenRecord {
            user: "ada".into(),
            username: String::new(),
            team: "own".into(),
            team_name: String::new(),
            team_role: role.map(ToString::to_string),
            client_id: String::new(),
            scope: scope.into(),
            resources: alloc::vec![],
            issued_at: Timestamp(0),
            expires_at: Timestamp(2_000),
            revoked: false,
        }
    }

    #[test]
    fn each_role_opens_its_own_doors_and_no_others() {
        let (own, ada, bob) = (TeamId::new("own"), UserId::new("ada"), UserId::new("bob"));
        let open = |role, user| {
            ALL.map(|permission| {
                authorise(permission, &token(Some(role), SCOPE), (Some(&own), Some(user)), NOW)
                    .is_ok()
            })
        };
        assert_eq!(open(MEMBER, &ada), [false, false, true, true, true]);
        assert_eq!(open(MEMBER, &bob), [false, false, true, false, false]);
        assert_eq!(open(TEAM_ADMINISTRATOR, &ada), [false, true, true, true, true]);
        assert_eq!(open(TEAM_ADMINISTRATOR, &bob), [false, true, true, true, false]);
    }

    #[test]
    fn a_token_that_has_ended_or_is_not_for_this_opens_nothing() {
        let own = TeamId::new("own");
        let ask = |token: AccessTokenRecord, now| {
            authorise(Permission::SeeTeam, &token, (Some(&own), None), now)
        };
        assert_eq!(ask(token(Some(MEMBER), SCOPE), Timestamp(2_000)), Err(Refused::Unknown));
        assert_eq!(ask(token(None, SCOPE), NOW), Err(Refused::Unknown));
        let revoked = AccessTokenRecord { revoked: true, ..token(Some(MEMBER), SCOPE) };
        assert_eq!(ask(revoked, NOW), Err(Refused::Unknown));
        for scope in ["", "mcp:read mcp:tools:execute", "satellite:manager", "xsatellite:manage"] {
            let refused = ask(token(Some(TEAM_ADMINISTRATOR), scope), NOW);
            assert!(matches!(refused, Err(Refused::Forbidden(_))), "{scope}: {refused:?}");
        }
    }

    proptest! {
        #[test]
        fn nobody_reaches_another_team(
            permission in prop::sample::select(&ALL[..]),
            role in prop::sample::select(&[MEMBER, TEAM_ADMINISTRATOR, "owner", ""][..]),
            team in "[a-z]{0,4}",
            user in prop::option::of(prop::sample::select(&["ada", "bob"][..])),
        ) {
            prop_assume!(team != "own");
            let (team, user) = (TeamId::new(team), user.map(UserId::new));
            let answer = authorise(
                permission, &token(Some(role), SCOPE), (Some(&team), user.as_ref()), NOW,
            );
            prop_assert_eq!(answer, Err(Refused::NoSuchTeam));
        }
    }
}
