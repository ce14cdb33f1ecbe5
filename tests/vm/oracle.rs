//! The oracle: small programs over every system call, each run natively and in a micro-VM and
//! compared byte for byte. They lie in `tests/programs/oracle`, a folder for a family and a file
//! for a call or a few; `docs/coverage.md` counts what they cover.

use unicell_kernel::syscall::table;
use unicell_tests::boxes::{repository, tree};
use unicell_tests::coverage::Coverage;
use unicell_tests::hosts::{Host, skip};
use unicell_tests::run::Run;

macro_rules! oracle {
    ($($family:ident: $($program:ident)*;)*) => {
        $(mod $family {
            $(#[test]
            fn $program() {
                super::program(stringify!($family), stringify!($program)).same();
            })*
        })*

        /// Family and name of every program.
        const PROGRAMS: &[(&str, &str)] = &[$($((stringify!($family), stringify!($program)),)*)*];
    };
}

oracle! {
    files: directories;
    memory: brk;
}

/// Calls that have fewer than two errors to show, with how many they have.
const ALWAYS_SUCCEED: &[(&str, usize)] = &[("brk", 0)];

/// Calls that the kernel has and no program covers yet.
const NOT_YET: &[&str] = &[
    "accept",
    "accept4",
    "access",
    "alarm",
    "arch_prctl",
    "bind",
    "capget",
    "capset",
    "chdir",
    "chmod",
    "chown",
    "chroot",
    "clock_getres",
    "clock_gettime",
    "clock_nanosleep",
    "clock_settime",
    "clone",
    "clone3",
    "close",
    "close_range",
    "connect",
    "copy_file_range",
    "creat",
    "dup",
    "dup2",
    "dup3",
    "epoll_create",
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait",
    "epoll_pwait2",
    "epoll_wait",
    "eventfd",
    "eventfd2",
    "execve",
    "execveat",
    "exit",
    "exit_group",
    "faccessat",
    "faccessat2",
    "fadvise64",
    "fallocate",
    "fchdir",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "fchown",
    "fchownat",
    "fcntl",
    "fdatasync",
    "fgetxattr",
    "flistxattr",
    "flock",
    "fork",
    "fremovexattr",
    "fsetxattr",
    "fstat",
    "fstatfs",
    "fsync",
    "ftruncate",
    "futex",
    "futimesat",
    "get_robust_list",
    "getcpu",
    "getcwd",
    "getdents",
    "getdents64",
    "getegid",
    "geteuid",
    "getgid",
    "getgroups",
    "getitimer",
    "getpeername",
    "getpgid",
    "getpgrp",
    "getpid",
    "getppid",
    "getpriority",
    "getrandom",
    "getresgid",
    "getresuid",
    "getrlimit",
    "getrusage",
    "getsid",
    "getsockname",
    "getsockopt",
    "gettid",
    "gettimeofday",
    "getuid",
    "getxattr",
    "ioctl",
    "kill",
    "lchown",
    "lgetxattr",
    "link",
    "linkat",
    "listen",
    "listxattr",
    "llistxattr",
    "lremovexattr",
    "lseek",
    "lsetxattr",
    "lstat",
    "madvise",
    "membarrier",
    "memfd_create",
    "mincore",
    "mknod",
    "mknodat",
    "mlock",
    "mlock2",
    "mlockall",
    "mmap",
    "mprotect",
    "mremap",
    "msync",
    "munlock",
    "munmap",
    "nanosleep",
    "newfstatat",
    "open",
    "openat",
    "openat2",
    "pause",
    "personality",
    "pidfd_open",
    "pipe",
    "pipe2",
    "poll",
    "ppoll",
    "prctl",
    "pread64",
    "preadv",
    "preadv2",
    "prlimit64",
    "pselect6",
    "pwrite64",
    "pwritev",
    "pwritev2",
    "read",
    "readahead",
    "readlink",
    "readlinkat",
    "readv",
    "recvfrom",
    "recvmmsg",
    "recvmsg",
    "removexattr",
    "rename",
    "renameat",
    "renameat2",
    "rt_sigaction",
    "rt_sigpending",
    "rt_sigprocmask",
    "rt_sigqueueinfo",
    "rt_sigreturn",
    "rt_sigsuspend",
    "rt_sigtimedwait",
    "rt_tgsigqueueinfo",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "sched_getaffinity",
    "sched_getparam",
    "sched_getscheduler",
    "sched_setaffinity",
    "sched_setscheduler",
    "sched_yield",
    "select",
    "sendfile",
    "sendmmsg",
    "sendmsg",
    "sendto",
    "set_robust_list",
    "set_tid_address",
    "setfsgid",
    "setfsuid",
    "setgid",
    "setgroups",
    "sethostname",
    "setitimer",
    "setpgid",
    "setpriority",
    "setregid",
    "setresgid",
    "setresuid",
    "setreuid",
    "setrlimit",
    "setsid",
    "setsockopt",
    "setuid",
    "setxattr",
    "shutdown",
    "sigaltstack",
    "signalfd",
    "signalfd4",
    "socket",
    "socketpair",
    "splice",
    "stat",
    "statfs",
    "statx",
    "symlink",
    "symlinkat",
    "sync",
    "sync_file_range",
    "syncfs",
    "sysinfo",
    "syslog",
    "tee",
    "tgkill",
    "time",
    "timer_create",
    "timer_delete",
    "timer_getoverrun",
    "timer_gettime",
    "timer_settime",
    "timerfd_create",
    "timerfd_gettime",
    "timerfd_settime",
    "times",
    "tkill",
    "truncate",
    "umask",
    "uname",
    "unlink",
    "unlinkat",
    "utime",
    "utimensat",
    "utimes",
    "vfork",
    "wait4",
    "waitid",
    "write",
    "writev",
];

fn program(family: &str, name: &str) -> Run {
    Run::new(&tree("oracle"), &format!("/oracle/{family}/{name}")).workdir("/work")
}

#[test]
fn every_program_is_run() {
    let mut sources = Vec::new();
    let oracle = repository().join("tests/programs/oracle");
    for family in oracle.read_dir().unwrap().map(Result::unwrap) {
        if !family.file_type().unwrap().is_dir() {
            continue;
        }
        for source in family.path().read_dir().unwrap().map(Result::unwrap) {
            let name = source.path().with_extension("");
            sources.push(name.strip_prefix(&oracle).unwrap().display().to_string());
        }
    }
    let mut run: Vec<_> = PROGRAMS.iter().map(|(a, b)| format!("{a}/{b}")).collect();
    sources.sort();
    run.sort();
    assert_eq!(sources, run, "the sources, and the table in oracle.rs");
}

#[test]
fn every_call_is_covered_and_the_docs_say_so() {
    if Host::current() != Host::Local {
        // An older kernel lacks calls and knows fewer errors.
        return skip("the page is counted on one host");
    }
    let mut coverage = Coverage::default();
    for (family, name) in PROGRAMS {
        let outcome = program(family, name).native();
        assert_eq!(outcome.code, 0, "{family}/{name}: {outcome}");
        coverage.add(&format!("{family}/{name}"), &outcome.out());
    }
    coverage.retain(|call| table::all().any(|known| known.name == call));

    let page = repository().join("docs/coverage.md");
    let text = std::fs::read_to_string(&page).unwrap();
    let (words, rows) = text.split_once("| --- |\n").unwrap();
    if std::env::var_os("UNICELL_WRITE_COVERAGE").is_some() {
        std::fs::write(&page, format!("{words}| --- |\n{}", coverage.rows())).unwrap();
    } else {
        assert!(rows == coverage.rows(), "{} is stale", page.display());
    }

    let suffices = |name: &str| {
        let errors = ALWAYS_SUCCEED.iter().find(|(call, _)| *call == name);
        let errors = errors.map_or(2, |&(_, errors)| errors);
        coverage
            .of(name)
            .is_some_and(|counts| counts.suffice(errors))
    };
    let missing: Vec<_> = table::all()
        .map(|call| call.name)
        .filter(|name| !suffices(name))
        .collect();
    let mut not_yet = NOT_YET.to_vec();
    not_yet.sort_by_key(|name| missing.iter().position(|missing| missing == name));
    assert_eq!(missing, not_yet, "calls that lack cases, and NOT_YET");
}
