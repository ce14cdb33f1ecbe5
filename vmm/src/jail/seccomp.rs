//! Which system calls the two threads of an instance may make: those in the tables below, and any
//! other ends the process.
//!
//! Nothing here opens, executes, maps executable, creates a socket, a process or a thread, or names
//! another process. What a table allows with conditions has them beside it.

use std::io;

use libc::c_long;
use rustix::io::Errno;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};

use super::plan::{Obstacle, failed};

/// What a thread is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It runs the vCPU, after it has put the machine together; and delivers what is left when the
    /// guest has ended.
    Vcpu,
    /// It serves the device.
    Io,
}

/// What an argument must be.
#[derive(Clone, Copy)]
enum Is {
    /// This value, of 32 bits.
    Word(u8, u64),
    /// Without any of these bits.
    Without(u8, u64),
}

use Is::{Without, Word};

/// Of both threads.
const BOTH: &[(c_long, &[Is])] = &[
    // The console, events, and bytes of streams.
    (libc::SYS_read, &[]),
    (libc::SYS_write, &[]),
    (libc::SYS_readv, &[]),
    (libc::SYS_writev, &[]),
    (libc::SYS_preadv2, &[]),
    (libc::SYS_pwritev2, &[]),
    (libc::SYS_close, &[]),
    // Streams: what the node has made is used and ended, never made, bound or connected.
    (libc::SYS_recvfrom, &[Word(4, 0)]),
    (libc::SYS_sendto, &[Word(4, 0)]),
    (libc::SYS_shutdown, &[]),
    (libc::SYS_getsockopt, &[]),
    (libc::SYS_fcntl, &[Word(1, libc::F_GETFL as u64)]),
    (libc::SYS_fcntl, &[Word(1, libc::F_SETFL as u64)]),
    // The link: descriptors come over it. They are not sent: there is no sendmsg.
    (libc::SYS_recvmsg, &[]),
    // Waiting.
    (libc::SYS_poll, &[]),
    (libc::SYS_ppoll, &[]),
    (libc::SYS_epoll_ctl, &[]),
    (libc::SYS_epoll_wait, &[]),
    (libc::SYS_epoll_pwait, &[]),
    (libc::SYS_futex, &[]),
    (libc::SYS_clock_gettime, &[]),
    (libc::SYS_sched_yield, &[]),
    (libc::SYS_restart_syscall, &[]),
    // Memory, none of it executable.
    (libc::SYS_mmap, &[Without(2, libc::PROT_EXEC as u64)]),
    (libc::SYS_mprotect, &[Without(2, libc::PROT_EXEC as u64)]),
    (libc::SYS_mremap, &[]),
    (libc::SYS_munmap, &[]),
    (libc::SYS_madvise, &[]),
    (libc::SYS_mincore, &[]),
    (libc::SYS_brk, &[]),
    // Signals: handlers, and who kicks and is kicked.
    (libc::SYS_gettid, &[]),
    (libc::SYS_getpid, &[]),
    (libc::SYS_rt_sigreturn, &[]),
    (libc::SYS_rt_sigprocmask, &[]),
    (libc::SYS_sigaltstack, &[]),
    (libc::SYS_exit, &[]),
    (libc::SYS_exit_group, &[]),
];

/// Of the vCPU's thread alone.
const VCPU: &[(c_long, &[Is])] = &[
    // The machine: its memory, its run, its registers for a report.
    (libc::SYS_ioctl, &[Word(1, KVM_RUN)]),
    (libc::SYS_ioctl, &[Word(1, KVM_SET_USER_MEMORY_REGION)]),
    (libc::SYS_ioctl, &[Word(1, KVM_IOEVENTFD)]),
    (libc::SYS_ioctl, &[Word(1, KVM_SET_NR_MMU_PAGES)]),
    (libc::SYS_ioctl, &[Word(1, KVM_INTERRUPT)]),
    (libc::SYS_ioctl, &[Word(1, KVM_GET_REGS)]),
    (libc::SYS_ioctl, &[Word(1, KVM_GET_SREGS)]),
    (libc::SYS_ioctl, &[Word(1, KVM_SET_SREGS)]),
    (libc::SYS_ioctl, &[Word(1, KVM_SET_MSRS)]),
    (libc::SYS_ioctl, &[Word(1, KVM_SET_XCRS)]),
    // What comes with the start: the box and the init block, and what kind the output is of.
    (libc::SYS_fstat, &[]),
    (libc::SYS_newfstatat, &[Word(3, libc::AT_EMPTY_PATH as u64)]),
    (libc::SYS_statx, &[]),
    (libc::SYS_pread64, &[]),
    (libc::SYS_getrandom, &[]),
    (libc::SYS_epoll_create1, &[]),
    (libc::SYS_rt_sigaction, &[]),
    // Bounds of its own, which can only be lowered.
    (
        libc::SYS_prlimit64,
        &[Word(0, 0), Word(1, libc::RLIMIT_AS as u64)],
    ),
    (libc::SYS_getrlimit, &[Word(0, libc::RLIMIT_AS as u64)]),
    (libc::SYS_setrlimit, &[Word(0, libc::RLIMIT_AS as u64)]),
    // The time stamp counter is hidden from a guest whose run is to be repeated.
    (libc::SYS_prctl, &[Word(0, libc::PR_SET_TSC as u64)]),
];

// Numbers of linux/kvm.h.
const KVM_RUN: u64 = 0xae80;
const KVM_SET_USER_MEMORY_REGION: u64 = 0x4020_ae46;
const KVM_IOEVENTFD: u64 = 0x4040_ae79;
const KVM_SET_NR_MMU_PAGES: u64 = 0xae44;
const KVM_INTERRUPT: u64 = 0x4004_ae86;
const KVM_GET_REGS: u64 = 0x8090_ae81;
const KVM_GET_SREGS: u64 = 0x8138_ae83;
const KVM_SET_SREGS: u64 = 0x4138_ae84;
const KVM_SET_MSRS: u64 = 0x4008_ae89;
const KVM_SET_XCRS: u64 = 0x4188_aea7;

/// Restricts the calling thread, and the threads that it starts.
pub(super) fn install(role: Role) -> Result<(), Obstacle> {
    let program = program(role).map_err(|error| failed("seccompiler")(io::Error::other(error)))?;
    match apply_filter(&program) {
        Ok(()) => Ok(()),
        Err(seccompiler::Error::Seccomp(error) | seccompiler::Error::Prctl(error))
            if error.raw_os_error() == Some(Errno::NOSYS.raw_os_error())
                || error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) =>
        {
            Err(Obstacle::Lacking(
                "this host has no seccomp filters".to_owned(),
            ))
        }
        Err(error) => Err(failed("seccomp")(io::Error::other(error))),
    }
}

fn program(role: Role) -> Result<BpfProgram, seccompiler::BackendError> {
    let own = match role {
        Role::Vcpu => VCPU,
        Role::Io => &[],
    };
    // The signal that takes the vCPU out of the guest. Which it is the C library says.
    let kick: &[Is] = &[Word(2, crate::kvm::signal() as u64)];
    let mut rules = std::collections::BTreeMap::<i64, Vec<SeccompRule>>::new();
    for (call, conditions) in BOTH.iter().chain(own).chain(&[(libc::SYS_tgkill, kick)]) {
        let rules = rules.entry(*call).or_default();
        // No rule at all allows every use of a call.
        if !conditions.is_empty() {
            let conditions = conditions.iter().map(Is::condition);
            rules.push(SeccompRule::new(conditions.collect::<Result<_, _>>()?)?);
        }
    }
    let (otherwise, listed) = (SeccompAction::KillProcess, SeccompAction::Allow);
    SeccompFilter::new(rules, otherwise, listed, TargetArch::x86_64)?.try_into()
}

impl Is {
    fn condition(&self) -> Result<SeccompCondition, seccompiler::BackendError> {
        let word = SeccompCmpArgLen::Dword;
        match *self {
            Self::Word(argument, value) => {
                SeccompCondition::new(argument, word, SeccompCmpOp::Eq, value)
            }
            Self::Without(argument, bits) => {
                let masked = SeccompCmpOp::MaskedEq(bits);
                SeccompCondition::new(argument, word, masked, 0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_has_a_filter_that_fits_a_page() {
        // 4096 instructions are the most that the kernel takes (BPF_MAXINSNS).
        for role in [Role::Vcpu, Role::Io] {
            let program = program(role).unwrap();
            assert!(program.len() * 8 <= 4096, "{role:?}: {}", program.len());
        }
    }
}
