//! What the kernel gives: control groups, namespaces, and what takes rights away.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Finding, lack};
use crate::isolation::{Asked, Isolation};

/// What the kernel says of itself. `None` stands for a file that it does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kernel {
    /// Whether the satellite is root.
    pub is_root: bool,
    /// `user.max_user_namespaces`; 0 forbids them.
    pub user_namespaces_max: Option<u64>,
    /// Debian's `kernel.unprivileged_userns_clone`.
    pub unprivileged_clone: Option<bool>,
    /// Whether AppArmor is active.
    pub has_apparmor: bool,
    /// `kernel.apparmor_restrict_unprivileged_userns`.
    pub apparmor_restricts: Option<bool>,
    /// The version of Landlock; 0 is none.
    pub landlock: u32,
    /// Whether seccomp can refuse system calls with an error.
    pub has_seccomp: bool,
}

/// Looks at what the kernel says of itself.
pub fn kernel(asked: Asked, kernel: &Kernel) -> Vec<Finding> {
    Vec::from([
        user_namespaces(asked, kernel),
        apparmor(asked, kernel),
        landlock(asked, kernel),
        seccomp(asked, kernel),
    ])
}

fn user_namespaces(asked: Asked, kernel: &Kernel) -> Finding {
    const CHECK: &str = "user namespaces";
    if kernel.is_root {
        return Finding::pass(CHECK, "not needed: the satellite is root");
    }
    if kernel.user_namespaces_max == Some(0) {
        let fix = "sysctl -w user.max_user_namespaces=15000";
        return Finding::bad(CHECK, lack(asked), "this machine allows none", fix);
    }
    if kernel.unprivileged_clone == Some(false) {
        let fix = "sysctl -w kernel.unprivileged_userns_clone=1";
        return Finding::bad(CHECK, lack(asked), "only root may make them", fix);
    }
    Finding::pass(CHECK, "allowed")
}

fn apparmor(asked: Asked, kernel: &Kernel) -> Finding {
    const CHECK: &str = "AppArmor";
    if !kernel.has_apparmor {
        return Finding::pass(CHECK, "not active");
    }
    if !kernel.is_root && kernel.apparmor_restricts == Some(true) {
        return Finding::bad(
            CHECK,
            lack(asked),
            "it forbids user namespaces to programs without a profile",
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        );
    }
    Finding::pass(CHECK, "active, and in nobody's way")
}

fn landlock(asked: Asked, kernel: &Kernel) -> Finding {
    const CHECK: &str = "Landlock";
    match kernel.landlock {
        0 => Finding::bad(
            CHECK,
            lack(asked),
            "this kernel has none, or it is switched off",
            "use Linux 5.13 or later and name landlock in the kernel's parameter lsm=",
        ),
        version => Finding::pass(CHECK, format!("version {version}")),
    }
}

fn seccomp(asked: Asked, kernel: &Kernel) -> Finding {
    const CHECK: &str = "seccomp";
    if kernel.has_seccomp {
        return Finding::pass(CHECK, "filters can be set");
    }
    let fix = "use a kernel with CONFIG_SECCOMP_FILTER";
    Finding::bad(CHECK, lack(asked), "this kernel cannot filter system calls", fix)
}

/// Looks at what was found of control groups by taking them.
pub fn control_groups(isolation: &Isolation) -> Vec<Finding> {
    const CHECK: &str = "control groups";
    let in_force = super::list(isolation.in_force.iter().map(|part| part.as_str()));
    if isolation.missing.is_empty() {
        return Vec::from([Finding::pass(CHECK, in_force)]);
    }
    // What is mended in one way is one finding.
    let mut by_fix: Vec<(String, Vec<String>)> = Vec::new();
    for reason in isolation.reasons() {
        // The last part of a reason says what to do.
        let (found, fix) = match reason.rsplit_once("; ") {
            Some((found, fix)) => (String::from(found), String::from(fix)),
            None => (reason, String::from("see the log of `satellite run`")),
        };
        match by_fix.iter_mut().find(|(known, _)| *known == fix) {
            Some((_, all)) => all.push(found),
            None => by_fix.push((fix, Vec::from([found]))),
        }
    }
    let outcome = lack(isolation.asked);
    let findings = by_fix.into_iter();
    findings.map(|(fix, all)| Finding::bad(CHECK, outcome, all.join("; "), fix)).collect()
}

/// Looks at how a rehearsal of a jail went: the step that failed, and its error.
pub fn jail(asked: Asked, failed: Option<(&str, &str)>) -> Finding {
    const CHECK: &str = "jail";
    match failed {
        None => Finding::pass(CHECK, "one was set up, with all its parts, and ended"),
        Some((step, error)) => {
            let (found, fix) = match error.rsplit_once("; ") {
                Some((found, fix)) => (found, String::from(fix)),
                None => (
                    error,
                    String::from("run the satellite as root, or mend what the lines above name"),
                ),
            };
            Finding::bad(CHECK, lack(asked), format!("{step}: {found}"), fix)
        }
    }
}
