//! What is done to a process before a server runs in it, one system call or a few a step.
//!
//! The steps are data: the satellite decides them, the jail carries them out in their order, and a
//! test can fail each in turn.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One step into the jail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Step {
    /// Asks to be killed with the satellite, and looks whether it is still there.
    Tie,
    /// Makes changes of mounts invisible to everybody else.
    PrivateMounts,
    /// Mounts an empty file system of at most `bytes`.
    Empty { at: PathBuf, bytes: u64, mode: u32 },
    /// Mounts what shows the processes of this namespace.
    Processes { at: PathBuf },
    /// Mounts what shows this control group and those below it.
    ControlGroup { at: PathBuf },
    /// Makes a directory.
    Directory { at: PathBuf },
    /// Makes a file.
    File { at: PathBuf, content: String },
    /// Makes a symbolic link.
    Link { at: PathBuf, to: PathBuf },
    /// Shows a file or directory, with all mounted below it, in another place.
    Bind { from: PathBuf, at: PathBuf },
    /// Takes possibilities from a mount.
    Restrict { at: PathBuf, restriction: Restriction },
    /// Makes `root` the root, and shows the former one at `old`.
    Root { root: PathBuf, old: PathBuf },
    /// Takes the former root away.
    Detach { at: PathBuf },
    /// Sets the name of the machine.
    HostName { name: String },
    /// Makes the control group the root of those that can be seen.
    ControlGroupNamespace,
    /// Raises the loopback interface.
    Loopback,
    /// Sets a limit, the hard one too.
    Limit { limit: Limit, value: u64 },
    /// Takes the capabilities that a program could be given by exec.
    NoCapabilitiesByExec,
    /// Becomes this user, with this group and no other.
    User { user: u32, group: u32 },
    /// Takes the capabilities it has.
    NoCapabilities,
    /// Lets exec give no rights.
    NoNewPrivileges,
    /// Sets the working directory.
    WorkingDirectory { at: PathBuf },
    /// Restricts which files may be used and how (Landlock), and signals to those outside.
    Files { rules: Vec<FileRule>, version: u32 },
    /// Refuses the system calls that servers have no use for (seccomp).
    SystemCalls,
}

/// What a mount takes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Restriction {
    /// Writing, devices and set-user-id programs, in all that is mounted below as well.
    ReadOnlyTree,
    /// Writing, in this mount alone.
    ReadOnly,
    /// Devices and set-user-id programs, in all that is mounted below as well.
    Writable,
}

/// A limit of setrlimit(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Limit {
    /// Bytes of a core dump.
    Core,
    /// Open files of a process.
    OpenFiles,
    /// Threads of the user.
    Processes,
}

/// Which files may be used how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileRule {
    /// A directory, with all below it.
    pub(crate) below: PathBuf,
    /// What may be done there.
    pub(crate) access: Access,
}

/// What may be done with files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Access {
    /// Reading and running.
    Read,
    /// Everything.
    Write,
    /// Reading and writing what is there.
    Devices,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Tie => f.write_str("tie to the satellite"),
            Step::PrivateMounts => f.write_str("make mounts private"),
            Step::Empty { at, .. } => write!(f, "mount an empty {}", at.display()),
            Step::Processes { at } => write!(f, "mount processes at {}", at.display()),
            Step::ControlGroup { at } => write!(f, "mount control groups at {}", at.display()),
            Step::Directory { at } => write!(f, "make the directory {}", at.display()),
            Step::File { at, .. } => write!(f, "make the file {}", at.display()),
            Step::Link { at, .. } => write!(f, "make the link {}", at.display()),
            Step::Bind { at, .. } => write!(f, "show {}", at.display()),
            Step::Restrict { at, .. } => write!(f, "restrict {}", at.display()),
            Step::Root { .. } => f.write_str("change the root"),
            Step::Detach { .. } => f.write_str("take the former root away"),
            Step::HostName { .. } => f.write_str("set the host name"),
            Step::ControlGroupNamespace => f.write_str("hide other control groups"),
            Step::Loopback => f.write_str("raise the loopback interface"),
            Step::Limit { limit, .. } => write!(f, "limit {limit}"),
            Step::NoCapabilitiesByExec => f.write_str("bound capabilities"),
            Step::User { user, .. } => write!(f, "become user {user}"),
            Step::NoCapabilities => f.write_str("drop capabilities"),
            Step::NoNewPrivileges => f.write_str("give up new privileges"),
            Step::WorkingDirectory { at } => write!(f, "enter {}", at.display()),
            Step::Files { .. } => f.write_str("restrict files (Landlock)"),
            Step::SystemCalls => f.write_str("restrict system calls (seccomp)"),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Limit::Core => "core dumps",
            Limit::OpenFiles => "open files",
            Limit::Processes => "processes",
        })
    }
}
