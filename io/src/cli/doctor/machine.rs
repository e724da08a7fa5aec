//! What this machine is: files, limits, the kernel, users, programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::{AccessFlags, Uid, access};
use satellite_core::doctor::{self, Accounts, Finding, Kernel, Runtime, StateDirectory};
use satellite_core::isolation::{Asked, Isolation};

use super::super::jail;
use crate::host::{ControlGroups, Executables, HostOptions, Opened, StandIns};
use crate::settings::DaemonSettings;

/// How long a program may take to say its version.
const VERSION_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn state_directory(path: &Path) -> Finding {
    use std::os::unix::fs::PermissionsExt;
    let existing = path.ancestors().find(|it| !it.as_os_str().is_empty() && it.exists());
    // A relative path with one part is made where we are.
    let existing = existing.unwrap_or(Path::new("."));
    let found = existing.metadata().ok().filter(fs::Metadata::is_dir).map(|metadata| {
        let free = nix::sys::statvfs::statvfs(existing);
        let free = free.map_or(0, |it| it.blocks_available().saturating_mul(it.fragment_size()));
        StateDirectory {
            exists: existing == path,
            is_writable: access(existing, AccessFlags::W_OK | AccessFlags::X_OK).is_ok(),
            mode: metadata.permissions().mode() & 0o7777,
            free_mib: free >> 20,
        }
    });
    doctor::state_directory(&path.display().to_string(), found)
}

pub(super) fn open_files() -> Finding {
    // The daemon raises the soft limit no further than where it was started.
    doctor::open_files(getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft))
}

/// Takes control groups as the daemon would, and leaves them again.
pub(super) fn control_groups(asked: Asked, settings: &DaemonSettings) -> Vec<Finding> {
    let Opened { groups, isolation } = ControlGroups::open(&marker(), settings.core.team_limits);
    if let Some(groups) = groups {
        groups.leave();
    }
    doctor::control_groups(&Isolation { asked, ..isolation })
}

pub(super) fn kernel(asked: Asked) -> Vec<Finding> {
    let text = |path: &str| fs::read_to_string(path).ok();
    let number = |path: &str| text(path)?.trim().parse::<u64>().ok();
    let kernel = Kernel {
        is_root: Uid::effective().is_root(),
        user_namespaces_max: number("/proc/sys/user/max_user_namespaces"),
        unprivileged_clone: number("/proc/sys/kernel/unprivileged_userns_clone").map(|it| it != 0),
        has_apparmor: text("/sys/module/apparmor/parameters/enabled")
            .is_some_and(|it| it.trim() == "Y"),
        apparmor_restricts: number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
            .map(|it| it != 0),
        landlock: crate::jail::landlock_version(),
        has_seccomp: text("/proc/sys/kernel/seccomp/actions_avail")
            .is_some_and(|it| it.split_whitespace().any(|action| action == "errno")),
    };
    doctor::kernel(asked, &kernel)
}

/// Sets a jail up as the daemon would, away from its directories, and ends it.
pub(super) async fn jail(asked: Asked, settings: &DaemonSettings) -> Finding {
    // Not below /tmp, in whose place servers have one of their own.
    let own = PathBuf::from("/var/tmp").join(marker());
    let options = HostOptions {
        marker: marker(),
        allowed_commands: settings.core.allowed_commands.clone(),
        environment: settings.environment.0.clone(),
        homes: own.join("homes"),
        packages: own.join("packages"),
        shared_home: None,
        jail: None,
        groups: None,
        stand_ins: StandIns::default(),
    };
    // A rehearsal makes no account: that would stay.
    let mut settings = settings.clone();
    settings.jail.makes_accounts = false;
    let outcome = jail::host(&settings, &own, options).await;
    let _ = fs::remove_dir_all(&own);
    match outcome {
        Ok((_, None)) => doctor::jail(asked, None),
        Ok((_, Some(missing))) => doctor::jail(asked, Some((&missing.step, &missing.error))),
        Err(error) => doctor::jail(asked, Some(("start processes", &error.to_string()))),
    }
}

pub(super) fn accounts(asked: Asked, settings: &DaemonSettings) -> Finding {
    let places = ["/usr/sbin/useradd", "/sbin/useradd", "/usr/bin/useradd"];
    let accounts = Accounts {
        is_root: Uid::effective().is_root(),
        are_wanted: settings.jail.makes_accounts,
        can_add: places.iter().any(|it| Path::new(it).exists()),
    };
    doctor::accounts(asked, accounts)
}

pub(super) async fn runtimes(settings: &DaemonSettings) -> Vec<Finding> {
    let environment = &settings.environment.0;
    let path = environment.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value);
    let allowed = &settings.core.allowed_commands;
    let places = Executables::resolve(allowed, path.map_or("".as_ref(), |it| it.as_os_str()));
    let mut found = Vec::new();
    for (name, place) in places.places() {
        let version = match place {
            Some(place) => version(place, settings).await,
            None => None,
        };
        let path = place.map(|it| it.display().to_string());
        found.push(Runtime { name: name.to_owned(), path, version });
    }
    doctor::runtimes(&found)
}

/// The first line that a program prints for `--version`.
async fn version(program: &Path, settings: &DaemonSettings) -> Option<String> {
    let mut command = tokio::process::Command::new(program);
    command
        .arg("--version")
        .env_clear()
        .envs(
            settings
                .environment
                .0
                .iter()
                .filter(|(name, _)| name == "PATH" || name == "HOME")
                .cloned(),
        )
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(VERSION_TIMEOUT, command.output()).await.ok()?.ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let first = text.lines().next().map(str::trim).filter(|it| !it.is_empty())?;
    output.status.success().then(|| first.chars().take(60).collect())
}

/// The name under which this process is known while it tries things.
fn marker() -> String {
    format!("doctor-{}", std::process::id())
}
