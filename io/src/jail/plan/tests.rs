//! What is shown and what is not, read from the steps.

use super::*;

fn jail() -> Jail {
    let shown = [
        ("/usr", Shown::Directory("/usr".into())),
        ("/usr/local", Shown::Directory("/usr/local".into())),
        ("/bin", Shown::Link("usr/bin".into())),
        ("/etc/hosts", Shown::File("/etc/hosts".into())),
        ("/srv/tools", Shown::Directory("/data/tools".into())),
    ];
    Jail {
        shown: shown.map(|(at, shown)| (at.into(), shown)).into(),
        hidden: ["/srv/tools/state", "/var/lib/satellite"].map(PathBuf::from).into(),
        own: "/srv/tools/state/homes/a".into(),
        home: "/srv/tools/state/homes/a/home".into(),
        temporary_bytes: 1 << 26,
        user: Some(TeamUser { user: 60_578, group: 60_579 }),
        is_offline: true,
        has_control_group: true,
        landlock: 5,
    }
}

fn position(steps: &[Step], step: &Step) -> usize {
    steps
        .iter()
        .position(|other| other == step)
        .unwrap_or_else(|| panic!("no {step:?} in {steps:#?}"))
}

fn bind(from: &str, at: &str) -> Step {
    Step::Bind { from: from.into(), at: at.into() }
}

#[test]
fn what_is_shown_is_read_only_and_what_is_hidden_below_it_is_covered_before_the_own_is_shown() {
    let steps = steps(&jail());
    let tools = position(&steps, &bind("/.old/data/tools", "/srv/tools"));
    let hidden = Step::Empty { at: "/srv/tools/state".into(), bytes: SKELETON_BYTES, mode: 0o755 };
    let own = "/srv/tools/state/homes/a";
    let covered = position(&steps, &hidden);
    let shown = position(&steps, &bind(&format!("/.old{own}"), own));
    assert!(tools < covered && covered < shown);
    let read_only =
        Step::Restrict { at: "/srv/tools".into(), restriction: Restriction::ReadOnlyTree };
    assert_eq!(position(&steps, &read_only), tools + 1);
    let gone = position(&steps, &Step::Detach { at: OLD.into() });
    assert!(shown < gone);
    // Nobody sees it, so there is nothing to cover; and what is shown with its parent is not shown
    // twice.
    let text = format!("{steps:?}");
    assert!(!text.contains("/var/lib/satellite") && !text.contains("/usr/local"), "{text}");
}

#[test]
fn every_directory_is_made_once_and_after_the_one_it_lies_in() {
    let steps = steps(&jail());
    let mut made = BTreeSet::from([PathBuf::from("/")]);
    for step in steps.iter().skip_while(|step| !matches!(step, Step::Root { .. })) {
        match step {
            Step::Directory { at } => {
                assert!(made.contains(at.parent().unwrap()), "{at:?} in {made:?}");
                assert!(made.insert(at.clone()), "{at:?}");
            }
            Step::File { at, .. } | Step::Link { at, .. } => {
                assert!(made.contains(at.parent().unwrap()), "{at:?} in {made:?}");
            }
            _ => {}
        }
    }
}

#[test]
fn rights_go_after_all_that_needs_them_and_the_filter_of_calls_comes_last() {
    let steps = steps(&jail());
    let user = position(&steps, &Step::User { user: 60_578, group: 60_579 });
    let detached = position(&steps, &Step::Detach { at: OLD.into() });
    let bounded = position(&steps, &Step::NoCapabilitiesByExec);
    assert!(detached < bounded && bounded < user);
    assert_eq!(steps[user + 1..][..3], [Step::Tie, Step::NoCapabilities, Step::NoNewPrivileges]);
    assert_eq!(steps.last(), Some(&Step::SystemCalls));
}

#[test]
fn without_team_user_landlock_network_or_control_group_their_steps_are_left_out() {
    let bare =
        Jail { user: None, landlock: 0, is_offline: false, has_control_group: false, ..jail() };
    for step in steps(&bare) {
        let is_left = matches!(
            step,
            Step::User { .. }
                | Step::Files { .. }
                | Step::Loopback
                | Step::ControlGroup { .. }
                | Step::Limit { limit: Limit::Processes, .. }
        );
        assert!(!is_left, "{step:?}");
    }
}
