//! Each step failed in turn, at the seam to the system.

use std::collections::BTreeMap;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::unistd::pipe2;

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

/// Carries steps out, up to one that it refuses.
struct Stopping<'a> {
    kernel: Kernel<'a>,
    left: usize,
}

impl System for Stopping<'_> {
    fn take(&mut self, step: &Step) -> nix::Result<()> {
        self.left = self.left.checked_sub(1).ok_or(Errno::EDOM)?;
        self.kernel.take(step)
    }
}

/// Before the number of steps that are carried out until one is refused, among the names of tests
/// to leave out: no test has such a name.
const STEPS: &str = "steps=";

/// The jail of the test below; by itself it does nothing.
#[test]
fn inside() {
    let told = std::env::args().find_map(|word| word.strip_prefix(STEPS)?.parse().ok());
    let Some(left) = told else { return };
    let (memory, report) = (take(SPECIFICATION).unwrap(), take(REPORT).unwrap());
    let specification = Specification::unseal(memory).unwrap();
    let kernel = Kernel { report: report.as_fd() };
    let failed = enter(&specification.steps, &mut Stopping { kernel, left }).unwrap_err();
    server::tell(&report, &failed);
    std::process::exit(1);
}

fn mounts() -> String {
    std::fs::read_to_string("/proc/self/mountinfo").unwrap()
}

/// In real namespaces, as root.
#[test]
fn a_jail_that_breaks_off_at_any_step_names_it_and_leaves_no_mount_file_or_process() {
    let own = std::env::temp_dir().join(format!("satellite-steps-{}", std::process::id()));
    std::fs::create_dir_all(own.join("home")).unwrap();
    let jail = Jail {
        shown: ["/usr", "/etc/hosts"]
            .map(|place| {
                (
                    place.into(),
                    match place {
                        "/usr" => Shown::Directory(place.into()),
                        _ => Shown::File(place.into()),
                    },
                )
            })
            .into(),
        home: own.join("home"),
        own: own.clone(),
        temporary_bytes: 1 << 20,
        user: Some(TeamUser { user: 60_599, group: 60_599 }),
        is_offline: true,
        has_control_group: true,
        landlock: landlock_version(),
        ..Jail::default()
    };
    let steps = steps(&jail);
    let before = mounts();
    for (at, step) in steps.iter().enumerate() {
        let specification = Specification {
            steps: steps.clone(),
            program: "/usr/bin/sleep".into(),
            arguments: vec!["152316".into()],
            environment: Vec::new(),
        };
        let (reports, report) = pipe2(OFlag::O_CLOEXEC).unwrap();
        let skipped = format!("{STEPS}{at}");
        let program = crate::host::spawner::Program {
            path: std::env::current_exe().unwrap(),
            arguments: ["--exact", "jail::tests::inside", "--nocapture", "--skip", &skipped]
                .map(Into::into)
                .into(),
            directory: "/".into(),
            namespaces: libc::CLONE_NEWPID
                | libc::CLONE_NEWNS
                | libc::CLONE_NEWUTS
                | libc::CLONE_NEWIPC
                | libc::CLONE_NEWNET,
            descriptors: vec![specification.seal().unwrap(), report],
            ..Default::default()
        };
        let child = crate::host::spawner::start_here(&program).unwrap();
        drop(program);
        let mut line = String::new();
        std::io::Read::read_to_string(&mut std::fs::File::from(reports), &mut line).unwrap();
        let failed = Report::Failed { step: step.to_string(), errno: Errno::EDOM as i32 };
        assert_eq!(Report::read(line.trim_end()), Some(failed), "{line}");
        let pid = child.pid;
        drop(child);
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }
    assert_eq!(mounts(), before);
    let left: Vec<_> =
        std::fs::read_dir(&own).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, [own.join("home")]);
    std::fs::remove_dir_all(own).unwrap();
}
