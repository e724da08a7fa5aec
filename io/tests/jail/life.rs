//! How jails begin and end: what fails is named, what ends takes everything with it.

use satellite_io::host::{JailOptions, Order, sweep};

use super::bench::{self, Bench, alive};

/// What this process holds of the system: descriptors, mounts and children.
fn held() -> [usize; 3] {
    let count = |path: &str| std::fs::read_dir(path).unwrap().count();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap().lines().count();
    let own = std::process::id().to_string();
    let children = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let stat = std::fs::read_to_string(entry.ok()?.path().join("stat")).ok()?;
        let (_, rest) = stat.rsplit_once(')')?;
        rest.split_ascii_whitespace().nth(1).map(|parent| parent == own)
    });
    [count("/proc/self/fd"), mounts, children.filter(|is_child| *is_child).count()]
}

#[tokio::test]
async fn how_a_server_ends_is_told_through_its_jail() {
    let bench = Bench::new("ends", Some(bench::options()));
    let exit = bench.server("a", "exit 7").await.ended().await;
    assert_eq!((exit.code, exit.signal), (Some(7), None));
    for (signal, name) in [(9, "SIGKILL"), (15, "SIGTERM"), (40, "a real-time signal")] {
        let exit = bench.server("a", &format!("kill -{signal} $$")).await.ended().await;
        assert_eq!((exit.code, exit.signal.as_deref()), (None, Some(name)));
    }
    let exit = bench.server("a", "exit 137").await.ended().await;
    assert_eq!((exit.code, exit.signal), (Some(137), None));
}

#[tokio::test]
async fn a_polite_server_ends_at_sigterm_and_a_stubborn_one_is_killed_with_all_it_started() {
    let bench = Bench::new("grace", Some(bench::options()));
    let mut polite =
        bench.server("a", "trap 'echo bye; exit 3' TERM; echo on; while :; do sleep 1; done").await;
    assert_eq!(polite.line().await, "on");
    polite.terminate.send(Order::Terminate { grace_ms: 600_000 }).unwrap();
    assert_eq!(polite.ended().await.code, Some(3));

    let script = "trap '' TERM; setsid sh -c 'trap \"\" TERM; sleep 162342' & \
                  ( ( trap '' TERM; sleep 162342 ) & ) ; setsid setsid sleep 162342 & \
                  sleep 0; echo on; while :; do sleep 162342; done";
    let mut stubborn = bench.server("a", script).await;
    assert_eq!(stubborn.line().await, "on");
    stubborn.process_of("sleep\x00162342").await;
    stubborn.terminate.send(Order::Terminate { grace_ms: 600_000 }).unwrap();
    stubborn.terminate.send(Order::Terminate { grace_ms: 20 }).unwrap();
    assert_eq!(stubborn.ended().await.signal.as_deref(), Some("SIGKILL"));
    assert!(alive("sleep\x00162342").is_empty());
}

#[tokio::test]
async fn grandchildren_do_not_outlive_a_server_that_exits() {
    let bench = Bench::new("rest", Some(bench::options()));
    let script = "(setsid sleep 162343 &) ; exit 4";
    assert_eq!(bench.server("a", script).await.ended().await.code, Some(4));
    assert!(alive("sleep\x00162343").is_empty());
}

#[tokio::test]
async fn a_sweep_finds_jails_by_their_marker() {
    let bench = Bench::new("sweep", Some(bench::options()));
    let mut server = bench.server("a", "echo on; exec sleep 162344").await;
    assert_eq!(server.line().await, "on");
    assert!(sweep(&bench.marker, std::time::Duration::ZERO).await > 0);
    server.ended().await;
    assert!(alive("sleep\x00162344").is_empty());
}

#[tokio::test]
async fn what_cannot_be_jailed_names_the_step_and_leaves_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::alone("fails", bench::options());
    let noise = bench.root.join("noise");
    std::fs::write(&noise, [0, 1, 2]).unwrap();
    std::fs::set_permissions(&noise, std::fs::Permissions::from_mode(0o755)).unwrap();
    let bench = bench.renewed(bench::options());
    bench.server("a", "true").await.printed().await;
    let before = held();
    for _ in 0..3 {
        let noise = noise.to_str().unwrap();
        let failure = bench.start("a", noise, &[]).await.err().unwrap();
        assert_eq!(failure.step, "exec", "{}", failure.error);
        let no_program = JailOptions { program: "/no/such".into(), ..bench::options() };
        let failure = bench.with(no_program).start("a", "cat", &[]).await.err().unwrap();
        assert_eq!(failure.step, "exec", "{}", failure.error);
        // A program that is no jail says nothing.
        let no_jail = JailOptions { program: "/bin/true".into(), ..bench::options() };
        let failure = bench.with(no_jail).start("a", "cat", &[]).await.err().unwrap();
        assert_eq!(failure.step, "jail", "{}", failure.error);
        let long = "x".repeat(200_000);
        let failure = bench.start("a", "cat", &[&long]).await.err().unwrap();
        assert_eq!(failure.step, "exec", "{}", failure.error);
    }
    assert_eq!(held(), before);
}

#[tokio::test]
async fn a_rehearsal_says_that_jails_work_or_what_is_missing() {
    let bench = Bench::new("rehearsal", Some(bench::options()));
    assert_eq!(bench.host.rehearse().await, Ok(()));
    assert_eq!(std::fs::read_dir(bench.root.join("homes")).unwrap().count(), 0);
    let broken = JailOptions { program: "/bin/false".into(), ..bench::options() };
    let missing = bench.with(broken).host.rehearse().await.unwrap_err();
    assert_eq!(missing.step, "jail", "{}", missing.error);
}
