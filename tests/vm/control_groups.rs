//! Limits, as the kernel has and enforces them, and the end of process trees.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use satellite_core::cgroup::{Limit, LimitKill, MIB, Owner, ProcessLimits, TeamLimits, keyed};
use satellite_io::host::Order;
use tokio::time::{Instant, sleep};

use crate::bench::{Bench, ROOT, eventually, is_alive, tell};

/// Takes 400 MB at once, beside a process that takes none.
const GLUTTON: &str = "sleep 1000 & dd if=/dev/zero of=/dev/null bs=400M count=1; exit 3";

#[tokio::test]
async fn a_process_is_born_in_its_group_with_the_limits_of_the_seeds() {
    let bench = Bench::new("limits", TeamLimits::default());
    let own = fs::read_to_string("/proc/self/cgroup").unwrap();
    assert_eq!(own.trim(), "0::/satellite-limits/daemon");
    // What it writes down first is where it is before it can do anything else.
    let started = bench.start("u", "cat /proc/self/cgroup >/tmp/born; exec sleep 1000").await;
    started.has(1).await;
    assert_eq!(started.file("cgroup.procs"), started.process.pid.to_string());
    eventually("where it was born", || {
        let born = fs::read_to_string("/tmp/born").unwrap_or_default();
        let group = started.group.strip_prefix(ROOT).unwrap();
        born.trim() == format!("0::/{}", group.display())
    })
    .await;
    assert_eq!(started.file("memory.max"), "104857600");
    assert_eq!(started.file("memory.high"), "99614720");
    assert_eq!(started.file("memory.oom.group"), "1");
    assert_eq!(started.file("pids.max"), "256");
    assert_eq!(started.file("cpu.max"), "1000000 1000000", "while it starts");
    started.orders.send(Order::Settle).unwrap();
    eventually("the quota", || started.file("cpu.max") == "100000 1000000").await;
    started.stop().await;
    bench.end();
}

#[tokio::test]
async fn out_of_memory_at_the_limit_ends_the_whole_tree_and_is_told() {
    let bench = Bench::new("memory", TeamLimits::default());
    let mut started = bench.start("u", GLUTTON).await;
    let neighbour = bench.start("v", "exec sleep 1000").await;
    let exit = started.ended().await;
    assert_eq!(exit.signal.as_deref(), Some("SIGKILL"));
    let expected = LimitKill { limit: Limit::Memory, owner: Owner::Process, value: 100 * MIB };
    assert_eq!(exit.limit, Some(expected));
    assert!(is_alive(neighbour.process.pid));
    neighbour.stop().await;
    bench.end();
}

#[tokio::test]
async fn a_limit_of_one_server_is_raised_alone() {
    let bench = Bench::new("raised", TeamLimits::default());
    let limits = ProcessLimits { memory_bytes: 512 * MIB, ..ProcessLimits::default() };
    let mut started = bench.start_with("u", &GLUTTON.replace("400M", "200M"), limits).await;
    let exit = started.ended().await;
    assert_eq!((exit.code, exit.limit), (Some(3), None));
    bench.end();
}

#[tokio::test]
async fn a_team_is_measured_by_its_own_group() {
    let bench = Bench::new("measured", TeamLimits::default());
    let one = bench.start("u", "sleep 1000 & exec sleep 1000").await;
    let two = bench.start("v", "exec sleep 1000").await;
    one.has(2).await;
    two.has(1).await;
    let samples = bench.samples().await;
    let mut counts: Vec<u64> = samples.processes.iter().map(|it| it.usage.processes).collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 2]);
    let [team] = &samples.teams[..] else { panic!("{samples:?}") };
    assert_eq!((team.team.as_str(), team.usage.processes), ("t", 3));
    assert!(team.usage.cpu_us > 0, "{team:?}");
    one.stop().await;
    two.stop().await;
    assert!(bench.samples().await.teams.is_empty());
    bench.end();
}

#[tokio::test]
async fn a_team_has_a_limit_of_its_own_and_a_kill_says_so() {
    let teams = TeamLimits { memory_bytes: Some(150 * MIB), ..TeamLimits::default() };
    let bench = Bench::new("team", teams);
    let limits = ProcessLimits { memory_bytes: 400 * MIB, ..ProcessLimits::default() };
    let mut started = bench.start_with("u", GLUTTON, limits).await;
    let team = started.group.parent().unwrap().join("memory.max");
    assert_eq!(fs::read_to_string(team).unwrap().trim(), "157286400");
    let exit = started.ended().await;
    let expected = LimitKill { limit: Limit::Memory, owner: Owner::Team, value: 150 * MIB };
    assert_eq!(exit.limit, Some(expected));
    bench.end();
}

#[tokio::test]
async fn a_busy_server_gets_a_tenth_of_a_processor() {
    let bench = Bench::new("cpu", TeamLimits::default());
    let started = bench.start("u", "while :; do :; done").await;
    started.orders.send(Order::Settle).unwrap();
    eventually("the quota", || started.file("cpu.max") == "100000 1000000").await;
    // The first period may have begun with more.
    sleep(Duration::from_secs(2)).await;
    let used = || keyed(&started.file("cpu.stat"), "usage_usec").unwrap();
    let (before, from) = (used(), Instant::now());
    sleep(Duration::from_secs(10)).await;
    let share = (used() - before) as f64 / from.elapsed().as_micros() as f64 * 100.0;
    tell(&format!("figure: {share:.1} % of a processor"));
    assert!((5.0..16.0).contains(&share), "{share:.1} %");
    assert!(keyed(&started.file("cpu.stat"), "nr_throttled").unwrap() > 0);
    started.stop().await;
    bench.end();
}

#[tokio::test]
async fn a_server_that_forks_on_and_on_is_held_and_its_limit_told() {
    let bench = Bench::new("forks", TeamLimits::default());
    let limits = ProcessLimits { processes: 20, ..ProcessLimits::default() };
    let script = "while :; do sleep 1000 & done";
    let mut started = bench.start_with("u", script, limits).await;
    let exit = started.ended().await;
    assert_ne!(exit.code, Some(0), "{exit:?}");
    let expected = LimitKill { limit: Limit::Processes, owner: Owner::Process, value: 20 };
    assert_eq!(exit.limit, Some(expected));
    bench.end();
}

#[tokio::test]
async fn no_process_gets_away_from_the_end_of_its_server() {
    let bench = Bench::new("teardown", TeamLimits::default());
    let rude = "trap '' TERM; \
                setsid sh -c 'trap \"\" TERM; sleep 1000 & sleep 1000 & wait' & \
                (setsid sh -c 'trap \"\" TERM; while :; do sleep 1000; done' &); \
                while :; do sleep 1000; done";
    let mut started = bench.start("u", rude).await;
    started.has(7).await;
    let pids: Vec<u32> =
        started.file("cgroup.procs").lines().map(|line| line.parse().unwrap()).collect();
    started.orders.send(Order::Terminate { grace_ms: 500 }).unwrap();
    let exit = started.ended().await;
    assert_eq!((exit.signal.as_deref(), exit.limit), (Some("SIGKILL"), None));
    assert!(!pids.iter().any(|pid| is_alive(*pid)), "{pids:?}");

    let mut started = bench.start("u", "(setsid sleep 1000 &); sleep 1; exit 5").await;
    assert_eq!(started.ended().await.code, Some(5), "the grandchild that it left has ended too");
    bench.end();
}

#[tokio::test]
async fn a_polite_server_ends_when_it_is_asked_to() {
    let bench = Bench::new("polite", TeamLimits::default());
    let script = "trap 'exit 7' TERM; sleep 1000 & wait";
    let mut started = bench.start("u", script).await;
    started.has(2).await;
    started.orders.send(Order::Terminate { grace_ms: 60_000 }).unwrap();
    assert_eq!(started.ended().await.code, Some(7));
    bench.end();
}

#[tokio::test]
async fn a_start_ends_what_a_killed_daemon_left_in_its_own_groups_and_nothing_else() {
    crate::bench::inside();
    let own = Path::new(ROOT).join("satellite-left");
    let other = Path::new(ROOT).join("satellite-other");
    let mut children = Vec::new();
    for (tree, is_frozen) in [(&own, false), (&own, true), (&other, false)] {
        let group = tree.join(format!("team-1/x-{is_frozen}"));
        fs::create_dir_all(&group).unwrap();
        // It carries no marker, as one that cleaned its environment.
        let mut sleeper = Command::new("setsid");
        let child = sleeper.args(["sleep", "1000"]).env_clear().env("PATH", "/usr/bin:/bin");
        let child = child.stdin(Stdio::null()).spawn().unwrap();
        fs::write(group.join("cgroup.procs"), child.id().to_string()).unwrap();
        if is_frozen {
            fs::write(group.join("cgroup.freeze"), "1").unwrap();
        }
        children.push(child);
    }
    let opened = satellite_io::host::ControlGroups::open("left", TeamLimits::default());
    let groups = opened.groups.unwrap();
    assert_eq!(groups.sweep(std::future::ready(())).await, 2);
    assert!(!own.join("team-1").exists());
    let [first, second, third] = &mut children[..] else { panic!("three") };
    assert!(!is_alive(first.id()) && !is_alive(second.id()) && is_alive(third.id()));
    third.kill().unwrap();
    for child in &mut children {
        child.wait().unwrap();
    }
    groups.leave();
    assert!(!own.exists());
    fs::remove_dir(other.join("team-1/x-false")).unwrap();
    fs::remove_dir(other.join("team-1")).unwrap();
    fs::remove_dir(other).unwrap();
}
