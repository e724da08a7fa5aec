//! The plan against the rule in its plainest form: lists, and every pair compared.

use alloc::vec;

use proptest::prelude::*;

use super::tests::spec;
use super::*;

/// What becomes of each wanted entry, in order, and what of each that exists.
#[derive(Debug, Default, PartialEq)]
struct Model {
    accepted: Vec<Spec>,
    refused: Vec<String>,
    removed: Vec<InstanceKey>,
}

fn model(desired: &[Spec], existing: &[InstanceKey], team: Option<&str>) -> Model {
    let mut model = Model::default();
    for spec in desired {
        let foreign = team.is_some_and(|team| team != spec.key.team.as_str());
        let path = |spec: &Spec| spec.address.as_ref().map(|address| address.path.clone());
        let taken = model.accepted.iter().any(|other| {
            other.key == spec.key || (path(other).is_some() && path(other) == path(spec))
        });
        if foreign || taken {
            model.refused.push(spec.names.process.clone());
        } else {
            model.accepted.push(spec.clone());
        }
    }
    for key in existing {
        if !model.accepted.iter().any(|spec| spec.key == *key) {
            model.removed.push(key.clone());
        }
    }
    model
}

fn specs() -> impl Strategy<Value = Vec<Spec>> {
    let team = prop_oneof![4 => Just("t"), 1 => Just("x")];
    let path = prop_oneof![2 => Just(None), 1 => Just(Some("otter")), 1 => Just(Some("heron"))];
    let one = (team, 0u8..4, 0u8..2, path, any::<bool>()).prop_map(
        |(team, installation, user, path, renamed)| {
            let mut spec = spec(team, &format!("i{installation}"), &format!("u{user}"), path);
            if renamed {
                spec.instance_id = Some("other".into());
            }
            spec
        },
    );
    proptest::collection::vec(one, 0..12)
}

proptest! {
    #[test]
    fn the_plan_is_what_the_plain_rule_wants(
        desired in specs(),
        before in specs(),
        team in prop_oneof![Just(None), Just(Some("t"))],
    ) {
        let existing: BTreeSet<InstanceKey> = before.into_iter().map(|spec| spec.key).collect();
        let existing: Vec<InstanceKey> = existing.into_iter().collect();
        let own = team.map(TeamId::from);
        let plan = plan(desired.clone(), existing.iter(), own.as_ref());
        let model = model(&desired, &existing, team);
        prop_assert_eq!(&plan.remove, &model.removed);
        let refused: Vec<String> = plan.refused.iter().map(|(entry, _)| entry.clone()).collect();
        prop_assert_eq!(refused, model.refused);
        for (_, reason) in &plan.refused {
            prop_assert!(!reason.is_empty());
        }
        let is_new = |spec: &Spec| !existing.contains(&spec.key);
        let sorted = |mut specs: Vec<Spec>| {
            specs.sort_by(|left, right| left.key.cmp(&right.key));
            specs
        };
        let (create, keep): (Vec<Spec>, Vec<Spec>) = model.accepted.into_iter().partition(is_new);
        prop_assert_eq!(sorted(plan.create), sorted(create));
        prop_assert_eq!(sorted(plan.keep), sorted(keep));
    }

    #[test]
    fn a_plan_that_was_carried_out_asks_for_nothing_more(desired in specs()) {
        let first = plan(desired.clone(), [].iter(), None);
        let made: Vec<InstanceKey> = first.create.iter().map(|spec| spec.key.clone()).collect();
        let second = plan(desired, made.iter(), None);
        prop_assert_eq!(second.create, vec![]);
        prop_assert_eq!(second.remove, vec![]);
        prop_assert_eq!(second.keep.len(), made.len());
    }
}
