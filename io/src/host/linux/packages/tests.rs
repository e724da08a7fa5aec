//! Installations by scripts that stand for npm and uv.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use futures_util::future::join_all;
use satellite_core::id::{Incarnation, InstanceKey};

use super::*;
use crate::host::{HostOptions, Process, ProcessHost, StandIns};

/// Installs what it is asked for below its prefix, and counts how often it did.
const NPM: &str = r#"#!/bin/sh
echo run >>"$(dirname "$0")/runs"
while [ "$1" != --prefix ]; do shift; done
prefix=$2
shift 3
case $1 in
*missing*) echo "npm error code E404" >&2; exit 1 ;;
*offline*) echo "npm error network EAI_AGAIN" >&2; exit 1 ;;
esac
sleep 0.2
mkdir -p "$prefix/node_modules/files"
cd "$prefix/node_modules/files"
echo '{"name":"files","version":"1.4.0","bin":{"files":"index.js"}}' >package.json
echo '// the server' >index.js
"#;

/// Says what it was started with.
const ECHO: &str = "#!/bin/sh\necho \"$(basename \"$0\") $*\"\n";

const UV: &str = r#"#!/bin/sh
echo run >>"$(dirname "$0")/runs"
for last; do :; done
case $1 in
venv) mkdir -p "$last/bin" && printf '#!/bin/sh\n' >"$last/bin/python" ;;
pip) cd "$(dirname "$5")" && mkdir -p ../lib/python3.11/site-packages/my_time-2.1.0.dist-info &&
     printf '#!/bin/sh\necho "tool $*"\n' >my-time && chmod +x my-time ;;
esac
"#;

struct Bench {
    root: PathBuf,
    host: LinuxHost,
}

impl Bench {
    fn new(name: &str, programs: &[(&str, &str)]) -> Self {
        let name = format!("packages-{name}-{}", std::process::id());
        let root = std::env::temp_dir().join(format!("satellite-{name}"));
        let bin = root.join("bin");
        fs::create_dir_all(&bin).unwrap();
        for (program, text) in programs {
            fs::write(bin.join(program), text).unwrap();
            fs::set_permissions(bin.join(program), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let host = LinuxHost::new(HostOptions {
            marker: name,
            allowed_commands: ["npx", "uvx"].map(String::from).into(),
            environment: vec![("PATH".into(), format!("{}:/usr/bin:/bin", bin.display()).into())],
            homes: root.join("homes"),
            packages: root.join("packages"),
            shared_home: None,
            jail: None,
            groups: None,
            stand_ins: StandIns::default(),
        });
        Bench { root, host: host.unwrap() }
    }

    /// What the process of a team's instance says first.
    async fn start(&self, team: &str, user: &str, line: &str) -> Result<String, SpawnFailure> {
        let (_sender, orders) = mpsc::unbounded_channel();
        let mut words = line.split(' ').map(String::from);
        let launch = Launch {
            key: InstanceKey { team: team.into(), installation: "i".into(), user: user.into() },
            incarnation: Incarnation(1),
            process: ProcessSpec {
                command: words.next().unwrap(),
                args: words.collect(),
                env: Vec::new(),
                handshake_timeout_ms: 1_000,
                limits: ProcessLimits::default(),
            },
            orders,
        };
        let Process { mut stdout, gone, .. } = self.host.spawn(launch).await?;
        let mut said = String::new();
        stdout.read_to_string(&mut said).await.unwrap();
        let _ = gone.await;
        Ok(said.trim().replace(self.root.to_str().unwrap(), ""))
    }

    fn runs(&self) -> usize {
        fs::read_to_string(self.root.join("bin/runs")).unwrap_or_default().lines().count()
    }

    /// Files of installations called `name`.
    fn find(&self, name: &str) -> Vec<PathBuf> {
        let (mut found, mut left) = (Vec::new(), vec![self.root.join("homes")]);
        while let Some(place) = left.pop() {
            for entry in fs::read_dir(place).unwrap().flatten() {
                if entry.path().is_dir() {
                    left.push(entry.path());
                } else if entry.file_name() == name {
                    found.push(entry.path());
                }
            }
        }
        found
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn with_npm(name: &str) -> Bench {
    Bench::new(name, &[("npm", NPM), ("node", ECHO), ("npx", ECHO)])
}

#[tokio::test]
async fn a_package_is_installed_once_and_then_started_without_its_wrapper() {
    let bench = with_npm("once");
    let said = bench.start("t", "u", "npx -y files /data").await.unwrap();
    assert!(said.starts_with("node /homes/"), "{said}");
    assert!(said.ends_with("-1/node_modules/files/index.js /data"), "{said}");
    let again = bench.start("t", "v", "npx files /data").await.unwrap();
    assert_eq!((said, bench.runs()), (again, 1));
    bench.start("t", "u", "npx files@1.0.0").await.unwrap();
    assert_eq!(bench.runs(), 2, "another version is another installation");
    bench.start("other", "u", "npx files").await.unwrap();
    assert_eq!(bench.runs(), 3, "another team has its own");
}

#[tokio::test]
async fn those_who_start_at_once_share_one_installation() {
    let bench = with_npm("shared");
    let users = ["a", "b", "c", "d", "e"];
    let all = join_all(users.map(|user| bench.start("t", user, "npx files"))).await;
    assert!(
        all.iter().all(|said| said.as_ref().is_ok_and(|it| it.starts_with("node "))),
        "{all:?}"
    );
    assert_eq!(bench.runs(), 1);
}

#[tokio::test]
async fn a_broken_installation_is_made_anew() {
    let bench = with_npm("broken");
    bench.start("t", "u", "npx files").await.unwrap();
    fs::write(&bench.find("index.js")[0], "// another").unwrap();
    let said = bench.start("t", "u", "npx files").await.unwrap();
    assert!(said.contains("-2/node_modules"), "{said}");
    assert_eq!(bench.find("index.js").len(), 1, "the broken one is gone");
    fs::remove_file(&bench.find("package.json")[0]).unwrap();
    let said = bench.start("t", "u", "npx files").await.unwrap();
    assert!(said.contains("-3/node_modules"), "{said}");
    assert_eq!(bench.runs(), 3);
    // What a server writes beside what was installed breaks nothing.
    let beside = bench.find("index.js")[0].with_file_name("cache");
    fs::write(beside, "kept").unwrap();
    bench.start("t", "u", "npx files").await.unwrap();
    assert_eq!(bench.runs(), 3);
}

#[tokio::test]
async fn an_installation_that_fails_says_what_to_do_and_whether_time_helps() {
    let bench = with_npm("fails");
    let failed = bench.start("t", "u", "npx missing").await.unwrap_err();
    assert_eq!((failed.step.as_str(), failed.retryable), ("install package", false));
    assert!(failed.error.contains("E404") && failed.error.contains("check its name"), "{failed:?}");
    let failed = bench.start("t", "u", "npx offline").await.unwrap_err();
    assert!(failed.retryable && failed.error.contains("registry can be reached"), "{failed:?}");
    let failed = bench.start("t", "u", "npx -p files other").await.unwrap_err();
    assert!(!failed.retryable && failed.error.contains("it has files"), "{failed:?}");
}

#[tokio::test]
async fn a_python_package_is_started_from_its_own_environment() {
    let bench = Bench::new("python", &[("uv", UV), ("uvx", ECHO)]);
    assert_eq!(bench.start("t", "u", "uvx my-time --local").await.unwrap(), "tool --local");
    assert_eq!(bench.start("t", "u", "uvx my-time --utc").await.unwrap(), "tool --utc");
    assert_eq!(bench.runs(), 2, "an environment and what goes into it");
    let record = fs::read_dir(bench.root.join("packages")).unwrap().flatten().next().unwrap();
    let record = fs::read_dir(record.path()).unwrap().flatten().next().unwrap();
    let record = Record::decode(&fs::read(record.path()).unwrap()).unwrap();
    assert_eq!((record.version.as_str(), record.by_node), ("2.1.0", false));
}

#[tokio::test]
async fn what_cannot_be_installed_here_is_left_to_its_wrapper() {
    let bench = Bench::new("wrapper", &[("npx", ECHO), ("uvx", ECHO)]);
    assert_eq!(bench.start("t", "u", "npx -c x").await.unwrap(), "npx -c x");
    assert_eq!(
        bench.start("t", "u", "uvx --from ./here tool").await.unwrap(),
        "uvx --from ./here tool"
    );
}
