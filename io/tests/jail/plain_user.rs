//! Jails of a satellite that was not started as root: a user namespace takes the place of users.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::Command;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::unistd::Uid;
use satellite_io::host::JailOptions;

use super::bench::{self, Bench};

/// Nobody has it.
const USER: &str = "61777";
/// Where the satellite is found by the user, who may not be able to look into its directory.
const PROGRAM: &str = "SATELLITE_TEST_PROGRAM";

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "who runs this test again tells it so")]
async fn without_root_a_user_namespace_holds_the_same_walls() {
    let Ok(program) = std::env::var(PROGRAM) else {
        become_the_user("plain_user::without_root_a_user_namespace_holds_the_same_walls");
        return;
    };
    let options = JailOptions { program: program.into(), ..bench::options() };
    let bench = Bench::new("plain", Some(options));
    assert_eq!(bench.host.rehearse().await, Ok(()));
    let script = "id -u; grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status; ls -d /proc/[0-9]*; \
                  echo x > /etc/x && echo written; unshare -U true && echo out; cat $HOME/../../../note; \
                  echo y > $HOME/kept && cat $HOME/kept";
    std::fs::write(bench.root.join("note"), "note").unwrap();
    let printed = bench.server("a", script).await.printed().await;
    assert!(printed.starts_with(&format!("{}\n", Uid::current())), "{printed}");
    assert_eq!(printed.matches("0000000000000000").count(), 5, "{printed}");
    assert!(printed.contains("NoNewPrivs:\t1\n") && printed.contains("Seccomp:\t2\n"), "{printed}");
    assert!(printed.contains("/proc/1\n") && printed.matches("/proc/").count() <= 3, "{printed}");
    for refused in ["written", "out", "note"] {
        assert!(!printed.contains(refused), "{refused}: {printed}");
    }
    assert!(printed.ends_with("y\n"), "{printed}");
    let exit = bench.server("a", "kill -9 $$").await.ended().await;
    assert_eq!(exit.signal.as_deref(), Some("SIGKILL"));
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "who runs this test again tells it so")]
async fn without_control_groups_the_processes_of_a_server_are_counted_in_its_user_namespace() {
    let Ok(program) = std::env::var(PROGRAM) else {
        become_the_user(
            "plain_user::without_control_groups_the_processes_of_a_server_are_counted_in_its_user_namespace",
        );
        return;
    };
    let options = JailOptions { program: program.into(), ..bench::options() };
    let bench = Bench::new("counted", Some(options));
    for (count, all) in [(200, true), (300, false)] {
        let script = format!(
            "ulimit -p; i=0; while [ $i -lt {count} ]; do sleep 300 & i=$((i + 1)); done; echo all"
        );
        // Two servers of one user: each has its own count.
        let [one, two] = ["a", "b"].map(|team| bench.server(team, &script));
        let (one, two) = tokio::join!(one, two);
        for printed in [one.printed().await, two.printed().await] {
            assert!(printed.starts_with("257\n"), "{printed}");
            assert_eq!(printed.contains("all"), all, "{count}: {printed}");
        }
    }
}

/// Runs this test again as somebody else.
fn become_the_user(test: &str) {
    assert!(Uid::current().is_root(), "only root can become another user");
    let inherited = |path: &std::path::Path| {
        let file = File::open(path).unwrap();
        fcntl(&file, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        (file, path)
    };
    let (_test, test_path) = inherited(&std::env::current_exe().unwrap());
    let (_program, program) = inherited(&bench::options().program);
    let output = Command::new("setpriv")
        .args(["--reuid", USER, "--regid", USER, "--clear-groups", &test_path])
        .args(["--exact", test, "--nocapture"])
        .env(PROGRAM, program)
        .current_dir("/")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
