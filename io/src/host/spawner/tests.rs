//! Births that fail, one step after the other, and births into namespaces and control groups.

use std::path::Path;

use nix::errno::Errno;
use nix::libc;

use super::*;

fn shell(script: &str) -> Program {
    Program {
        path: "/bin/sh".into(),
        arguments: ["-c", script].map(OsString::from).into(),
        environment: [("PATH", "/usr/bin:/bin")]
            .map(|(name, value)| (name.into(), value.into()))
            .into(),
        directory: "/".into(),
        ..Program::default()
    }
}

/// Reads all that the child writes, and lets it end.
fn output(mut child: Child) -> String {
    let [stdin, stdout, _stderr] = child.take_streams().unwrap();
    drop(stdin);
    let mut text = String::new();
    io::Read::read_to_string(&mut std::fs::File::from(stdout), &mut text).unwrap();
    text
}

#[test]
fn every_step_of_a_birth_that_fails_is_named_and_leaves_no_process() {
    for step in Step::IN_CHILD {
        let program = Program { failing: Some((step, Errno::EDOM)), ..shell("exec sleep 471147") };
        let failed = birth::start(&program).unwrap_err();
        assert_eq!(failed.step, step);
        assert_eq!(failed.error.raw_os_error(), Some(libc::EDOM));
    }
    let is_left = |pid: &Pid| {
        std::fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| line == b"sleep\x00471147\x00")
    };
    let left: Vec<Pid> =
        crate::host::process_table::list().iter().map(|entry| entry.pid).filter(is_left).collect();
    assert_eq!(left, []);
}

#[test]
fn what_is_not_there_cannot_be_entered_or_started_and_the_step_says_which() {
    let no_program = Program { path: "/no/such".into(), ..shell("") };
    let no_directory = Program { directory: "/no/such".into(), ..shell("") };
    let no_group =
        Program { cgroup: Some(std::fs::File::open("/etc").unwrap().into()), ..shell("") };
    for (program, step, errno) in [
        (no_program, Step::Exec, Errno::ENOENT),
        (no_directory, Step::Directory, Errno::ENOENT),
        (no_group, Step::Cgroup, Errno::ENOENT),
    ] {
        let failed = birth::start(&program).unwrap_err();
        assert_eq!(failed.step, step);
        assert_eq!(failed.error.raw_os_error(), Some(errno as i32));
    }
}

#[test]
fn a_child_gets_the_descriptors_it_is_given_in_their_order_and_no_others() {
    let files =
        ["/etc/hostname", "/etc/passwd"].map(|path| std::fs::File::open(path).unwrap().into());
    let program = Program { descriptors: files.into(), ..shell("ls -l /proc/$$/fd") };
    let text = output(birth::start(&program).unwrap());
    assert!(text.contains(" 3 -> /etc/hostname") && text.contains(" 4 -> /etc/passwd"), "{text}");
    // The heading, and five descriptors.
    assert_eq!(text.lines().count(), 6, "{text}");
}

#[test]
fn a_child_is_born_inside_its_control_group() {
    let Some(root) = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .map(Path::new)
        .into_iter()
        .find(|root| root.join("cgroup.procs").exists())
    else {
        panic!("no control groups (v2) here");
    };
    let group = root.join(format!("satellite-birth-{}", std::process::id()));
    std::fs::create_dir(&group).unwrap();
    let directory = std::fs::File::open(&group).unwrap();
    let program = Program { cgroup: Some(directory.into()), ..shell("cat /proc/self/cgroup") };
    let text = output(birth::start(&program).unwrap());
    let name = group.file_name().unwrap().to_str().unwrap();
    let is_there = text.lines().any(|line| line.starts_with("0::") && line.contains(name));
    // What was its process may need a moment to leave.
    while std::fs::remove_dir(&group).is_err_and(|error| error.raw_os_error() == Some(libc::EBUSY))
    {
        std::thread::yield_now();
    }
    assert!(is_there, "{text}");
}

#[test]
fn in_a_namespace_of_its_own_a_child_is_process_1() {
    let program = Program { namespaces: libc::CLONE_NEWPID, ..shell("echo $$") };
    assert_eq!(output(birth::start(&program).unwrap()), "1\n");
}

#[test]
fn a_user_who_is_nobody_else_keeps_the_capabilities_of_the_namespace_through_exec() {
    let script = "id -u; cat /proc/self/uid_map; grep CapEff /proc/self/status";
    let program = Program { namespaces: libc::CLONE_NEWUSER, ..shell(script) };
    let text = output(birth::start(&program).unwrap());
    let own = nix::unistd::getuid();
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let own = own.to_string();
    assert_eq!(words.get(..4).unwrap(), [own.as_str(), &own, &own, "1"], "{text}");
    assert!(!words.last().unwrap().ends_with("0000000000"), "{text}");
}

#[tokio::test]
async fn a_child_that_nobody_takes_over_is_killed_and_reaped() {
    let spawner = Spawner::start().unwrap();
    let child = spawner.spawn(shell("trap '' TERM; read line")).await.unwrap();
    let pid = child.pid;
    drop(child);
    assert_eq!(nix::sys::signal::kill(pid, None), Err(Errno::ESRCH));
}
