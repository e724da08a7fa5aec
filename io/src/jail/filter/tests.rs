//! The program, run here as the kernel runs it.

use super::*;

/// What the kernel would answer to a call.
fn answer(architecture: u32, call: c_long, arguments: [u32; 2]) -> u32 {
    let program = program();
    let call = u32::try_from(call).unwrap();
    let (mut at, mut word) = (0, 0);
    loop {
        let step = program[at];
        at += 1;
        let holds = match step.code {
            LOAD => {
                word = match step.k {
                    NUMBER => call,
                    ARCHITECTURE => architecture,
                    ARGUMENTS => arguments[0],
                    24 => arguments[1],
                    other => panic!("no word at {other}"),
                };
                continue;
            }
            IF_EQUAL => word == step.k,
            IF_AT_LEAST => word >= step.k,
            IF_ANY_BIT => word & step.k != 0,
            RETURN => return step.k,
            other => panic!("no instruction {other:#x}"),
        };
        at += usize::from(if holds { step.jt } else { step.jf });
    }
}

fn refused(errno: i32) -> u32 {
    REFUSE | u32::try_from(errno).unwrap()
}

#[test]
fn what_breaks_out_of_a_jail_is_refused_and_what_every_server_does_is_not() {
    for call in REFUSED {
        assert_eq!(answer(OURS, *call, [0; 2]), refused(libc::EPERM), "{call}");
    }
    let ordinary = [
        libc::SYS_read,
        libc::SYS_openat,
        libc::SYS_execve,
        libc::SYS_mmap,
        libc::SYS_connect,
        libc::SYS_futex,
        libc::SYS_kill,
        libc::SYS_exit_group,
    ];
    for call in ordinary {
        assert_eq!(answer(OURS, call, [u32::MAX; 2]), ALLOW, "{call}");
    }
}

#[test]
fn threads_and_children_can_be_made_but_no_namespaces() {
    let thread = (libc::CLONE_VM | libc::CLONE_THREAD | libc::CLONE_SIGHAND).cast_unsigned();
    assert_eq!(answer(OURS, libc::SYS_clone, [thread, 0]), ALLOW);
    for bit in [libc::CLONE_NEWUSER, libc::CLONE_NEWPID, libc::CLONE_NEWNET, libc::CLONE_NEWNS] {
        let flags = thread | bit.cast_unsigned();
        assert_eq!(answer(OURS, libc::SYS_clone, [flags, 0]), refused(libc::EPERM));
    }
    assert_eq!(answer(OURS, libc::SYS_clone3, [0; 2]), refused(libc::ENOSYS));
}

#[test]
fn no_terminal_is_fed_and_no_other_form_of_a_call_passes() {
    let fed = u32::try_from(libc::TIOCSTI).unwrap();
    let size = u32::try_from(libc::TIOCGWINSZ).unwrap();
    assert_eq!(answer(OURS, libc::SYS_ioctl, [1, fed]), refused(libc::EPERM));
    assert_eq!(answer(OURS, libc::SYS_ioctl, [fed, size]), ALLOW);
    // The same number on another architecture is another call.
    assert_eq!(answer(OURS ^ 1, libc::SYS_read, [0; 2]), refused(libc::EPERM));
    let other_form = c_long::from(OTHER_FORM) + libc::SYS_ptrace;
    assert_eq!(answer(OURS, other_form, [0; 2]), refused(libc::EPERM));
}
