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
                super::compare(stringify!($family), stringify!($program));
            })*
        })*

        /// Family and name of every program.
        const PROGRAMS: &[(&str, &str)] = &[$($((stringify!($family), stringify!($program)),)*)*];
    };
}

oracle! {
    files: access busy copy descriptors directories fchmodat2 full getdents inotify links locks memfd
        modes open openat2 pipes places read_write read_write_flags rename seek stat std sync times
        tmpfile xattr;
    ipc: mqueue msg sem shm;
    memory: advice brk mmap mremap sharing;
    terminals: jobs line reading sessions settings;
    process: capability credentials exec fork group limits orphan pidfd prctl sched spawn wait;
    signal: action default fault kill pending registers restart stack wait;
    time: clocks sleep timerfd timers;
    thread: futex life pi shared;
    event: epoll eventfd poll;
    socket: families inet netlink rights unix;
    system: system;
}

/// Calls that have fewer than two errors to show, with how many they have.
const FEW_ERRORS: &[(&str, usize)] = &[
    ("alarm", 0),
    ("brk", 0),
    ("eventfd", 0),
    ("exit", 0),
    ("exit_group", 0),
    ("fork", 1),
    ("vhangup", 1),
    ("getegid", 0),
    ("geteuid", 0),
    ("getgid", 0),
    ("getpgrp", 0),
    ("getpid", 0),
    ("getppid", 0),
    ("gettid", 0),
    ("getuid", 0),
    ("inotify_init", 0),
    ("munlockall", 0),
    ("personality", 0),
    ("rt_sigreturn", 0),
    ("sched_yield", 0),
    ("set_tid_address", 0),
    ("setfsgid", 0),
    ("setfsuid", 0),
    ("setsid", 1),
    ("sync", 0),
    ("time", 1),
    ("times", 1),
    ("timer_delete", 1),
    ("timer_getoverrun", 1),
    ("umask", 0),
    ("vfork", 0),
];

/// Calls that are always refused, with how many errors.
const ALWAYS_FAIL: &[(&str, usize)] = &[
    ("clock_settime", 2),
    ("mount", 1),
    ("name_to_handle_at", 1),
    ("open_by_handle_at", 1),
    ("pause", 1),
    ("pivot_root", 1),
    ("rt_sigsuspend", 2),
    ("syslog", 1),
    ("umount2", 1),
];

/// Programs whose calls, or what they ask of files in memory, came to Linux later than the others',
/// and when.
const SINCE: &[(&str, &str, (u32, u32))] = &[
    ("files", "fchmodat2", (6, 6)),
    ("files", "read_write_flags", (6, 5)),
    ("files", "tmpfile", (6, 3)),
    ("files", "xattr", (6, 6)),
];

fn program(family: &str, name: &str) -> Run {
    Run::new(&tree("oracle"), &format!("/oracle/{family}/{name}")).workdir("/work")
}

fn compare(family: &str, name: &str) {
    let since = SINCE
        .iter()
        .find(|since| (since.0, since.1) == (family, name));
    if let Some((.., since)) = since
        && kernel() < *since
    {
        return skip(&format!("this Linux is older than {}.{}", since.0, since.1));
    }
    program(family, name).same();
}

/// The version of the host's Linux.
fn kernel() -> (u32, u32) {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    let mut numbers = release.split('.').map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Natively the bound would be half of the host's memory, so that only the guest reaches it.
#[test]
fn files_take_half_of_memory_and_give_it_back() {
    let script = "dd if=/dev/zero of=/f bs=1M count=100 2>/dev/null; echo $?
        echo more >/g || echo none
        rm /f
        dd if=/dev/zero of=/f bs=1M count=20 2>/dev/null; echo $?
        echo more >/g && cat /g";
    let shell = Run::new(&tree("busybox"), "/bin/busybox").args(["sh", "-c", script]);
    let outcome = shell.options(["--memory", "64M"]).guest();
    assert_eq!(outcome.out(), "1\nnone\n0\nmore\n", "{outcome}");
    let words = "No space left on device";
    assert!(outcome.err().contains(words), "{outcome}");
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
        let counted = coverage.rows();
        let lines = rows.lines().zip(counted.lines());
        let other = lines.filter(|(told, counted)| told != counted);
        let other: Vec<_> = other.collect();
        assert!(rows == counted, "{} is stale: {other:#?}", page.display());
    }

    let suffices = |name: &str| {
        let listed = |list: &[(&str, usize)]| Some(list.iter().find(|(call, _)| *call == name)?.1);
        let (successes, errors) = match (listed(FEW_ERRORS), listed(ALWAYS_FAIL)) {
            (Some(errors), _) => (1, errors),
            (None, Some(errors)) => (0, errors),
            (None, None) => (1, 2),
        };
        let counts = coverage.of(name);
        counts.is_some_and(|counts| counts.suffice(successes, errors))
    };
    let missing: Vec<_> = table::all()
        .map(|call| call.name)
        .filter(|name| !suffices(name))
        .collect();
    assert!(missing.is_empty(), "calls that lack cases: {missing:?}");
}
