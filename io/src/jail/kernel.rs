//! The system calls of the steps. With the spawner, the place with `unsafe`.

use std::borrow::Borrow;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::libc::{self, c_int, c_long, c_ulong};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::{set_no_new_privs, set_pdeathsig};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, chdir, pivot_root, setgroups, sethostname, setresgid, setresuid};

use super::filter;
use super::step::{Access, FileRule, Limit, Restriction, Step};

/// Carries out steps: the kernel, or in tests something that refuses one of them.
pub(crate) trait System {
    /// Carries out a step, whole or not at all as far as the kernel lets it.
    fn take(&mut self, step: &Step) -> nix::Result<()>;
}

/// The kernel of this machine.
#[derive(Debug)]
pub(crate) struct Kernel<'a> {
    /// The pipe to the satellite: without a reader, it is gone.
    pub(crate) report: BorrowedFd<'a>,
}

/// Rights of Landlock, by the version that brought them (linux/landlock.h).
const EXECUTE: u64 = 1;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIRECTORY: u64 = 1 << 3;
const VERSION_1: u64 = (1 << 13) - 1;
const REFER: u64 = 1 << 13;
const TRUNCATE: u64 = 1 << 14;
const DEVICE_CONTROL: u64 = 1 << 15;
/// No signals to, and no abstract sockets of, processes outside (version 6).
const SCOPED: u64 = 0b11;

const MOUNT_READ_ONLY: u64 = 1;
const MOUNT_NO_SET_USER_ID: u64 = 2;
const MOUNT_NO_DEVICES: u64 = 4;

impl System for Kernel<'_> {
    fn take(&mut self, step: &Step) -> nix::Result<()> {
        match step {
            Step::Tie => self.tie(),
            Step::PrivateMounts => {
                mount_at("none", Path::new("/"), "", MsFlags::MS_REC | MsFlags::MS_PRIVATE, "")
            }
            Step::Empty { at, bytes, mode } => {
                let options = format!("size={bytes},mode={mode:o}");
                mount_at("tmpfs", at, "tmpfs", MsFlags::empty(), &options)
            }
            Step::Processes { at } => mount_at("proc", at, "proc", closed(), ""),
            Step::ControlGroup { at } => {
                mount_at("cgroup2", at, "cgroup2", closed() | MsFlags::MS_RDONLY, "")
            }
            Step::Directory { at } => directory(at),
            Step::File { at, content } => file(at, content),
            Step::Link { at, to } => std::os::unix::fs::symlink(to, at).map_err(errno),
            Step::Bind { from, at } => {
                let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
                mount(Some(from), at, None::<&str>, flags, None::<&str>)
            }
            Step::Restrict { at, restriction } => restrict(at, *restriction),
            Step::Root { root, old } => {
                pivot_root(root, old)?;
                chdir("/")
            }
            Step::Detach { at } => umount2(at, MntFlags::MNT_DETACH),
            Step::HostName { name } => sethostname(name),
            Step::ControlGroupNamespace => unshare(CloneFlags::CLONE_NEWCGROUP),
            Step::Loopback => raise_loopback(),
            Step::Limit { limit, value } => {
                let resource = match limit {
                    Limit::Core => Resource::RLIMIT_CORE,
                    Limit::OpenFiles => Resource::RLIMIT_NOFILE,
                    Limit::Processes => Resource::RLIMIT_NPROC,
                };
                setrlimit(resource, *value, *value)
            }
            Step::NoCapabilitiesByExec => bound_capabilities(),
            Step::User { user, group } => {
                setgroups(&[])?;
                let (group, user) = (Gid::from_raw(*group), Uid::from_raw(*user));
                setresgid(group, group, group)?;
                setresuid(user, user, user)
            }
            Step::NoCapabilities => drop_capabilities(),
            Step::NoNewPrivileges => set_no_new_privs(),
            Step::WorkingDirectory { at } => chdir(at),
            Step::Files { rules, version } => restrict_files(rules, *version),
            Step::SystemCalls => restrict_system_calls(),
        }
    }
}

impl Kernel<'_> {
    fn tie(&self) -> nix::Result<()> {
        set_pdeathsig(Signal::SIGKILL)?;
        // The satellite may have ended before the line above took effect.
        let mut pipe = [PollFd::new(self.report, PollFlags::empty())];
        poll(&mut pipe, PollTimeout::ZERO)?;
        let [pipe] = pipe;
        let is_alone = pipe.revents().is_some_and(|events| events.contains(PollFlags::POLLERR));
        if is_alone { Err(Errno::ESRCH) } else { Ok(()) }
    }
}

/// The version of Landlock of this kernel; 0 for none.
pub(crate) fn landlock_version() -> u32 {
    /// `LANDLOCK_CREATE_RULESET_VERSION`.
    const ASK: u32 = 1;
    let nothing = std::ptr::null::<u8>();
    #[expect(unsafe_code, reason = "neither nix nor the standard library has Landlock")]
    // SAFETY: asked for its version, the call reads no memory.
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0_usize, ASK) };
    u32::try_from(version).unwrap_or(0)
}

fn errno(error: impl Borrow<std::io::Error>) -> Errno {
    error.borrow().raw_os_error().map_or(Errno::EINVAL, Errno::from_raw)
}

fn closed() -> MsFlags {
    MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC
}

fn mount_at(from: &str, at: &Path, kind: &str, flags: MsFlags, options: &str) -> nix::Result<()> {
    mount(Some(from), at, Some(kind), flags, Some(options))
}

fn directory(at: &Path) -> nix::Result<()> {
    match DirBuilder::new().mode(0o755).create(at).map_err(errno) {
        Err(Errno::EEXIST) if at.is_dir() => Ok(()),
        outcome => outcome,
    }
}

fn file(at: &Path, content: &str) -> nix::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o644).open(at).map_err(errno)?;
    file.write_all(content.as_bytes()).map_err(errno)
}

fn restrict(at: &Path, restriction: Restriction) -> nix::Result<()> {
    let (flags, set) = match restriction {
        Restriction::ReadOnlyTree => {
            (libc::AT_RECURSIVE, MOUNT_READ_ONLY | MOUNT_NO_SET_USER_ID | MOUNT_NO_DEVICES)
        }
        Restriction::ReadOnly => (0, MOUNT_READ_ONLY | MOUNT_NO_SET_USER_ID),
        Restriction::Writable => (libc::AT_RECURSIVE, MOUNT_NO_SET_USER_ID | MOUNT_NO_DEVICES),
    };
    let path = std::ffi::CString::new(at.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    // `struct mount_attr`: what is set, what is cleared, how changes spread, whose users.
    let attributes = [set, 0, 0, 0];
    #[expect(unsafe_code, reason = "neither nix nor the standard library has mount_setattr")]
    // SAFETY: the path ends with a zero, and the four words are as long as told.
    let returned = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            flags,
            attributes.as_ptr(),
            size_of_val(&attributes),
        )
    };
    Errno::result(returned).map(drop)
}

fn raise_loopback() -> nix::Result<()> {
    let socket = nix::sys::socket::socket(
        nix::sys::socket::AddressFamily::Inet,
        nix::sys::socket::SockType::Datagram,
        nix::sys::socket::SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    // `struct ifreq`: a name of 16 bytes, then the flags.
    let mut request = [0_u8; size_of::<libc::ifreq>()];
    let up = u16::try_from(libc::IFF_UP).unwrap_or(1).to_ne_bytes();
    for (place, byte) in request.iter_mut().zip(*b"lo") {
        *place = byte;
    }
    for (place, byte) in request.iter_mut().skip(16).zip(up) {
        *place = byte;
    }
    #[expect(unsafe_code, reason = "nix has no interface flags")]
    // SAFETY: SIOCSIFFLAGS reads a `struct ifreq`, and the array is as long as one.
    let returned = unsafe {
        libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as c_ulong, request.as_mut_ptr())
    };
    Errno::result(returned).map(drop)
}

fn prctl(option: c_int, value: c_ulong, second: c_ulong) -> nix::Result<()> {
    let zero: c_ulong = 0;
    #[expect(unsafe_code, reason = "nix has none of these")]
    // SAFETY: the options passed here take numbers only.
    let returned = unsafe { libc::prctl(option, value, second, zero, zero) };
    Errno::result(returned).map(drop)
}

/// Leaves no capability that exec could give, to user 0 and by files.
fn bound_capabilities() -> nix::Result<()> {
    /// `SECBIT_NOROOT`, `SECBIT_NO_CAP_AMBIENT_RAISE`, each locked.
    const BITS: c_ulong = 0b1100_0011;
    for capability in 0..64 {
        match prctl(libc::PR_CAPBSET_DROP, capability, 0) {
            // More than this kernel knows.
            Err(Errno::EINVAL) if capability > 0 => break,
            outcome => outcome?,
        }
    }
    let clear = libc::PR_CAP_AMBIENT_CLEAR_ALL as c_ulong;
    prctl(libc::PR_CAP_AMBIENT, clear, 0)?;
    prctl(libc::PR_SET_SECUREBITS, BITS, 0)
}

fn drop_capabilities() -> nix::Result<()> {
    /// `_LINUX_CAPABILITY_VERSION_3`, capabilities(7).
    const VERSION: u32 = 0x2008_0522;
    let header: [u32; 2] = [VERSION, 0];
    let none = [0_u32; 6];
    #[expect(unsafe_code, reason = "neither nix nor the standard library has capset")]
    // SAFETY: version 3 reads a header of two words and six words of sets.
    let returned = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) };
    Errno::result(returned).map(drop)
}

fn rights(access: Access) -> u64 {
    match access {
        Access::Read => EXECUTE | READ_FILE | READ_DIRECTORY,
        Access::Write => VERSION_1 | REFER | TRUNCATE,
        Access::Devices => READ_FILE | READ_DIRECTORY | WRITE_FILE | DEVICE_CONTROL,
    }
}

fn restrict_files(rules: &[FileRule], version: u32) -> nix::Result<()> {
    let mut handled = VERSION_1;
    for (since, right) in [(2, REFER), (3, TRUNCATE), (5, DEVICE_CONTROL)] {
        if version >= since {
            handled |= right;
        }
    }
    // `struct landlock_ruleset_attr`: files, network, scopes. It has grown with the versions.
    let attributes = [handled, 0, SCOPED];
    let length = match version {
        0..=3 => 8,
        4..=5 => 16,
        _ => size_of_val(&attributes),
    };
    #[expect(unsafe_code, reason = "neither nix nor the standard library has Landlock")]
    // SAFETY: the words are at least as long as told.
    let returned = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, attributes.as_ptr(), length, 0_u32)
    };
    let rule_set = opened(returned)?;
    for rule in rules {
        let below = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_PATH | libc::O_CLOEXEC)
            .open(&rule.below)
            .map_err(errno)?;
        add_rule(&rule_set, &below, rights(rule.access) & handled)?;
    }
    #[expect(unsafe_code, reason = "neither nix nor the standard library has Landlock")]
    // SAFETY: the call takes two numbers.
    let returned =
        unsafe { libc::syscall(libc::SYS_landlock_restrict_self, rule_set.as_raw_fd(), 0_u32) };
    Errno::result(returned).map(drop)
}

fn add_rule(rule_set: &OwnedFd, below: &File, rights: u64) -> nix::Result<()> {
    /// `LANDLOCK_RULE_PATH_BENEATH`.
    const BENEATH: c_int = 1;
    // `struct landlock_path_beneath_attr`, packed: the rights, then the descriptor.
    let mut rule = [0_u8; 12];
    let descriptor = below.as_fd().as_raw_fd().to_ne_bytes();
    for (place, byte) in rule.iter_mut().zip(rights.to_ne_bytes().into_iter().chain(descriptor)) {
        *place = byte;
    }
    #[expect(unsafe_code, reason = "neither nix nor the standard library has Landlock")]
    // SAFETY: the twelve bytes are the structure that this kind of rule has.
    let returned = unsafe {
        libc::syscall(
            libc::SYS_landlock_add_rule,
            rule_set.as_raw_fd(),
            BENEATH,
            rule.as_ptr(),
            0_u32,
        )
    };
    Errno::result(returned).map(drop)
}

/// Takes the descriptor that a call has just opened.
fn opened(returned: c_long) -> nix::Result<OwnedFd> {
    let descriptor = Errno::result(returned)?;
    let descriptor = c_int::try_from(descriptor).map_err(|_| Errno::EBADF)?;
    #[expect(unsafe_code, reason = "only the system call's contract says whose descriptor it is")]
    // SAFETY: the call succeeded, so this is an open descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn restrict_system_calls() -> nix::Result<()> {
    let mut program = filter::program();
    let length = u16::try_from(program.len()).map_err(|_| Errno::E2BIG)?;
    let program = libc::sock_fprog { len: length, filter: program.as_mut_ptr() };
    #[expect(unsafe_code, reason = "neither nix nor the standard library has seccomp")]
    // SAFETY: the structure points to as many instructions as it says; the kernel copies them.
    let returned =
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    Errno::result(returned).map(drop)
}
