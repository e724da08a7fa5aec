use alloc::format;

use proptest::prelude::*;

use super::*;

fn owner(name: &str) -> Owner {
    Owner { user: UserId::new(name), team: TeamId::new("t"), installation: None }
}

fn entropy(number: u64) -> [u8; 16] {
    u128::from(number).to_be_bytes()
}

fn opened(sessions: &mut Sessions, now: u64, name: &str, number: u64) -> SessionId {
    let revision = Revision::LATEST;
    sessions.open(Timestamp(now), owner(name), revision, entropy(number)).unwrap().id
}

#[test]
fn a_session_is_its_owners_and_nobody_elses_can_tell_it_from_none() {
    let mut sessions = Sessions::default();
    let id = opened(&mut sessions, 0, "a", 1);
    assert!(sessions.enter(Timestamp(1), id.as_str(), &owner("a")).is_ok());
    let foreign = sessions.enter(Timestamp(1), id.as_str(), &owner("b")).map(|_| ());
    assert_eq!(foreign, sessions.enter(Timestamp(1), "never", &owner("b")).map(|_| ()));
    assert_eq!(foreign, Err(Refusal::Unknown));
    let instance = Owner { installation: Some(InstallationId::new("i")), ..owner("a") };
    assert!(sessions.enter(Timestamp(1), id.as_str(), &instance).is_err());
    assert!(sessions.close(Timestamp(1), id.as_str(), &owner("b")).is_err());
    assert!(sessions.close(Timestamp(1), id.as_str(), &owner("a")).is_ok());
    assert!(sessions.enter(Timestamp(1), id.as_str(), &owner("a")).is_err());
}

#[test]
fn half_an_hour_without_traffic_ends_a_session_for_good() {
    let mut sessions = Sessions::default();
    let id = opened(&mut sessions, 0, "a", 1);
    assert!(sessions.enter(Timestamp(SESSION_IDLE_MS - 1), id.as_str(), &owner("a")).is_ok());
    let end = 2 * SESSION_IDLE_MS - 1;
    assert_eq!(sessions.next_deadline().map(|d| d.at), Some(Timestamp(end)));
    assert!(sessions.enter(Timestamp(end), id.as_str(), &owner("a")).is_err());
    assert!(sessions.enter(Timestamp(0), id.as_str(), &owner("a")).is_err());
    assert!(sessions.is_empty());
}

#[test]
fn an_open_stream_keeps_a_session() {
    let mut sessions = Sessions::default();
    let id = opened(&mut sessions, 0, "a", 1);
    sessions.begin(&id);
    assert_eq!(sessions.next_deadline(), None);
    assert!(sessions.expire(Timestamp(10 * SESSION_IDLE_MS)).is_empty());
    sessions.end(Timestamp(10 * SESSION_IDLE_MS), &id);
    assert_eq!(sessions.expire(Timestamp(11 * SESSION_IDLE_MS)), [id]);
}

#[test]
fn an_owner_at_its_bound_loses_its_longest_unused_session_but_no_busy_one() {
    let mut sessions = Sessions::default();
    let most = SESSIONS_PER_SUBJECT_MAX as u64;
    let first = opened(&mut sessions, 0, "a", 0);
    for number in 1..most {
        opened(&mut sessions, number, "a", number);
    }
    sessions.begin(&first);
    let revision = Revision::LATEST;
    let soon = sessions.open(Timestamp(most), owner("a"), revision, entropy(most));
    assert_eq!(soon, Err(Refusal::LimitReached));
    let later = Timestamp(SESSION_YOUNG_MS + most);
    let opened = sessions.open(later, owner("a"), revision, entropy(most)).unwrap();
    assert_eq!(opened.replaced, Some(id_from(entropy(1))));
    assert!(sessions.open(later, owner("b"), revision, entropy(most + 1)).is_ok());
}

#[test]
fn entropy_that_repeats_opens_nothing() {
    let mut sessions = Sessions::default();
    opened(&mut sessions, 0, "a", 1);
    let again = sessions.open(Timestamp(0), owner("b"), Revision::LATEST, entropy(1));
    assert_eq!(again, Err(Refusal::IllegalTransition));
}

proptest! {
    /// Against a list of (id, owner, last use): entering succeeds for exactly the sessions that
    /// are alive and the caller's own.
    #[test]
    fn only_living_sessions_of_the_caller_open(
        steps in prop::collection::vec((0..3_u8, 0..3_u64, 0..8_usize, 0..SESSION_IDLE_MS), 1..60),
    ) {
        let mut sessions = Sessions::default();
        let mut model: Vec<(SessionId, Owner, u64)> = Vec::new();
        let mut now = 0;
        for (number, (action, who, which, wait)) in steps.into_iter().enumerate() {
            now += wait / 2;
            let caller = owner(&format!("u{who}"));
            if action == 0 {
                let entropy = entropy(number as u64);
                let opened =
                    sessions.open(Timestamp(now), caller.clone(), Revision::LATEST, entropy);
                model.push((opened.unwrap().id, caller, now));
                continue;
            }
            let Some((id, owner, used)) = model.get_mut(which) else { continue };
            let alive = *owner == caller && now - *used < SESSION_IDLE_MS;
            let idle = now - *used >= SESSION_IDLE_MS;
            if action == 1 {
                let entered = sessions.enter(Timestamp(now), id.as_str(), &caller);
                prop_assert_eq!(entered.is_ok(), alive);
                if alive {
                    *used = now;
                }
            } else {
                let closed = sessions.close(Timestamp(now), id.as_str(), &caller);
                prop_assert_eq!(closed.is_ok(), alive);
            }
            if idle || (action == 2 && alive) {
                // Gone for good, whatever time it is later.
                model.remove(which);
            }
        }
    }
}
