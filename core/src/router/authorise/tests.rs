use alloc::string::String;

use super::*;
use crate::id::{SatelliteId, TeamId};
use crate::router::catalogue::tests::{instance, subject, token, view};
use crate::view::SatelliteIdentity;

const NOW: Timestamp = Timestamp(1_000);

fn denied(view: &View, path: &str, token: Option<&str>) -> Denial {
    instance_by_token(view, path, token).map(|_| ()).unwrap_err()
}

#[test]
fn an_instance_token_opens_its_own_path_only() {
    let view = view([instance("t", "i1", "u", "a", &[]), instance("t", "i2", "u", "b", &[])]);
    let own = token("i1", "u");
    let found = instance_by_token(&view, "path-i1-u", Some(&own)).unwrap();
    assert_eq!(found.key.installation.as_str(), "i1");
    assert_eq!(denied(&view, "path-i2-u", Some(&own)).kind, DenialKind::InstancePath);
}

#[test]
fn no_answer_tells_a_stranger_which_paths_exist() {
    let view = view([instance("t", "i1", "u", "a", &[]), instance("t", "i2", "u", "b", &[])]);
    let stranger = token("other", "x");
    for token in [None, Some(""), Some("ds_inst_"), Some("ds_inst_zz"), Some(&*stranger)] {
        let present = denied(&view, "path-i1-u", token);
        assert_eq!(present, denied(&view, "no-such-path", token));
        assert_eq!(present.kind, DenialKind::InstanceToken);
    }
    let neighbour = token("i2", "u");
    let present = denied(&view, "path-i1-u", Some(&neighbour));
    assert_eq!(present, denied(&view, "no-such-path", Some(&neighbour)));
}

#[test]
fn an_instance_without_a_hash_opens_to_nobody() {
    let mut open = instance("t", "i1", "u", "a", &[]);
    if let Some(address) = &mut open.address {
        address.token_hash.clear();
    }
    let view = view([open]);
    let own = token("i1", "u");
    assert_eq!(denied(&view, "path-i1-u", Some(&own)).kind, DenialKind::InstanceToken);
}

#[test]
fn a_team_satellite_refuses_users_of_other_teams() {
    let mut view = View::default();
    let subject = subject("t1", "u");
    assert_eq!(router_access(&view, &subject, Scope::Read, NOW), Ok(()));
    view.satellite = Some(SatelliteIdentity {
        id: SatelliteId::new("s"),
        name: String::from("s"),
        team: Some(TeamId::new("t2")),
    });
    let denial = router_access(&view, &subject, Scope::Read, NOW).unwrap_err();
    assert_eq!(denial.kind, DenialKind::WrongTeam);
}

#[test]
fn each_scope_is_asked_for_and_an_expired_token_has_none() {
    let view = View::default();
    let mut subject = subject("t", "u");
    subject.scopes = [String::from("mcp:read")].into();
    assert_eq!(router_access(&view, &subject, Scope::Read, NOW), Ok(()));
    let denial = router_access(&view, &subject, Scope::Execute, NOW).unwrap_err();
    assert_eq!(denial.kind, DenialKind::ScopeMissing(Scope::Execute));
    subject.expires = Some(NOW);
    let denial = router_access(&view, &subject, Scope::Read, NOW).unwrap_err();
    assert_eq!(denial.kind, DenialKind::TokenInvalid);
}
