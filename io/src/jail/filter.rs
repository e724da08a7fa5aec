//! The system calls that servers have no use for, as a program for the kernel (seccomp(2)).
//!
//! A list of what is refused, not of what is allowed: what servers need changes with every release
//! of their run-times, what breaks out of a jail does not. By hand: it is a page, and the crates for
//! it bring their own notion of what a rule is.

use nix::libc::{self, c_long};

/// Reads a word of what is known of the call; `BPF_LD | BPF_W | BPF_ABS`.
const LOAD: u16 = 0x20;
/// `BPF_JMP | BPF_JEQ | BPF_K`.
const IF_EQUAL: u16 = 0x15;
/// `BPF_JMP | BPF_JGE | BPF_K`.
const IF_AT_LEAST: u16 = 0x35;
/// `BPF_JMP | BPF_JSET | BPF_K`.
const IF_ANY_BIT: u16 = 0x45;
/// `BPF_RET | BPF_K`.
const RETURN: u16 = 0x06;

const ALLOW: u32 = 0x7fff_0000;
const REFUSE: u32 = 0x0005_0000;

/// Where in `seccomp_data` the call's number, the architecture and the arguments (their low words;
/// both architectures are little-endian) are.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

#[cfg(target_arch = "x86_64")]
const OURS: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
const OURS: u32 = 0xC000_00B7;
/// Numbers from here on mean the same calls in another form (x32).
const OTHER_FORM: u32 = 0x4000_0000;

/// Namespaces, `CLONE_NEW…`: whoever may make one is an administrator in it, and reaches much more
/// of the kernel.
const NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET)
    .cast_unsigned();

/// Refused whatever their arguments.
const REFUSED: &[c_long] = &[
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // Mounts and roots.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_quotactl,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    // Namespaces.
    libc::SYS_unshare,
    libc::SYS_setns,
    // Keys are kept by user, beyond any namespace.
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    // The kernel itself.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
];

/// The program. What is refused fails with `EPERM`, `clone3` with `ENOSYS`: its flags lie in memory
/// where no filter sees them, and the C library falls back to `clone`.
pub(crate) fn program() -> Vec<libc::sock_filter> {
    let mut program = vec![
        instruction(LOAD, 0, 0, ARCHITECTURE),
        instruction(IF_EQUAL, 1, 0, OURS),
        refuse(libc::EPERM),
        instruction(LOAD, 0, 0, NUMBER),
        instruction(IF_AT_LEAST, 0, 1, OTHER_FORM),
        refuse(libc::EPERM),
    ];
    for call in REFUSED {
        program.extend([unless(*call, 1), refuse(libc::EPERM)]);
    }
    program.extend([unless(libc::SYS_clone3, 1), refuse(libc::ENOSYS)]);
    program.extend([
        unless(libc::SYS_clone, 4),
        instruction(LOAD, 0, 0, ARGUMENTS),
        instruction(IF_ANY_BIT, 0, 1, NAMESPACES),
        refuse(libc::EPERM),
        allow(),
    ]);
    // Input for a terminal that somebody else reads.
    program.extend([unless(libc::SYS_ioctl, 5), instruction(LOAD, 0, 0, ARGUMENTS + 8)]);
    for request in [libc::TIOCSTI, libc::TIOCLINUX] {
        let request = u32::try_from(request).unwrap_or(u32::MAX);
        program.extend([instruction(IF_EQUAL, 0, 1, request), refuse(libc::EPERM)]);
    }
    program.push(allow());
    program
}

const fn instruction(code: u16, then: u8, otherwise: u8, value: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt: then, jf: otherwise, k: value }
}

/// Passes over `count` instructions if the call is another one.
fn unless(call: c_long, count: u8) -> libc::sock_filter {
    instruction(IF_EQUAL, 0, count, u32::try_from(call).unwrap_or(u32::MAX))
}

const fn refuse(errno: i32) -> libc::sock_filter {
    instruction(RETURN, 0, 0, REFUSE | errno.cast_unsigned())
}

const fn allow() -> libc::sock_filter {
    instruction(RETURN, 0, 0, ALLOW)
}

#[cfg(test)]
mod tests;
