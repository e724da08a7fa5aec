use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::view::WaitsFor;

fn bounds(processes: usize, per_team: Option<usize>, starts: usize) -> Bounds {
    Bounds { processes, per_team, starts }
}

fn of(team: &str, user: &str) -> InstanceKey {
    InstanceKey { team: team.into(), installation: "i".into(), user: user.into() }
}

fn key(user: &str) -> InstanceKey {
    of("t", user)
}

/// Starts whoever's turn it is, until nobody can be; each start is over at once.
fn served(places: &mut Places) -> Vec<InstanceKey> {
    let mut served = Vec::new();
    while let Some(key) = places.next() {
        places.settled(&key);
        served.push(key);
    }
    served
}

#[test]
fn who_comes_first_is_served_first_and_no_more_than_there_is_room_for() {
    let mut places = Places::new(bounds(2, None, 9));
    for user in ["a", "b", "c", "a"] {
        places.claim(&key(user));
    }
    assert_eq!(served(&mut places), [key("a"), key("b")]);
    assert_eq!((places.held(), places.view(0).waiting), (2, 1));
    assert_eq!(places.view(0).waits_for(&"t".into()), WaitsFor::Place);
    places.release(&key("a"));
    assert_eq!(places.next(), Some(key("c")));
}

#[test]
fn who_holds_a_place_does_not_wait_for_another() {
    let mut places = Places::new(bounds(1, Some(1), 9));
    places.claim(&key("a"));
    assert_eq!(served(&mut places), [key("a")]);
    places.claim(&key("b"));
    places.claim(&key("a"));
    assert_eq!(served(&mut places), [key("a")]);
    assert_eq!(places.held(), 1);
}

#[test]
fn a_thousand_of_one_team_cost_another_one_turn() {
    let mut places = Places::new(bounds(4, None, 9));
    for number in 0..1_000 {
        places.claim(&of("big", &format!("{number:04}")));
    }
    assert_eq!(served(&mut places).len(), 4);
    places.claim(&of("small", "a"));
    places.release(&of("big", "0000"));
    places.release(&of("big", "0001"));
    assert_eq!(served(&mut places), [of("small", "a"), of("big", "0004")]);
}

#[test]
fn a_team_at_its_quota_waits_and_the_others_do_not() {
    let mut places = Places::new(bounds(9, Some(2), 9));
    for key in [key("a"), key("b"), key("c"), of("u", "a")] {
        places.claim(&key);
    }
    assert_eq!(served(&mut places), [key("a"), of("u", "a"), key("b")]);
    let view = places.view(0);
    assert_eq!(view.full_teams, [("t".into(), 1)].into());
    assert_eq!(view.waits_for(&"t".into()), WaitsFor::TeamPlace);
    places.release(&key("a"));
    assert_eq!(served(&mut places), [key("c")]);
    assert!(places.view(0).full_teams.is_empty(), "it waits for nothing more");
}

#[test]
fn only_so_many_start_at_once_and_the_last_start_is_for_a_team_that_starts_nothing() {
    let mut places = Places::new(bounds(50, None, 3));
    for user in ["a", "b", "c"] {
        places.claim(&of("hangs", user));
    }
    assert_eq!(places.next(), Some(of("hangs", "a")));
    assert_eq!(places.next(), Some(of("hangs", "b")));
    assert_eq!(places.next(), None);
    assert_eq!(places.view(0).waits_for(&"hangs".into()), WaitsFor::OtherStarts);
    places.claim(&of("other", "a"));
    assert_eq!(places.next(), Some(of("other", "a")));
    places.settled(&of("hangs", "a"));
    assert_eq!(places.next(), None, "one is under way still");
    places.release(&of("other", "a"));
    assert_eq!(places.next(), Some(of("hangs", "c")));
}

#[derive(Clone, Debug)]
enum Step {
    Claim(u8, u8),
    Release(u8, u8),
    Settled(u8, u8),
    Fill,
    Resize(usize, Option<usize>, usize),
}

fn bounds_of(processes: usize, per_team: Option<usize>, starts: usize) -> Bounds {
    bounds(processes, per_team, starts.max(1))
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let who = || (0u8..4, 0u8..6);
    let quota = proptest::option::of(1usize..5);
    let step = prop_oneof![
        6 => who().prop_map(|(team, user)| Step::Claim(team, user)),
        3 => who().prop_map(|(team, user)| Step::Release(team, user)),
        3 => who().prop_map(|(team, user)| Step::Settled(team, user)),
        6 => Just(Step::Fill),
        1 => (0usize..8, quota, 1usize..5).prop_map(|(all, team, starts)| {
            Step::Resize(all, team, starts)
        }),
    ];
    proptest::collection::vec(step, 1..200)
}

fn who(team: u8, user: u8) -> InstanceKey {
    of(&format!("t{team}"), &format!("u{user}"))
}

/// Everything that is remembered twice says the same.
fn agrees(places: &Places) -> Result<(), TestCaseError> {
    let count = |keys: &BTreeSet<InstanceKey>, team: &TeamId| {
        keys.iter().filter(|key| key.team == *team).count()
    };
    for (id, team) in &places.teams {
        prop_assert_eq!(team.held, count(&places.held, id));
        prop_assert_eq!(team.starting, count(&places.starting, id));
        prop_assert!(team.held > 0 || team.waits(), "nothing is kept of a team that has nothing");
        for key in team.waiting.values() {
            prop_assert!(!places.held.contains(key));
        }
        for key in team.again.values() {
            prop_assert!(places.held.contains(key));
        }
    }
    let waiting: usize =
        places.teams.values().map(|team| team.waiting.len() + team.again.len()).sum();
    prop_assert_eq!(waiting, places.tickets.len());
    prop_assert!(places.starting.is_subset(&places.held));
    Ok(())
}

proptest! {
    #[test]
    fn no_bound_is_passed_and_no_turn_is_lost(steps in steps()) {
        let mut places = Places::new(bounds_of(3, Some(2), 2));
        let mut wanted: BTreeSet<InstanceKey> = BTreeSet::new();
        for step in steps {
            match step {
                Step::Claim(team, user) => {
                    places.claim(&who(team, user));
                    wanted.insert(who(team, user));
                }
                Step::Release(team, user) => {
                    places.release(&who(team, user));
                    wanted.remove(&who(team, user));
                }
                Step::Settled(team, user) => places.settled(&who(team, user)),
                Step::Resize(all, team, starts) => places.resize(bounds_of(all, team, starts)),
                Step::Fill => {
                    let held = places.held.clone();
                    while let Some(key) = places.next() {
                        let Bounds { processes, per_team, starts } = places.bounds;
                        let team = &places.teams[&key.team];
                        prop_assert!(wanted.remove(&key), "one start for one claim: {}", key);
                        // Who held a place is started in it, though there may be fewer since.
                        if !held.contains(&key) {
                            prop_assert!(places.held.len() <= processes);
                            prop_assert!(per_team.is_none_or(|most| team.held <= most));
                        }
                        prop_assert!(places.starting.len() <= starts);
                    }
                }
            }
            agrees(&places)?;
            let waiting: BTreeSet<InstanceKey> = places.tickets.keys().cloned().collect();
            prop_assert_eq!(&waiting, &wanted);
        }
    }

    /// Whatever happened before: where every start ends and every process does, all that wait are
    /// started.
    #[test]
    fn nobody_waits_for_ever_where_places_come_free(steps in steps()) {
        let mut places = Places::new(bounds_of(3, Some(2), 2));
        for step in steps {
            match step {
                Step::Claim(team, user) => places.claim(&who(team, user)),
                Step::Release(team, user) => places.release(&who(team, user)),
                Step::Settled(team, user) => places.settled(&who(team, user)),
                Step::Resize(all, team, starts) => {
                    places.resize(bounds_of(all.max(1), team, starts));
                }
                Step::Fill => { places.next(); }
            }
        }
        let mut rounds = 0;
        while !places.tickets.is_empty() {
            let held = places.held.iter().filter(|key| !places.tickets.contains_key(*key));
            for key in held.cloned().collect::<Vec<_>>() {
                places.release(&key);
            }
            // Those that wait for another start in their places have it, or give them up in the end.
            if served(&mut places).is_empty() {
                let stuck: Vec<InstanceKey> = places.starting.iter().cloned().collect();
                prop_assert!(!stuck.is_empty(), "{:?}", places);
                for key in stuck {
                    places.settled(&key);
                }
            }
            rounds += 1;
            prop_assert!(rounds < 100, "{:?}", places);
        }
    }

    /// While a team waits and could be started, each other team is served once at most.
    #[test]
    fn a_team_s_first_waits_for_one_turn_of_each_other_at_most(
        queues in proptest::collection::vec(0usize..12, 2..6),
        mine in 0usize..6,
        served_before in 0usize..8,
        capacity in 1usize..4,
    ) {
        let mut places = Places::new(bounds(capacity, None, 9));
        let mine = mine % queues.len();
        for (team, length) in queues.iter().enumerate().filter(|(team, _)| *team != mine) {
            for number in 0..*length {
                places.claim(&who(team as u8, number as u8));
            }
        }
        let turn = |places: &mut Places| -> Option<InstanceKey> {
            let key = places.next()?;
            places.release(&key);
            Some(key)
        };
        for _ in 0..served_before {
            turn(&mut places);
        }
        places.claim(&who(mine as u8, 0));
        let mut others = vec![0usize; queues.len()];
        while let Some(key) = turn(&mut places) {
            if key == who(mine as u8, 0) {
                break;
            }
            let team = queues.iter().enumerate().position(|(team, _)| key.team == who(team as u8, 0).team);
            others[team.unwrap()] += 1;
        }
        prop_assert!(!places.tickets.contains_key(&who(mine as u8, 0)));
        prop_assert!(others.iter().all(|turns| *turns <= 1), "{:?}", others);
    }

    /// Within a team who came first is started first.
    #[test]
    fn a_team_s_instances_start_in_the_order_they_asked(
        asked in proptest::collection::vec((0u8..3, 0u8..20), 1..60),
        starts in 1usize..4,
    ) {
        let mut places = Places::new(bounds(100, None, starts));
        let mut order: Vec<InstanceKey> = Vec::new();
        for (team, user) in asked {
            let key = who(team, user);
            if !order.contains(&key) {
                order.push(key.clone());
            }
            places.claim(&key);
        }
        let served = served(&mut places);
        prop_assert_eq!(served.len(), order.len());
        for team in 0u8..3 {
            let of_team = |keys: &[InstanceKey]| -> Vec<InstanceKey> {
                keys.iter().filter(|key| key.team == who(team, 0).team).cloned().collect()
            };
            prop_assert_eq!(of_team(&served), of_team(&order));
        }
    }
}

#[test]
fn what_lacks_is_counted_apart_for_a_full_team_and_for_the_satellite() {
    let mut places = Places::new(bounds(3, Some(2), 9));
    for user in ["a", "b", "c", "d"] {
        places.claim(&key(user));
    }
    places.claim(&of("other", "a"));
    assert_eq!(places.lacking(), 0, "three may have one, and there are three");
    served(&mut places);
    assert!(places.is_waited_for());
    assert_eq!(places.lacking_of(&"t".into()), 2, "of its four, two have one");
    assert_eq!((places.lacking(), places.lacking_of(&"other".into())), (0, 0));
    places.claim(&of("other", "b"));
    assert_eq!((places.lacking(), places.lacking_of(&"other".into())), (1, 0));
}
