use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::*;
use crate::isolation::{Isolation, Part};

const SOUND: Kernel = Kernel {
    is_root: false,
    user_namespaces_max: Some(1_000),
    unprivileged_clone: None,
    has_apparmor: false,
    apparmor_restricts: None,
    landlock: 6,
    has_seccomp: true,
};

fn outcomes(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().map(|it| it.outcome.as_str()).collect()
}

#[test]
fn each_thing_that_a_kernel_lacks_is_one_finding_with_what_mends_it() {
    assert_eq!(outcomes(&kernel(Asked::Required, &SOUND)), ["pass"; 4]);
    let lacking = [
        (Kernel { user_namespaces_max: Some(0), ..SOUND }, "user.max_user_namespaces"),
        (Kernel { unprivileged_clone: Some(false), ..SOUND }, "unprivileged_userns_clone=1"),
        (
            Kernel { has_apparmor: true, apparmor_restricts: Some(true), ..SOUND },
            "apparmor_restrict_unprivileged_userns=0",
        ),
        (Kernel { landlock: 0, ..SOUND }, "lsm="),
        (Kernel { has_seccomp: false, ..SOUND }, "CONFIG_SECCOMP_FILTER"),
    ];
    for (found, mended_by) in lacking {
        for (asked, outcome) in [(Asked::Required, "fail"), (Asked::BestEffort, "warn")] {
            let findings = kernel(asked, &found);
            let bad: Vec<&Finding> =
                findings.iter().filter(|it| it.outcome != Outcome::Pass).collect();
            assert_eq!(bad.len(), 1, "{found:?}");
            assert_eq!(bad[0].outcome.as_str(), outcome);
            assert!(bad[0].fix.as_ref().unwrap().contains(mended_by), "{:?}", bad[0]);
        }
        let findings = kernel(Asked::Off, &found);
        assert_eq!(outcomes(&findings), ["pass"; 4], "nobody asked for it");
        assert!(findings.iter().all(|it| it.fix.is_none()));
    }
}

#[test]
fn root_needs_no_user_namespaces() {
    let root = Kernel {
        is_root: true,
        user_namespaces_max: Some(0),
        has_apparmor: true,
        apparmor_restricts: Some(true),
        ..SOUND
    };
    assert_eq!(outcomes(&kernel(Asked::Required, &root)), ["pass"; 4]);
}

#[test]
fn control_groups_say_what_is_in_force_or_what_lacks_and_what_to_do() {
    let mut isolation = Isolation { asked: Asked::Required, ..Isolation::default() };
    isolation.note(Part::ControlGroups, None);
    isolation.note(Part::CpuLimit, None);
    let findings = control_groups(&isolation);
    assert_eq!(findings[0].found, "control_groups, cpu_limit");
    isolation.note(Part::MemoryLimit, Some("no memory controller; delegate it".to_string()));
    let findings = control_groups(&isolation);
    assert_eq!(outcomes(&findings), ["fail"]);
    assert_eq!(findings[0].found, "memory_limit: no memory controller");
    assert_eq!(findings[0].fix.as_deref(), Some("delegate it"));
}

#[test]
fn a_jail_that_cannot_be_set_up_names_its_step() {
    assert_eq!(jail(Asked::Required, None).outcome, Outcome::Pass);
    let failed = jail(Asked::BestEffort, Some(("mount /proc", "EPERM; run it as root")));
    assert_eq!((failed.outcome, failed.found.as_str()), (Outcome::Warn, "mount /proc: EPERM"));
    assert_eq!(failed.fix.as_deref(), Some("run it as root"));
}

#[test]
fn settings_that_are_wrong_fail_and_warnings_warn() {
    assert_eq!(outcomes(&settings(None, &[])), ["pass"]);
    let warnings = [String::from("X has no effect")];
    assert_eq!(outcomes(&settings(None, &warnings)), ["warn"]);
    assert_eq!(outcomes(&settings(Some(("no name", "set it")), &warnings)), ["warn", "fail"]);
}

#[test]
fn a_satellite_that_is_not_root_shares_its_user_and_is_told_so_but_never_refused() {
    let root = Accounts { is_root: true, are_wanted: true, can_add: true };
    let asked = Asked::Required;
    assert_eq!(accounts(asked, root).outcome, Outcome::Pass);
    assert_eq!(accounts(asked, Accounts { can_add: false, ..root }).outcome, Outcome::Warn);
    let numbers = Accounts { can_add: false, are_wanted: false, ..root };
    assert_eq!(accounts(asked, numbers).outcome, Outcome::Pass);
    assert_eq!(accounts(asked, Accounts { is_root: false, ..root }).outcome, Outcome::Warn);
}

#[test]
fn a_runtime_that_is_not_there_warns_with_how_to_get_it() {
    let runtime = |name: &str, path: Option<&str>, version: Option<&str>| Runtime {
        name: name.to_string(),
        path: path.map(String::from),
        version: version.map(String::from),
    };
    let findings = runtimes(&[
        runtime("node", Some("/usr/bin/node"), Some("v20.1.0")),
        runtime("uvx", None, None),
        runtime("npx", Some("/usr/bin/npx"), None),
    ]);
    assert_eq!(outcomes(&findings), ["pass", "warn", "warn"]);
    assert!(findings[1].fix.as_ref().unwrap().contains("astral.sh"));
    assert_eq!(findings[0].found, "node: /usr/bin/node, v20.1.0");
}

#[test]
fn a_port_is_free_or_a_satellites_or_somebody_elses() {
    let found = |it| port("127.0.0.1:3001", it);
    assert_eq!(found(Port::Free).outcome, Outcome::Pass);
    assert_eq!(found(Port::Satellite).outcome, Outcome::Pass);
    let taken = found(Port::Taken);
    assert_eq!(taken.outcome, Outcome::Fail);
    assert!(taken.fix.unwrap().contains("sport = :3001"));
    assert_eq!(found(Port::Refused("permission denied")).outcome, Outcome::Fail);
}

#[test]
fn a_clock_passes_warns_or_fails_by_how_far_it_is_off() {
    for (ahead, outcome) in [
        (Some(0), Outcome::Pass),
        (Some(-4), Outcome::Pass),
        (Some(5), Outcome::Warn),
        (Some(-299), Outcome::Warn),
        (Some(300), Outcome::Fail),
        (Some(i64::MIN), Outcome::Fail),
        (None, Outcome::Warn),
    ] {
        assert_eq!(clock(ahead).outcome, outcome, "{ahead:?}");
    }
    assert_eq!(clock(Some(7)).found, "7 s ahead of the Backend's");
    assert_eq!(clock(Some(-7)).found, "7 s behind the Backend's");
}

#[test]
fn a_backend_answers_well_or_is_to_be_looked_at() {
    let found = |it| backend("https://b.example", it);
    assert_eq!(found(Backend::Answered { status: 200, took_ms: 3 }).outcome, Outcome::Pass);
    assert_eq!(found(Backend::Answered { status: 404, took_ms: 3 }).outcome, Outcome::Fail);
    let away = found(Backend::Away("connection refused"));
    assert!(away.fix.unwrap().contains("curl -i https://b.example/api/health"));
}

#[test]
fn few_open_files_warn() {
    assert_eq!(open_files(8_192).outcome, Outcome::Pass);
    assert_eq!(open_files(1_024).outcome, Outcome::Warn);
}

#[test]
fn a_state_directory_is_writable_private_and_has_room() {
    let sound = StateDirectory { exists: true, is_writable: true, mode: 0o700, free_mib: 512 };
    let outcome = |it| state_directory("/s", it).outcome;
    assert_eq!(outcome(Some(sound)), Outcome::Pass);
    assert_eq!(
        outcome(Some(StateDirectory { exists: false, mode: 0o755, ..sound })),
        Outcome::Pass
    );
    assert_eq!(outcome(Some(StateDirectory { mode: 0o750, ..sound })), Outcome::Warn);
    assert_eq!(outcome(Some(StateDirectory { free_mib: 511, ..sound })), Outcome::Warn);
    assert_eq!(outcome(Some(StateDirectory { is_writable: false, ..sound })), Outcome::Fail);
    assert_eq!(outcome(None), Outcome::Fail);
}

#[test]
fn findings_are_counted_by_outcome() {
    let findings = [open_files(8_192), open_files(1), backend("x", Backend::Away("no"))];
    assert_eq!(count(&findings), Counts { pass: 1, warn: 1, fail: 1 });
}
