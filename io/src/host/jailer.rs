//! Puts servers into jails: decides what each sees and who it is, and hears how its jail fares.

mod accounts;
mod users;
mod visible;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use nix::fcntl::OFlag;
use nix::libc;
use nix::unistd::{Uid, pipe2, read};
use satellite_core::id::TeamId;
use satellite_core::team_user::team_user;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::unix::pipe;

use super::spawner::Program;
use crate::jail::{self, Jail, REPORT_MAX_BYTES, Report, Specification, TeamUser};
use accounts::Accounts;
use users::Prepared;
use visible::Visible;

/// What `/tmp` of a server may hold.
const TEMPORARY_BYTES: u64 = 64 << 20;

/// The directory, among those of the teams, in which jails are rehearsed.
pub(super) const REHEARSAL: &str = "rehearsal";

/// How servers are jailed.
#[derive(Clone, Debug)]
pub struct JailOptions {
    /// This program: its hidden command sets a jail up.
    pub program: PathBuf,
    /// What servers may read beside the system and their own programs.
    pub readable: BTreeSet<PathBuf>,
    /// Directories they must not see: the state of the satellite.
    pub hidden: BTreeSet<PathBuf>,
    /// Whether they reach nothing but themselves.
    pub is_offline: bool,
    /// Whether teams get accounts; without, they get numbers.
    pub makes_accounts: bool,
}

impl Default for JailOptions {
    fn default() -> Self {
        JailOptions {
            program: PathBuf::from("/proc/self/exe"),
            readable: BTreeSet::new(),
            hidden: BTreeSet::new(),
            is_offline: false,
            makes_accounts: true,
        }
    }
}

/// A part of the jail that this machine does not give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingPart {
    /// The step that failed.
    pub step: String,
    /// Why, and what to do about it.
    pub error: String,
}

/// Puts servers into jails.
#[derive(Debug)]
pub(super) struct Jailer {
    options: JailOptions,
    homes: PathBuf,
    is_root: bool,
    landlock: u32,
    accounts: Accounts,
    /// One team's user comes or goes at a time. Teams whose account could not be made: that is not
    /// tried again.
    refused: Mutex<BTreeSet<TeamId>>,
}

/// A server that is to run in a jail.
#[derive(Debug)]
pub(super) struct Inmate {
    pub(super) team: TeamId,
    /// The team's directory, and below it its home.
    pub(super) own: PathBuf,
    pub(super) home: PathBuf,
    pub(super) executable: PathBuf,
    pub(super) arguments: Vec<OsString>,
    pub(super) environment: BTreeMap<OsString, OsString>,
    /// By which the process is known as one of ours.
    pub(super) marker: (OsString, OsString),
    pub(super) cgroup: Option<OwnedFd>,
}

/// What a jail tells.
#[derive(Debug)]
pub(super) struct Reports(BufReader<pipe::Receiver>);

impl Jailer {
    /// `marker` names the satellite, by its state directory.
    pub(super) fn new(options: JailOptions, homes: PathBuf, marker: &str) -> Self {
        Jailer {
            options,
            homes,
            is_root: Uid::effective().is_root(),
            landlock: jail::landlock_version(),
            accounts: Accounts::new(marker),
            refused: Mutex::default(),
        }
    }

    /// The program to start for `inmate`, and where its jail reports. An error says what to do.
    pub(super) fn program(&self, inmate: Inmate) -> Result<(Program, Reports), String> {
        let user = match self.is_root {
            true => Some(self.user(&inmate)?),
            false => None,
        };
        let specification = Specification {
            steps: jail::steps(&self.jail(&inmate, user)),
            program: inmate.executable,
            arguments: inmate.arguments,
            environment: inmate.environment.into_iter().collect(),
        };
        let prepared = |error: io::Error| format!("{error}; raise the limit of open files");
        let specification = specification.seal().map_err(prepared)?;
        let (reports, report) = pipe2(OFlag::O_CLOEXEC).map_err(|errno| prepared(errno.into()))?;
        let reports = pipe::Receiver::from_owned_fd(reports).map_err(prepared)?;
        let mut namespaces =
            libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWUTS | libc::CLONE_NEWIPC;
        if !self.is_root {
            namespaces |= libc::CLONE_NEWUSER;
        }
        if self.options.is_offline {
            namespaces |= libc::CLONE_NEWNET;
        }
        let program = Program {
            path: self.options.program.clone(),
            arguments: vec![OsString::from(jail::COMMAND)],
            environment: [inmate.marker].into(),
            directory: PathBuf::from("/"),
            cgroup: inmate.cgroup,
            namespaces,
            limits: Vec::new(),
            descriptors: vec![specification, report],
            #[cfg(test)]
            failing: None,
        };
        Ok((program, Reports(BufReader::new(reports))))
    }

    /// Whether each server's processes are counted apart from all others: it has a user namespace.
    pub(super) fn counts_apart(&self) -> bool {
        !self.is_root
    }

    fn user(&self, inmate: &Inmate) -> Result<TeamUser, String> {
        let Inmate { team, own, .. } = inmate;
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        // No account is to stay of a rehearsal.
        let is_rehearsal = *own == self.homes.join(REHEARSAL);
        let makes = self.options.makes_accounts && !is_rehearsal && !refused.contains(team);
        let accounts = makes.then_some(&self.accounts);
        let Prepared { user, refused: why } = users::prepare(team, &self.homes, own, accounts)?;
        if let Some(error) = why {
            let name = team_user(team);
            tracing::warn!(
                operation = "make account",
                teamId = team.as_str(),
                error,
                "No account can be made for a team, so its servers run as user number {}, which has \
                 no name; make one with `useradd --system {name}`, or set \
                 SATELLITE_TEAM_ACCOUNTS=false to have numbers for all teams",
                user.user
            );
            refused.insert(team.clone());
        }
        Ok(user)
    }

    /// Removes the accounts that this satellite has made for others than `teams`.
    pub(super) fn keep_users(&self, teams: &BTreeSet<TeamId>) {
        if self.is_root && self.options.makes_accounts {
            let _held = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
            users::release(&self.accounts, &self.homes, teams);
        }
    }

    fn jail(&self, inmate: &Inmate, user: Option<TeamUser>) -> Jail {
        let path = inmate.environment.get(OsStr::new("PATH")).cloned().unwrap_or_default();
        let mut hidden = self.options.hidden.clone();
        hidden.insert(self.homes.clone());
        let mut visible = Visible::system(&path, &hidden);
        let environment = inmate.environment.iter();
        visible.certificates(environment.map(|(name, value)| (name.as_ref(), value.as_ref())));
        visible.program(&inmate.executable);
        for place in &self.options.readable {
            visible.add(place);
        }
        Jail {
            shown: visible.into_shown(),
            hidden,
            own: inmate.own.clone(),
            home: inmate.home.clone(),
            temporary_bytes: TEMPORARY_BYTES,
            user,
            is_offline: self.options.is_offline,
            has_control_group: inmate.cgroup.is_some(),
            landlock: self.landlock,
        }
    }
}

impl Reports {
    /// Waits until the server runs, or says which step failed and how.
    pub(super) async fn until_running(&mut self) -> Result<(), (String, io::Error)> {
        let mut line = String::new();
        let broken = |error| (String::from("jail"), error);
        let limited = &mut (&mut self.0).take(REPORT_MAX_BYTES as u64);
        limited.read_line(&mut line).await.map_err(broken)?;
        match Report::read(line.trim_end()) {
            Some(Report::Running) => Ok(()),
            Some(Report::Failed { step, errno }) => {
                Err((step, io::Error::from_raw_os_error(errno)))
            }
            _ => Err(broken(io::Error::other("it ended before the server was started"))),
        }
    }

    /// How the server ended, once the jail has: `None` if something else ended the jail.
    pub(super) fn ended(&self) -> Option<Report> {
        let mut rest = self.0.buffer().to_vec();
        let mut more = [0; 64];
        // The pipe does not block, and nobody writes to it any more.
        if let Ok(length) = read(self.0.get_ref(), &mut more) {
            rest.extend(more.get(..length).unwrap_or_default());
        }
        let text = String::from_utf8(rest).ok()?;
        text.lines().find_map(Report::read)
    }
}
