//! Desired configuration against what exists: what must be made, kept, and removed.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::id::{InstanceKey, TeamId};
use crate::instance::Spec;
use crate::limits;

/// What to do, in this order.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// Instances that are no longer wanted.
    pub remove: Vec<InstanceKey>,
    /// Instances that exist and stay, with what is now said of them.
    pub keep: Vec<Spec>,
    /// Instances to make.
    pub create: Vec<Spec>,
    /// Entries that were refused, each with its name and the reason.
    pub refused: Vec<(String, String)>,
}

/// Compares what is wanted with what exists.
///
/// A team satellite (`team`) takes nothing of another team. Of two entries for one instance the
/// first counts, and of two with one path.
pub fn plan<'a>(
    desired: Vec<Spec>,
    existing: impl Iterator<Item = &'a InstanceKey>,
    team: Option<&TeamId>,
) -> Plan {
    let mut plan = Plan::default();
    let mut wanted: BTreeMap<InstanceKey, Spec> = BTreeMap::new();
    let mut paths: BTreeSet<String> = BTreeSet::new();
    for spec in desired {
        let reason = if team.is_some_and(|team| *team != spec.key.team) {
            Some(format!(
                "it belongs to team {}, this satellite serves team {}",
                spec.key.team,
                team.map_or("", TeamId::as_str)
            ))
        } else if wanted.contains_key(&spec.key) {
            Some(String::from("another entry has the same team, installation and user"))
        } else if wanted.len() >= limits::INSTANCES_MAX {
            Some(format!("a satellite keeps at most {} instances", limits::INSTANCES_MAX))
        } else if spec.address.as_ref().is_some_and(|at| !paths.insert(at.path.clone())) {
            Some(String::from("another entry has the same instance path"))
        } else {
            None
        };
        match reason {
            Some(reason) => plan.refused.push((spec.names.process.clone(), reason)),
            None => {
                wanted.insert(spec.key.clone(), spec);
            }
        }
    }
    for key in existing {
        match wanted.remove(key) {
            Some(spec) => plan.keep.push(spec),
            None => plan.remove.push(key.clone()),
        }
    }
    plan.create = wanted.into_values().collect();
    plan
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests {
    use alloc::sync::Arc;
    use alloc::vec;

    use super::*;
    use crate::view::{InstanceAddress, ServerNames, Transport};

    pub(super) fn spec(team: &str, installation: &str, user: &str, path: Option<&str>) -> Spec {
        Spec {
            key: InstanceKey {
                team: team.into(),
                installation: installation.into(),
                user: user.into(),
            },
            instance_id: None,
            names: Arc::new(ServerNames {
                process: format!("{installation}-{team}-{user}"),
                server: String::from(installation),
                slug: String::from(installation),
                team_slug: String::from(team),
                installation: String::from(installation),
            }),
            transport: Transport::Stdio,
            launch: Err(String::new()),
            address: path.map(|path| InstanceAddress {
                path: String::from(path),
                token_hash: String::new(),
            }),
            disabled_tools: Arc::default(),
            request_logging: true,
            redaction: Arc::default(),
            generation: 0,
            idle_ms: 300_000,
        }
    }

    #[test]
    fn what_is_wanted_is_made_kept_or_removed() {
        let existing = [spec("t", "a", "u", None).key, spec("t", "b", "u", None).key];
        let desired = vec![spec("t", "b", "u", None), spec("t", "c", "u", None)];
        let plan = plan(desired.clone(), existing.iter(), None);
        assert_eq!(plan.remove, [existing[0].clone()]);
        assert_eq!(plan.keep, [desired[0].clone()]);
        assert_eq!(plan.create, [desired[1].clone()]);
        assert!(plan.refused.is_empty());
    }

    #[test]
    fn a_team_satellite_takes_nothing_of_another_team() {
        let plan = plan(vec![spec("x", "a", "u", None)], [].iter(), Some(&"t".into()));
        assert!(plan.create.is_empty());
        assert!(plan.refused[0].1.contains("team x"));
    }

    #[test]
    fn of_two_entries_for_one_instance_or_one_path_the_first_counts() {
        let desired = vec![
            spec("t", "a", "u", Some("calm-otter")),
            spec("t", "a", "u", Some("other")),
            spec("t", "b", "u", Some("calm-otter")),
        ];
        let plan = plan(desired, [].iter(), None);
        assert_eq!(plan.create.len(), 1);
        assert_eq!(plan.refused.len(), 2);
    }

    #[test]
    fn what_is_too_much_for_a_satellite_is_refused_entry_by_entry() {
        let most = limits::INSTANCES_MAX;
        let desired = (0..most + 2).map(|one| spec("t", &format!("{one:05}"), "u", None));
        let plan = plan(desired.collect(), [].iter(), None);
        assert_eq!((plan.create.len(), plan.refused.len()), (most, 2));
        assert_eq!(plan.create[0].key.installation.as_str(), "00000", "the first are kept");
        assert!(plan.refused[0].1.contains("10000 instances"), "{:?}", plan.refused[0]);
    }
}
