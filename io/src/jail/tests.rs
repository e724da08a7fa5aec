//! Each step failed in turn, at the seam to the system.

use std::collections::BTreeMap;

use nix::errno::Errno;

use super::plan::{Jail, Shown, TeamUser, steps};
use super::*;

/// Takes steps without doing anything, and refuses one.
#[derive(Default)]
struct Refusing {
    taken: Vec<Step>,
    at: usize,
}

impl System for Refusing {
    fn take(&mut self, step: &Step) -> nix::Result<()> {
        if self.taken.len() == self.at {
            return Err(Errno::EDOM);
        }
        self.taken.push(step.clone());
        Ok(())
    }
}

#[test]
fn every_step_that_fails_is_named_and_is_the_last_that_is_taken() {
    let usr = ("/usr".into(), Shown::Directory("/usr".into()));
    let jail = Jail {
        shown: BTreeMap::from([usr]),
        own: "/srv/team".into(),
        home: "/srv/team/home".into(),
        user: Some(TeamUser { user: 60_578, group: 60_578 }),
        is_offline: true,
        has_control_group: true,
        landlock: 6,
        ..Jail::default()
    };
    let steps = steps(&jail);
    for (at, step) in steps.iter().enumerate() {
        let mut system = Refusing { at, ..Refusing::default() };
        let failed = Report::Failed { step: step.to_string(), errno: Errno::EDOM as i32 };
        assert_eq!(enter(&steps, &mut system), Err(failed));
        assert_eq!(system.taken, steps[..at]);
    }
    let mut system = Refusing { at: usize::MAX, ..Refusing::default() };
    assert_eq!(enter(&steps, &mut system), Ok(()));
    assert_eq!(system.taken, steps);
}
