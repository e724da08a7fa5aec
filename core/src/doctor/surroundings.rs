//! What is around a satellite: its settings and files, programs, ports, the clock, the Backend.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Finding, Outcome, lack};
use crate::isolation::Asked;

/// Descriptors a satellite wants to open: pipes and watches of its instances, and connections.
const OPEN_FILES_WANTED: u64 = 8_192;
/// The room its state should have, in MiB.
const FREE_MIB_WANTED: u64 = 512;
/// How far its clock may be from the Backend's before tokens seem to end early or late.
const CLOCK_WARN_SECONDS: u64 = 5;
/// From how far on the pairing fails.
const CLOCK_FAIL_SECONDS: u64 = 300;

/// Looks at the settings: what was wrong with them, and what to know of them, with what to do.
pub fn settings(wrong: Option<(&str, &str)>, warnings: &[String]) -> Vec<Finding> {
    const CHECK: &str = "settings";
    let mut findings: Vec<Finding> = warnings
        .iter()
        .map(|it| Finding::bad(CHECK, Outcome::Warn, it.as_str(), "see `satellite run --help`"))
        .collect();
    match wrong {
        Some((error, fix)) => findings.push(Finding::bad(CHECK, Outcome::Fail, error, fix)),
        None if findings.is_empty() => findings.push(Finding::pass(CHECK, "complete")),
        None => {}
    }
    findings
}

/// What is known of users on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accounts {
    /// Whether the satellite is root.
    pub is_root: bool,
    /// Whether the settings want an account for each team.
    pub are_wanted: bool,
    /// Whether `useradd` is there.
    pub can_add: bool,
}

/// Looks at the users that teams are given.
pub fn accounts(asked: Asked, accounts: Accounts) -> Finding {
    const CHECK: &str = "users";
    if !accounts.is_root {
        return Finding::bad(
            CHECK,
            lack(asked).min(Outcome::Warn),
            "teams share the satellite's own user, as it is not root",
            "run it as root: satellite systemd-unit > /etc/systemd/system/satellite.service",
        );
    }
    if !accounts.are_wanted {
        return Finding::pass(CHECK, "each team gets a number of its own");
    }
    if !accounts.can_add {
        return Finding::bad(
            CHECK,
            lack(asked).min(Outcome::Warn),
            "no useradd: each team gets a number of its own, without an account",
            "apt-get install passwd",
        );
    }
    Finding::pass(CHECK, "each team gets an account of its own")
}

/// A program that starts servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runtime {
    /// Its name.
    pub name: String,
    /// Where it is, if anywhere.
    pub path: Option<String>,
    /// What it says of its version.
    pub version: Option<String>,
}

/// Looks at the programs that servers are started with. None of them is needed by all servers.
pub fn runtimes(runtimes: &[Runtime]) -> Vec<Finding> {
    const CHECK: &str = "runtimes";
    let looked_at = runtimes.iter().map(|runtime| match (&runtime.path, &runtime.version) {
        (Some(path), Some(version)) => {
            Finding::pass(CHECK, format!("{}: {path}, {version}", runtime.name))
        }
        (Some(path), None) => Finding::bad(
            CHECK,
            Outcome::Warn,
            format!("{}: {path} does not say its version", runtime.name),
            format!("{path} --version"),
        ),
        (None, _) => Finding::bad(
            CHECK,
            Outcome::Warn,
            format!(
                "{} is not on the search path: servers that need it will not start",
                runtime.name
            ),
            match runtime.name.as_str() {
                "npx" | "node" => "apt-get install nodejs npm",
                "uvx" => "curl -LsSf https://astral.sh/uv/install.sh | sh",
                "python" | "python3" => "apt-get install python3 python-is-python3",
                _ => "install it, or take it from SATELLITE_ALLOWED_COMMANDS",
            },
        ),
    });
    looked_at.collect()
}

/// What came of listening on the port for MCP clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port<'a> {
    /// It is free.
    Free,
    /// A satellite has it.
    Satellite,
    /// Somebody else has it.
    Taken,
    /// It cannot be had, for this reason.
    Refused(&'a str),
}

/// Looks at the port for MCP clients.
pub fn port(address: &str, found: Port<'_>) -> Finding {
    const CHECK: &str = "port";
    match found {
        Port::Free => Finding::pass(CHECK, format!("{address} is free")),
        Port::Satellite => Finding::pass(CHECK, format!("{address}: a satellite serves there")),
        Port::Taken => {
            let number = address.rsplit_once(':').map_or(address, |(_, port)| port);
            Finding::bad(
                CHECK,
                Outcome::Fail,
                format!("{address} is taken by another program"),
                format!("ss -ltnp 'sport = :{number}' names it; end it, or choose another PORT"),
            )
        }
        Port::Refused(error) => Finding::bad(
            CHECK,
            Outcome::Fail,
            format!("{address}: {error}"),
            "set HOST to an address of this machine and PORT to one above 1023",
        ),
    }
}

/// Looks at how far the clock of this machine is ahead of the Backend's, in seconds; `None` if the
/// Backend did not say.
pub fn clock(ahead_seconds: Option<i64>) -> Finding {
    const CHECK: &str = "clock";
    let Some(ahead) = ahead_seconds else {
        return Finding::bad(
            CHECK,
            Outcome::Warn,
            "nobody to compare it with",
            "timedatectl status",
        );
    };
    let off = ahead.unsigned_abs();
    let outcome = match off {
        0..CLOCK_WARN_SECONDS => {
            return Finding::pass(CHECK, "the same as the Backend's");
        }
        CLOCK_WARN_SECONDS..CLOCK_FAIL_SECONDS => Outcome::Warn,
        _ => Outcome::Fail,
    };
    let side = if ahead > 0 { "ahead of" } else { "behind" };
    let found = format!("{off} s {side} the Backend's");
    Finding::bad(CHECK, outcome, found, "timedatectl set-ntp true")
}

/// What came of asking the Backend how it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend<'a> {
    /// It answered with this status, after so many milliseconds.
    Answered {
        /// The status.
        status: u16,
        /// The time it took.
        took_ms: u64,
    },
    /// It did not, for this reason.
    Away(&'a str),
}

/// Looks at the Backend.
pub fn backend(url: &str, found: Backend<'_>) -> Finding {
    const CHECK: &str = "Backend";
    match found {
        Backend::Answered { status: 200..=299, took_ms } => {
            Finding::pass(CHECK, format!("{url} answers, after {took_ms} ms"))
        }
        Backend::Answered { status, .. } => Finding::bad(
            CHECK,
            Outcome::Fail,
            format!("{url} answers with status {status}"),
            format!("curl -i {url}/api/health, and compare DEPLOYSTACK_BACKEND_URL"),
        ),
        Backend::Away(error) => Finding::bad(
            CHECK,
            Outcome::Fail,
            format!("{url}: {error}"),
            format!("curl -i {url}/api/health; HTTPS_PROXY and SATELLITE_CA_FILE are used if set"),
        ),
    }
}

/// Looks at how many files this process may open.
pub fn open_files(most: u64) -> Finding {
    const CHECK: &str = "open files";
    if most >= OPEN_FILES_WANTED {
        return Finding::pass(CHECK, format!("at most {most}"));
    }
    Finding::bad(
        CHECK,
        Outcome::Warn,
        format!("at most {most}: few for 50 instances and their clients"),
        "ulimit -n 65536, or LimitNOFILE=65536 in the unit",
    )
}

/// What is known of the directory of the satellite's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateDirectory {
    /// Whether it is there; otherwise the rest is of the directory it will be made in.
    pub exists: bool,
    /// Whether the satellite may write there.
    pub is_writable: bool,
    /// Its permissions, as `chmod` takes them.
    pub mode: u32,
    /// The room on its disk, in MiB.
    pub free_mib: u64,
}

/// Looks at the directory of the satellite's state.
pub fn state_directory(path: &str, found: Option<StateDirectory>) -> Finding {
    const CHECK: &str = "state";
    let choose = "make it, or name another with SATELLITE_STATE_DIR";
    let Some(found) = found else {
        let what = format!("{path} is nowhere that can be looked at");
        return Finding::bad(CHECK, Outcome::Fail, what, choose);
    };
    if !found.is_writable {
        let what = format!("{path} cannot be written");
        return Finding::bad(CHECK, Outcome::Fail, what, choose);
    }
    if found.exists && found.mode & 0o077 != 0 {
        let what = format!("{path} may be entered by others (mode {:o})", found.mode);
        return Finding::bad(CHECK, Outcome::Warn, what, format!("chmod 700 {path}"));
    }
    if found.free_mib < FREE_MIB_WANTED {
        let what = format!("{path} has {} MiB left", found.free_mib);
        let fix = format!("make room: df -h {path}");
        return Finding::bad(CHECK, Outcome::Warn, what, fix);
    }
    let kind = if found.exists { "private" } else { "will be made" };
    Finding::pass(CHECK, format!("{path}: {kind}, {} MiB free", found.free_mib))
}
