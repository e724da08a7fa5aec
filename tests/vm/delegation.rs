//! What is found where nothing, or not everything, was delegated.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use satellite_core::cgroup::TeamLimits;
use satellite_core::isolation::Part;
use satellite_io::host::{ControlGroups, Opened};

use crate::bench::{ROOT, inside, is_alive};

/// A group that this process is in until the end of the test.
struct Delegated(PathBuf);

impl Delegated {
    fn enter(name: &str) -> Delegated {
        inside();
        for controller in ["cpu", "memory", "pids"] {
            fs::write(Path::new(ROOT).join("cgroup.subtree_control"), format!("+{controller}"))
                .expect("the VM is ours");
        }
        let directory = Path::new(ROOT).join(name);
        fs::create_dir_all(&directory).expect("the VM is ours");
        fs::write(directory.join("cgroup.procs"), "0").expect("the VM is ours");
        Delegated(directory)
    }

    fn sleeper(&self) -> Child {
        let child =
            Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().expect("the VM is ours");
        fs::write(self.0.join("cgroup.procs"), child.id().to_string()).expect("the VM is ours");
        child
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        let _ = fs::write(Path::new(ROOT).join("cgroup.procs"), "0");
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_directory_of_its_own_gives_everything_and_is_left_as_it_was() {
    let delegated = Delegated::enter("alone");
    let Opened { groups, isolation } = ControlGroups::open("m", TeamLimits::default());
    let all = [Part::ControlGroups, Part::CpuLimit, Part::MemoryLimit, Part::ProcessLimit];
    assert_eq!(isolation.in_force, all.into(), "{isolation:?}");
    assert_eq!(isolation.missing, [].into());
    let own = fs::read_to_string("/proc/self/cgroup").unwrap();
    assert_eq!(own.trim(), "0::/alone/satellite-m/daemon");
    groups.unwrap().leave();
    let own = fs::read_to_string("/proc/self/cgroup").unwrap();
    assert_eq!(own.trim(), "0::/alone");
    let control = fs::read_to_string(delegated.0.join("cgroup.subtree_control")).unwrap();
    assert_eq!(control.trim(), "");
    assert!(!delegated.0.join("satellite-m").exists());
}

#[test]
fn beside_other_processes_there_are_groups_without_limits_and_a_word_what_to_do() {
    let delegated = Delegated::enter("shared");
    let mut other = delegated.sleeper();
    let Opened { groups, isolation } = ControlGroups::open("m", TeamLimits::default());
    assert_eq!(isolation.in_force, [Part::ControlGroups].into(), "{isolation:?}");
    let [reason] = &isolation.reasons()[..] else { panic!("{isolation:?}") };
    for word in ["cpu_limit, memory_limit, process_limit", "/shared", "Delegate=yes"] {
        assert!(reason.contains(word), "{reason}");
    }
    groups.unwrap().leave();
    assert!(is_alive(other.id()), "it is none of the satellite's business");
    other.kill().unwrap();
    other.wait().unwrap();
}
