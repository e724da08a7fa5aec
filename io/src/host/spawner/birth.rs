//! How a process is born: one raw clone, and in the child nothing but system calls.
//!
//! The daemon has other threads, so after the clone any lock may be held by a thread that is not
//! there: everything is allocated before, and what fails is told in five bytes over a pipe that
//! closes on exec.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc::{self, c_char, c_int, c_long};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{Pid, chdir, getgid, getpid, getppid, getuid, pipe2, setsid};

use super::descriptors::{owned, pidfd_open};
use super::{Child, Program, SpawnError};

/// Below this number no descriptor that a child gets may lie before it is put in its place.
const PLACES: RawFd = 16;

/// `CLONE_INTO_CGROUP` of clone(2), which libc has in too narrow a type.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// What can fail on the way to the child's first instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Pipes, and the texts of the call.
    Prepare,
    /// The clone itself.
    Clone,
    /// Entering the control group, where the clone could not do it.
    Cgroup,
    /// The maps of a user namespace, and the capabilities kept for the jail.
    UserNamespace,
    /// A session of its own.
    Session,
    /// The signal for the end of the daemon.
    DeathSignal,
    /// Dispositions and mask of signals.
    Signals,
    /// The descriptors it gets.
    Descriptors,
    /// Limits of resources.
    Limits,
    /// The working directory.
    Directory,
    /// The program itself.
    Exec,
}

impl Step {
    /// Those that the child takes, in their order.
    pub(crate) const IN_CHILD: [Step; 9] = [
        Step::Cgroup,
        Step::UserNamespace,
        Step::Session,
        Step::DeathSignal,
        Step::Signals,
        Step::Descriptors,
        Step::Limits,
        Step::Directory,
        Step::Exec,
    ];

    /// As messages name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Step::Prepare => "open pipes",
            Step::Clone => "clone",
            Step::Cgroup => "enter the control group",
            Step::UserNamespace => "map the user",
            Step::Session => "begin a session",
            Step::DeathSignal => "tie to the satellite",
            Step::Signals => "reset signals",
            Step::Descriptors => "pass descriptors",
            Step::Limits => "limit resources",
            Step::Directory => "change directory",
            Step::Exec => "exec",
        }
    }
}

/// Starts `program` with pipes on its three streams.
pub(super) fn start(program: &Program) -> Result<Child, SpawnError> {
    let prepared = |error: io::Error| SpawnError { step: Step::Prepare, error };
    let (child_stdin, stdin) = pipe().map_err(prepared)?;
    let (stdout, child_stdout) = pipe().map_err(prepared)?;
    let (stderr, child_stderr) = pipe().map_err(prepared)?;
    let (report, low_report) = pipe().map_err(prepared)?;
    let mut given = Vec::new();
    let streams = [child_stdin.as_fd(), child_stdout.as_fd(), child_stderr.as_fd()];
    for descriptor in streams.into_iter().chain(program.descriptors.iter().map(AsFd::as_fd)) {
        given.push(above(&descriptor, PLACES).map_err(prepared)?);
    }
    let child_report = above(&low_report, PLACES).map_err(prepared)?;
    drop(low_report);
    let texts = Texts::new(program).map_err(|error| SpawnError { step: Step::Exec, error })?;
    let plan = Plan {
        path: &texts.path,
        arguments: pointers(&texts.arguments),
        environment: pointers(&texts.environment),
        directory: &texts.directory,
        given: given.iter().map(AsRawFd::as_raw_fd).collect(),
        report: child_report.as_raw_fd(),
        parent: getpid(),
        namespaces: program.namespaces,
        limits: &program.limits,
        maps: texts.maps.as_ref(),
        cgroup: program.cgroup.as_ref().map(AsRawFd::as_raw_fd),
        #[cfg(test)]
        failing: program.failing,
    };
    let (pid, pidfd) =
        clone(&plan).map_err(|errno| SpawnError { step: Step::Clone, error: errno.into() })?;
    drop((child_report, given, child_stdin, child_stdout, child_stderr));
    let pidfd = match pidfd {
        Some(pidfd) => pidfd,
        // Not reaped, so the number still means this child.
        None => pidfd_open(pid)
            .map_err(|errno| SpawnError { step: Step::Prepare, error: errno.into() })?,
    };
    let child = Child { pid, pidfd: Some(pidfd), streams: Some([stdin, stdout, stderr]) };
    match failure(&report) {
        None => Ok(child),
        // Dropping the child reaps it.
        Some(failed) => Err(failed),
    }
}

/// Reads what the child has to say: nothing once it runs the program.
fn failure(report: &OwnedFd) -> Option<SpawnError> {
    let mut said = [0; 5];
    let mut length = 0;
    while let Some(rest) = said.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match nix::unistd::read(report, rest) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(Errno::EINTR) => {}
            Err(errno) => return Some(SpawnError { step: Step::Prepare, error: errno.into() }),
        }
    }
    let [step, errno @ ..] = said;
    let step = *Step::IN_CHILD.get(usize::from(step))?;
    let error = io::Error::from_raw_os_error(i32::from_le_bytes(errno));
    (length == 5).then_some(SpawnError { step, error })
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(pipe2(OFlag::O_CLOEXEC)?)
}

/// The same open file under a number of at least `lowest`: putting one descriptor in its place
/// never closes another then.
fn above(descriptor: &impl AsFd, lowest: RawFd) -> io::Result<OwnedFd> {
    Ok(owned(fcntl(descriptor, FcntlArg::F_DUPFD_CLOEXEC(lowest))?)?)
}

/// The texts of a call as the kernel wants them.
struct Texts {
    path: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
    directory: CString,
    maps: Option<Maps>,
}

/// What is written to the files of a user namespace: this user and this group, and nobody else.
struct Maps {
    user: String,
    group: String,
}

impl Texts {
    fn new(program: &Program) -> io::Result<Self> {
        let path = text(program.path.as_os_str().as_bytes())?;
        let mut arguments = vec![path.clone()];
        for argument in &program.arguments {
            arguments.push(text(argument.as_bytes())?);
        }
        let mut environment = Vec::new();
        for (name, value) in &program.environment {
            environment.push(text(&[name.as_bytes(), b"=", value.as_bytes()].concat())?);
        }
        let maps = (program.namespaces & libc::CLONE_NEWUSER != 0).then(|| Maps {
            user: format!("{0} {0} 1", getuid()),
            group: format!("{0} {0} 1", getgid()),
        });
        let directory = text(program.directory.as_os_str().as_bytes())?;
        Ok(Texts { path, arguments, environment, directory, maps })
    }
}

fn text(bytes: &[u8]) -> io::Result<CString> {
    CString::new(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

fn pointers(texts: &[CString]) -> Vec<*const c_char> {
    texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
}

/// All that the child needs.
struct Plan<'a> {
    path: &'a CStr,
    /// Ends with a null pointer, as does the next.
    arguments: Vec<*const c_char>,
    environment: Vec<*const c_char>,
    directory: &'a CStr,
    /// What becomes descriptor 0, 1, 2 and so on.
    given: Vec<RawFd>,
    report: RawFd,
    parent: Pid,
    /// `CLONE_NEW…`.
    namespaces: c_int,
    limits: &'a [(Resource, u64)],
    maps: Option<&'a Maps>,
    /// The directory of the control group to be born in.
    cgroup: Option<RawFd>,
    /// The step that a test wants to fail.
    #[cfg(test)]
    failing: Option<(Step, Errno)>,
}

/// Clones with `clone3`, straight into the control group; where that is refused, as container
/// run-times do, with `clone`, and the child enters the group itself.
fn clone(plan: &Plan<'_>) -> nix::Result<(Pid, Option<OwnedFd>)> {
    // Not `CLONE_VM`: the child may then fail in any way without touching the daemon's memory.
    let flags = c_long::from(plan.namespaces | libc::CLONE_VFORK);
    let mut pidfd: c_int = -1;
    let into = if plan.cgroup.is_some() { CLONE_INTO_CGROUP } else { 0 };
    let arguments = libc::clone_args {
        flags: flags.unsigned_abs() | u64::from(libc::CLONE_PIDFD.unsigned_abs()) | into,
        pidfd: (&raw mut pidfd).expose_provenance() as u64,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: u64::from(libc::SIGCHLD.unsigned_abs()),
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: plan.cgroup.map_or(0, |group| u64::from(group.unsigned_abs())),
    };
    #[expect(unsafe_code, reason = "neither nix nor the standard library has clone3")]
    // SAFETY: without CLONE_VM and with no stack given this is a fork: the child goes on here on a
    // copy of the memory, and calls nothing but `in_child`, which never returns. The structure lives
    // until the call is over, and its size is the one told.
    let returned = unsafe {
        libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<libc::clone_args>())
    };
    match Errno::result(returned) {
        Ok(0) => in_child(plan, false),
        Ok(pid) => return Ok((number(pid)?, Some(owned(pidfd)?))),
        // These are no refusals: the machine is full.
        Err(errno @ (Errno::EAGAIN | Errno::ENOMEM | Errno::ENOSPC)) => return Err(errno),
        Err(_) => {}
    }
    #[expect(unsafe_code, reason = "nix's clone wants a stack")]
    // SAFETY: as above; the four null arguments have no meaning with these flags.
    let returned = unsafe {
        libc::syscall(
            libc::SYS_clone,
            flags | c_long::from(libc::SIGCHLD),
            0_usize,
            0_usize,
            0_usize,
            0_usize,
        )
    };
    match Errno::result(returned)? {
        0 => in_child(plan, true),
        pid => Ok((number(pid)?, None)),
    }
}

fn number(pid: c_long) -> nix::Result<Pid> {
    c_int::try_from(pid).map(Pid::from_raw).map_err(|_| Errno::EOVERFLOW)
}

/// The child's way to its program.
fn in_child(plan: &Plan<'_>, enters_group: bool) -> ! {
    let mut said = [0; 5];
    for (index, step) in (0_u8..).zip(Step::IN_CHILD) {
        if let Err(errno) = plan.take(step, enters_group) {
            let [a, b, c, d] = (errno as c_int).to_le_bytes();
            said = [index, a, b, c, d];
            break;
        }
    }
    #[expect(unsafe_code, reason = "the child of a clone must not run the daemon's destructors")]
    // SAFETY: `write` reads five bytes that are there, of a descriptor the child has; `_exit` does
    // nothing but end the process.
    unsafe {
        libc::write(plan.report, said.as_ptr().cast(), said.len());
        libc::_exit(127)
    }
}

impl Plan<'_> {
    fn take(&self, step: Step, enters_group: bool) -> nix::Result<()> {
        #[cfg(test)]
        if let Some((failing, errno)) = self.failing
            && failing == step
        {
            return Err(errno);
        }
        match step {
            Step::Prepare | Step::Clone => Ok(()),
            Step::Cgroup => match self.cgroup {
                Some(group) if enters_group => enter_group(group),
                _ => Ok(()),
            },
            Step::UserNamespace => self.maps.map_or(Ok(()), map_user),
            Step::Session => setsid().map(drop),
            Step::DeathSignal => {
                set_pdeathsig(Signal::SIGKILL)?;
                // The parent may have died before the line above took effect. From within a
                // namespace of processes it cannot be seen; the jail looks at its pipe instead.
                let is_hidden = self.namespaces & libc::CLONE_NEWPID != 0;
                if is_hidden || getppid() == self.parent { Ok(()) } else { Err(Errno::ESRCH) }
            }
            Step::Signals => {
                reset_signals();
                Ok(())
            }
            Step::Descriptors => self.place_descriptors(),
            Step::Limits => {
                let mut limits = self.limits.iter();
                limits.try_for_each(|(resource, value)| setrlimit(*resource, *value, *value))
            }
            Step::Directory => chdir(self.directory),
            Step::Exec => self.exec(),
        }
    }

    fn place_descriptors(&self) -> nix::Result<()> {
        for (place, descriptor) in (0..).zip(&self.given) {
            #[expect(unsafe_code, reason = "what is replaced here belongs to nobody in the child")]
            // SAFETY: dup2 takes two numbers; whose descriptor `place` was does not run here.
            Errno::result(unsafe { libc::dup2(*descriptor, place) })?;
        }
        let first = libc::c_uint::try_from(self.given.len()).unwrap_or(3);
        close_on_exec_from(first);
        Ok(())
    }

    fn exec(&self) -> nix::Result<()> {
        #[expect(unsafe_code, reason = "nix's execve allocates")]
        // SAFETY: the path ends with a zero, both lists with a null pointer, and all they point to
        // outlives the plan.
        let returned = unsafe {
            libc::execve(self.path.as_ptr(), self.arguments.as_ptr(), self.environment.as_ptr())
        };
        Errno::result(returned).map(drop)
    }
}

fn enter_group(group: RawFd) -> nix::Result<()> {
    write_file(group, c"cgroup.procs", b"0")
}

/// This user and group are themselves inside, and the jail keeps, through exec, the capabilities
/// that the namespace gave.
fn map_user(maps: &Maps) -> nix::Result<()> {
    write_file(libc::AT_FDCWD, c"/proc/self/uid_map", maps.user.as_bytes())?;
    write_file(libc::AT_FDCWD, c"/proc/self/setgroups", b"deny")?;
    write_file(libc::AT_FDCWD, c"/proc/self/gid_map", maps.group.as_bytes())?;
    inherit_capabilities()
}

/// Makes all capabilities ambient: exec by a user other than 0 would drop them.
fn inherit_capabilities() -> nix::Result<()> {
    /// `_LINUX_CAPABILITY_VERSION_3`, capabilities(7).
    const VERSION: u32 = 0x2008_0522;
    let header: [u32; 2] = [VERSION, 0];
    let mut sets = [0_u32; 6];
    #[expect(unsafe_code, reason = "neither nix nor the standard library has capget and capset")]
    // SAFETY: version 3 reads a header of two words, and reads or writes six words of sets; both
    // arrays are as long.
    unsafe {
        Errno::result(libc::syscall(libc::SYS_capget, header.as_ptr(), sets.as_mut_ptr()))?;
        let [_, permitted_low, inheritable_low, _, permitted_high, inheritable_high] = &mut sets;
        (*inheritable_low, *inheritable_high) = (*permitted_low, *permitted_high);
        Errno::result(libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()))?;
    }
    let [_, low, _, _, high, _] = sets;
    let permitted = u64::from(low) | u64::from(high) << 32;
    for capability in 0..64_u64 {
        if permitted & 1 << capability == 0 {
            continue;
        }
        #[expect(unsafe_code, reason = "nix has no ambient capabilities")]
        // SAFETY: this prctl takes numbers only.
        let returned = unsafe {
            libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, capability, 0, 0)
        };
        Errno::result(returned)?;
    }
    Ok(())
}

fn write_file(directory: RawFd, name: &CStr, content: &[u8]) -> nix::Result<()> {
    #[expect(unsafe_code, reason = "nix's own may allocate, and its descriptors have destructors")]
    // SAFETY: the name ends with a zero, the content is as long as told, and the descriptor is this
    // function's alone.
    unsafe {
        let file = Errno::result(libc::openat(
            directory,
            name.as_ptr(),
            libc::O_WRONLY | libc::O_CLOEXEC,
        ))?;
        let written = Errno::result(libc::write(file, content.as_ptr().cast(), content.len()));
        libc::close(file);
        written.map(drop)
    }
}

/// What the daemon ignores, blocks, or was started ignoring, as under `nohup`, a child does not.
fn reset_signals() {
    for signal in 1..=libc::SIGRTMAX() {
        #[expect(unsafe_code, reason = "nix knows no real-time signals")]
        // SAFETY: the default action involves no code of this process. Those that cannot be changed
        // are refused.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
        }
    }
    let nothing = nix::sys::signal::SigSet::empty();
    // Fails only for an unknown way of setting it.
    let _ = nothing.thread_set_mask();
}

/// Whatever the daemon itself inherited without close-on-exec stays out of children.
fn close_on_exec_from(first: u32) {
    #[expect(unsafe_code, reason = "neither nix nor the standard library has close_range")]
    // SAFETY: close_range with CLOSE_RANGE_CLOEXEC reads no memory and closes nothing now; it only
    // marks descriptors. A kernel before 5.11 refuses it, and then nothing changes.
    unsafe {
        libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
    }
}
