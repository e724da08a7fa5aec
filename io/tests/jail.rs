//! The walls of the jail, with real processes, as root: each attack first succeeds without the jail
//! and then fails in it. A time-out here only bounds a failure; nothing is measured.

#![expect(clippy::unwrap_used, reason = "whatever fails here fails a test")]

#[path = "jail/bench.rs"]
mod bench;
#[path = "jail/life.rs"]
mod life;
#[path = "jail/plain_user.rs"]
mod plain_user;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;

use satellite_io::host::JailOptions;

use bench::Bench;

/// What a script of team `a` prints without the jail and in it.
async fn both(name: &str, script: impl Fn(&Bench) -> String) -> [String; 2] {
    let mut printed = Vec::new();
    for jail in [None, Some(bench::options())] {
        let bench = Bench::new(name, jail);
        let script = script(&bench);
        printed.push(bench.server("a", &script).await.printed().await);
    }
    <[String; 2]>::try_from(printed).unwrap()
}

#[tokio::test]
async fn the_processes_of_others_are_neither_seen_nor_signalled_nor_read() {
    for jail in [None, Some(bench::options())] {
        let is_jailed = jail.is_some();
        let bench = Bench::new("processes", jail);
        let mut victim = bench.server("b", "echo on; exec sleep 481516").await;
        assert_eq!(victim.line().await, "on");
        let pid = victim.process_of("sleep\x00481516").await;
        let script = format!(
            "grep -l '[4]81516' /proc/[0-9]*/cmdline; grep -c SATELLITE_PROCESS /proc/{pid}/environ; \
             ls -d /proc/{0} ; kill -0 {pid} && echo signalled; kill -0 {0} && echo daemon",
            std::process::id()
        );
        let printed = bench.server("a", &script).await.printed().await;
        let seen = format!("/proc/{pid}/cmdline");
        for seen in [seen.as_str(), "signalled", "daemon"] {
            assert_eq!(printed.contains(seen), !is_jailed, "{seen}: {printed}");
        }
        if is_jailed {
            assert!(
                !printed.contains("SATELLITE_PROCESS") && !printed.contains("/proc/"),
                "{printed}"
            );
        }
        victim.end().await;
    }
}

#[tokio::test]
async fn the_files_of_other_teams_and_of_the_satellite_are_not_there() {
    let printed = both("files", |bench| {
        fs::create_dir_all(bench.root.join("state")).unwrap();
        fs::write(bench.root.join("state/credentials"), "credential").unwrap();
        fs::create_dir_all(bench.root.join("homes/other/home")).unwrap();
        fs::write(bench.root.join("homes/other/home/note"), "foreign").unwrap();
        let root = bench.root.display();
        format!(
            "cat {root}/state/credentials {root}/homes/other/home/note; ls {root}/homes | wc -l"
        )
    });
    let [without, jailed] = printed.await;
    assert_eq!(without.trim(), "credentialforeign2");
    assert_eq!(jailed.trim(), "1");
}

#[tokio::test]
async fn a_state_directory_below_what_servers_see_is_covered() {
    let jail = bench::options();
    let bench = Bench::new("covered", None);
    let state = bench.root.join("state");
    fs::create_dir_all(&state).unwrap();
    fs::write(state.join("credentials"), "credential").unwrap();
    let script = format!("ls {0}; cat {1}/credentials", bench.root.display(), state.display());
    for hidden in [false, true] {
        let mut jail = jail.clone();
        jail.readable.insert(bench.root.clone());
        if hidden {
            jail.hidden.insert(state.clone());
        }
        let printed = bench.with(jail).server("a", &script).await.printed().await;
        assert!(printed.contains("state"), "{printed}");
        assert_eq!(printed.contains("credential"), !hidden, "{printed}");
    }
}

#[tokio::test]
async fn the_system_is_read_only_and_what_is_written_to_tmp_is_nobody_elses() {
    let name = format!("satellite-wall-{}", std::process::id());
    let script = format!("echo x > /etc/{name} && echo etc; echo x > /tmp/{name} && echo tmp");
    let [without, jailed] = both("system", |_| script.clone()).await;
    assert_eq!(without, "etc\ntmp\n");
    for directory in ["/etc", "/tmp"] {
        fs::remove_file(format!("{directory}/{name}")).unwrap();
    }
    assert_eq!(jailed, "tmp\n");
    assert!(!fs::exists(format!("/tmp/{name}")).unwrap());
}

#[tokio::test]
async fn tmp_has_a_size_and_home_keeps_what_is_written() {
    let bench = Bench::new("sizes", Some(bench::options()));
    let script = "head -c 100000000 /dev/zero > /tmp/full && echo all; rm /tmp/full; \
                  echo kept > $HOME/note; echo $TMPDIR; pwd";
    let printed = bench.server("a", script).await.printed().await;
    let lines: Vec<&str> = printed.lines().collect();
    assert!(matches!(*lines, ["/tmp", home] if home.ends_with("/home")), "{printed}");
    assert_eq!(bench.server("a", "cat note").await.printed().await, "kept\n");
}

#[tokio::test]
async fn each_team_has_a_user_of_its_own_without_any_rights() {
    let script =
        "id -u; id -G; grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status; stat -c %u .";
    let [without, jailed] = both("users", |_| String::from(script)).await;
    assert!(without.starts_with("0\n") && without.contains("NoNewPrivs:\t0"), "{without}");
    let mut lines = jailed.lines();
    let user = lines.next().unwrap();
    assert_ne!(user, "0");
    assert_eq!(lines.next(), Some(user), "{jailed}");
    assert_eq!(jailed.matches("0000000000000000").count(), 5, "{jailed}");
    assert!(jailed.contains("NoNewPrivs:\t1\n") && jailed.contains("Seccomp:\t2\n"), "{jailed}");
    assert!(jailed.ends_with(&format!("\n{user}\n")), "{jailed}");

    let bench = Bench::new("two-users", Some(bench::options()));
    let a = bench.server("a", "id -u").await.printed().await;
    let b = bench.server("b", "id -u").await.printed().await;
    assert_ne!(a, b);
    let owners: Vec<u32> = fs::read_dir(bench.root.join("homes"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().uid())
        .collect();
    assert!(owners.len() == 2 && !owners.contains(&0), "{owners:?}");
}

#[tokio::test]
async fn no_namespace_mount_trace_or_set_user_id_program_leads_out() {
    let attacks = [
        ("unshare -U true && echo out", "out"),
        ("mount -t tmpfs none /tmp && umount /tmp && echo out", "out"),
        ("chroot / true && echo out", "out"),
        ("grep -q . /proc/$PPID/maps && echo out", "out"),
        (
            "dd if=/proc/$PPID/mem of=/dev/null bs=1 count=1 skip=1 2>&1 | grep -q denied || echo out",
            "out",
        ),
        ("mknod /tmp/mem-$$ c 1 1 && rm /tmp/mem-$$ && echo out", "out"),
        ("ls /dev/mem /dev/kmsg 2>/dev/null | grep -q . && echo out", "out"),
    ];
    for (attack, out) in attacks {
        let [without, jailed] = both("attacks", |_| attack.into()).await;
        assert_eq!(without.trim(), out, "without the jail: {attack}");
        assert_eq!(jailed.trim(), "", "{attack}");
    }
}

/// What is left without the option is that a server reaches what the satellite's machine reaches:
/// the satellite's port and the metadata address of a cloud among it.
#[tokio::test]
async fn the_network_is_reached_unless_the_option_is_on() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = format!(
        "exec bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port} && echo reached; \
         tail -n +3 /proc/net/dev | cut -d: -f1'"
    );
    for is_offline in [false, true] {
        let options = JailOptions { is_offline, ..bench::options() };
        let bench = Bench::new("network", Some(options));
        let printed = bench.server("a", &script).await.printed().await;
        assert_eq!(printed.contains("reached"), !is_offline, "{printed}");
        if is_offline {
            assert_eq!(printed.trim(), "lo");
        }
    }
}

#[tokio::test]
async fn loopback_works_without_a_network() {
    let script = "python3 -c 'import socket; s = socket.create_server((\"127.0.0.1\", 0)); \
                  socket.create_connection(s.getsockname()); print(\"met\")'";
    let options = JailOptions { is_offline: true, ..bench::options() };
    let bench = Bench::new("loopback", Some(options));
    assert_eq!(bench.server("a", script).await.printed().await, "met\n");
}

#[tokio::test]
async fn an_abstract_socket_of_others_is_not_reached() {
    let name = format!("satellite-wall-{}", std::process::id());
    use std::os::linux::net::SocketAddrExt;
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind_addr(&address).unwrap();
    let script = format!(
        "/usr/bin/python3 -c 'import socket; s = socket.socket(socket.AF_UNIX); \
         s.connect(\"\\0{name}\"); print(\"reached\")'"
    );
    let [without, jailed] = both("abstract", |_| script.clone()).await;
    assert_eq!((without.as_str(), jailed.as_str()), ("reached\n", ""));
}

#[tokio::test]
async fn a_program_of_the_system_speaks_through_its_jail() {
    let bench = Bench::new("cat", Some(bench::options()));
    let mut server = bench.start("a", "cat", &[]).await.unwrap();
    server.say("one line\n").await;
    assert_eq!(server.line().await, "one line");
    server.end().await;
}
