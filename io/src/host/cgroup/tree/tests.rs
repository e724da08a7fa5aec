//! A directory in the place of a delegated one: the kernel's part is tested in a VM.

use super::*;

struct Fake(PathBuf);

impl Fake {
    fn new(name: &str, controllers: &str) -> Fake {
        let path = std::env::temp_dir().join(format!("satellite-{name}-{}", std::process::id()));
        for group in ["", "satellite-m", "satellite-m/daemon", "satellite-m/team-x"] {
            fs::create_dir_all(path.join(group)).unwrap();
            fs::write(path.join(group).join("cgroup.controllers"), controllers).unwrap();
            fs::write(path.join(group).join("cgroup.kill"), "").unwrap();
        }
        Fake(path)
    }

    fn open(&self) -> Opened {
        ControlGroups::open_in(&self.0, "m", TeamLimits::default())
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.0.join(path)).unwrap()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn key() -> InstanceKey {
    InstanceKey { team: "t".into(), installation: "i".into(), user: "u".into() }
}

#[test]
fn the_daemon_goes_below_and_each_missing_controller_is_named_with_what_to_do() {
    let fake = Fake::new("partly", "cpuset pids io\n");
    let opened = fake.open();
    let own = std::process::id().to_string();
    assert_eq!(fake.read("satellite-m/daemon/cgroup.procs"), own);
    assert_eq!(fake.read("cgroup.subtree_control"), "+pids");
    assert_eq!(fake.read("satellite-m/cgroup.subtree_control"), "+pids");
    let isolation = opened.isolation;
    assert_eq!(isolation.in_force, [Part::ControlGroups, Part::ProcessLimit].into());
    let why = &isolation.missing[&Part::MemoryLimit];
    assert!(why.contains("memory controller") && why.contains("Delegate=yes"), "{why}");
}

#[test]
fn a_group_gets_its_limits_and_one_per_process() {
    let fake = Fake::new("limits", "memory pids");
    let groups = fake.open().groups.unwrap();
    let team = format!("satellite-m/{}", team_name(&key().team));
    fs::create_dir_all(fake.0.join(&team)).unwrap();
    fs::write(fake.0.join(&team).join("cgroup.controllers"), "memory pids").unwrap();
    let limits = ProcessLimits { memory_bytes: 1 << 26, ..ProcessLimits::default() };
    let group = groups.group(&key(), Incarnation(3), &limits).unwrap();
    let name = format!("{team}/{}", instance_name(&key(), Incarnation(3)));
    for (file, content) in
        [("memory.max", "67108864"), ("memory.oom.group", "1"), ("pids.max", "256")]
    {
        assert_eq!(fake.read(&format!("{name}/{file}")), content, "{file}");
    }
    for file in ["memory.max", "pids.max"] {
        assert_eq!(fake.read(&format!("{team}/{file}")), "max", "{file}");
    }
    assert!(!fake.0.join(&name).join("cpu.max").exists(), "there is no such controller");
    drop(group);
    assert!(fake.0.join(&name).exists(), "only who knows that all have ended removes it");
}

#[test]
fn without_control_groups_the_reason_stands_for_every_part() {
    let opened = ControlGroups::open_in(Path::new("/proc/1"), "m", TeamLimits::default());
    assert!(opened.groups.is_none());
    assert_eq!(opened.isolation.missing.len(), 4);
    assert_eq!(opened.isolation.reasons().len(), 1);
}

#[test]
fn a_process_of_another_satellites_own_group_starts_beside_it() {
    for (found, expected) in [
        ("/c/a.service", "/c/a.service"),
        ("/c/a.service/satellite-1/daemon", "/c/a.service"),
        ("/c/other/daemon", "/c/other/daemon"),
        ("/daemon", "/daemon"),
    ] {
        assert_eq!(delegated(Path::new(found)), Path::new(expected));
    }
}
