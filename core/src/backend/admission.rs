//! May this satellite do this? Asked on every route.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;

use super::Owner;
use crate::id::{InstallationId, SatelliteId, TeamId};
use crate::wire::error::ErrorBody;

/// A refusal, answered with 403.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forbidden(pub String);

impl Forbidden {
    /// The whole error body.
    pub fn body(&self) -> ErrorBody {
        ErrorBody::new(self.0.clone())
    }
}

/// The token of an `Authorization` header, if it is a bearer's (RFC 6750; the scheme's case does
/// not matter, RFC 9110).
pub fn bearer(header: Option<&str>) -> Option<&str> {
    let (scheme, token) = header?.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Whether the satellite whose key was presented may act on the satellite of the path.
///
/// # Errors
///
/// They are not the same.
pub fn acts_as_itself(key: &SatelliteId, path: &SatelliteId) -> Result<(), Forbidden> {
    if key == path {
        return Ok(());
    }
    Err(Forbidden("The API key belongs to another satellite than the one in the path".to_owned()))
}

/// Whether the satellite may poll on the path that names `scope`: its own team, or global.
///
/// # Errors
///
/// It is another's.
pub fn polls_own_scope(owner: &Owner, scope: &Owner) -> Result<(), Forbidden> {
    if owner == scope {
        return Ok(());
    }
    let kind = owner.satellite_type().as_str();
    Err(Forbidden(format!(
        "The satellite is a {kind} satellite; poll on the path of its own scope"
    )))
}

/// Whether a command about `team` may be sent to a satellite of `owner`. One about no team may.
///
/// # Errors
///
/// The satellite does not serve that team.
pub fn takes_command(owner: &Owner, team: Option<&TeamId>) -> Result<(), Forbidden> {
    match team {
        Some(team) if !owner.serves(team) => {
            Err(Forbidden(format!("The satellite does not serve team {team}")))
        }
        _ => Ok(()),
    }
}

/// Whether a command about an installation, of the team given with it, may be sent to a satellite.
/// `named` is the team the command names.
///
/// # Errors
///
/// The satellite does not serve it, or it belongs to another team than the command says.
pub fn takes_installation(
    satellite: &SatelliteId,
    owner: &Owner,
    named: Option<&TeamId>,
    (installation, team): (&InstallationId, &TeamId),
    bound_to: Option<&SatelliteId>,
) -> Result<(), Forbidden> {
    if let Some(named) = named
        && named != team
    {
        return Err(Forbidden(format!(
            "Installation {installation} does not belong to team {named}"
        )));
    }
    if serves_installation(satellite, owner, team, bound_to) {
        return Ok(());
    }
    Err(Forbidden(format!(
        "The satellite does not serve installation {installation}; send the command to the one \
         that does"
    )))
}

/// Whether the satellite serves an installation: it serves the team, and the installation is bound
/// to it or to none. Configuration, commands and reports all ask this, so that no satellite is
/// told of a change it does not serve, nor misses one it does.
pub fn serves_installation(
    satellite: &SatelliteId,
    owner: &Owner,
    team: &TeamId,
    bound_to: Option<&SatelliteId>,
) -> bool {
    owner.serves(team) && bound_to.is_none_or(|bound| bound == satellite)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_satellite_acts_for_itself_only() {
        assert!(acts_as_itself(&"a".into(), &"a".into()).is_ok());
        assert!(acts_as_itself(&"a".into(), &"b".into()).is_err());
    }

    #[test]
    fn a_team_satellite_is_walled_in_and_a_global_one_serves_all() {
        let team = Owner::Team("t".into());
        assert!(takes_command(&team, Some(&"t".into())).is_ok());
        assert!(takes_command(&team, Some(&"other".into())).is_err());
        assert!(takes_command(&team, None).is_ok());
        assert!(takes_command(&Owner::Global, Some(&"other".into())).is_ok());
        assert!(polls_own_scope(&team, &Owner::Global).is_err());
        assert!(polls_own_scope(&team, &Owner::Team("t".into())).is_ok());
    }

    #[test]
    fn an_installation_bound_to_one_satellite_is_served_by_no_other() {
        let (one, other) = ("one".into(), "other".into());
        let serves = |bound| serves_installation(&one, &Owner::Global, &"t".into(), bound);
        assert!(serves(None));
        assert!(serves(Some(&one)));
        assert!(!serves(Some(&other)));
        let foreign = Owner::Team("x".into());
        assert!(!serves_installation(&one, &foreign, &"t".into(), Some(&one)));
    }

    #[test]
    fn a_command_goes_to_the_satellite_that_serves_the_installation_of_its_team() {
        let (one, team, installation) = ("one".into(), "t".into(), InstallationId::from("i"));
        let ask = |owner: &Owner, named: Option<&TeamId>, bound: Option<&SatelliteId>| {
            takes_installation(&one, owner, named, (&installation, &team), bound).is_ok()
        };
        assert!(ask(&Owner::Global, None, None));
        assert!(ask(&Owner::Team("t".into()), Some(&"t".into()), Some(&"one".into())));
        assert!(!ask(&Owner::Global, Some(&"x".into()), None));
        assert!(!ask(&Owner::Global, None, Some(&"other".into())));
        assert!(!ask(&Owner::Team("x".into()), None, None));
    }

    #[test]
    fn a_bearer_header_is_read_whatever_its_case() {
        assert_eq!(bearer(Some("Bearer abc")), Some("abc"));
        assert_eq!(bearer(Some("bearer  abc ")), Some("abc"));
        for header in [None, Some(""), Some("Bearer"), Some("Bearer "), Some("Basic abc")] {
            assert_eq!(bearer(header), None);
        }
    }
}
