//! How a program ends: its exit code, a signal, a fault, a limit.

use unicell_tests::boxes::tree;
use unicell_tests::exit;
use unicell_tests::run::Run;

fn end(how: &str) -> Run {
    Run::new(&tree("programs"), "/dynamic/end").arg(how)
}

const SIGILL: i32 = 4;
const SIGTRAP: i32 = 5;
const SIGABRT: i32 = 6;
const SIGBUS: i32 = 7;
const SIGFPE: i32 = 8;
const SIGKILL: i32 = 9;
const SIGSEGV: i32 = 11;
const SIGTERM: i32 = 15;

#[test]
fn the_exit_status_is_the_programs_own() {
    for status in [0, 1, 2, 42, 127, 200, 255] {
        for way in ["exit", "_exit"] {
            let outcome = end(way).arg(status.to_string()).same();
            assert_eq!(outcome.code, status);
        }
    }
    assert_eq!(end("exit").arg("256").same().code, 0);
}

#[test]
fn a_signal_that_kills_is_128_and_its_number() {
    assert_eq!(end("abort").same().code, exit::signal(SIGABRT));
    for signal in [SIGTERM, SIGKILL, 1, 2, 10, 13, 14] {
        assert_eq!(
            end("raise").arg(signal.to_string()).same().code,
            exit::signal(signal)
        );
    }
    // Ignored by default: the program goes on to its last line.
    assert_eq!(end("raise").arg("17").same().code, 2);
}

#[test]
fn a_fault_kills_the_program_with_the_signal_linux_gives() {
    let faults = [
        ("null", SIGSEGV),
        ("non-canonical", SIGSEGV),
        ("execute-data", SIGSEGV),
        ("write-text", SIGSEGV),
        ("privileged", SIGSEGV),
        ("stack", SIGSEGV),
        ("undefined", SIGILL),
        ("breakpoint", SIGTRAP),
        ("divide", SIGFPE),
        ("truncated-map", SIGBUS),
    ];
    for (how, signal) in faults {
        assert_eq!(end(how).same().code, exit::signal(signal), "{how}");
    }
}

/// Program and kernel share ring 3: what a wild pointer into the kernel's half does there is not
/// what Linux does (docs/architecture.md, "One ring"), but it is the end of this instance alone.
#[test]
fn a_store_into_the_kernels_half_ends_the_instance() {
    assert_eq!(end("kernel-address").native().code, exit::signal(SIGSEGV));
    assert_eq!(end("kernel-address").guest().code, exit::PROTOCOL);
}

#[test]
fn a_jump_into_the_kernels_half_is_a_panic_with_a_report() {
    assert_eq!(end("kernel-jump").native().code, exit::signal(SIGSEGV));
    let guest = end("kernel-jump").guest();
    assert_eq!(guest.code, exit::KERNEL_PANIC, "{guest}");
    for part in ["the guest kernel panicked", "rip ", "0xffffffff80000000"] {
        assert!(guest.err().contains(part), "{part:?} is missing:\n{guest}");
    }
}

#[test]
fn a_fault_is_told_in_a_line_of_its_own() {
    let guest = end("null").guest();
    let after = guest.err().replace("last words\n", "");
    assert!(
        after.contains("SIGSEGV"),
        "the signal is not named: {guest}"
    );
}

#[test]
fn a_crash_report_says_where_a_program_stood() {
    let told = [
        "crash: process 2 (end, /dynamic/end), thread 2 (end)\n  signal 11, code 1, address 0x",
        "   rax ",
        "  mappings near the instruction, 0x",
        " r-xp /dynamic/end <\n",
        "  mappings near the stack pointer, 0x",
        " rw-p [stack] <\n",
        "  stack\n    ",
    ];
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().display().to_string();
    let plain = end("null").guest();
    for to in ["-", &path] {
        let guest = end("null").options(["--crash-report", to]).guest();
        assert_eq!(guest.code, plain.code);
        let report = match to {
            "-" => guest.err(),
            _ => {
                assert_eq!(guest.err(), plain.err());
                std::fs::read_to_string(file.path()).unwrap()
            }
        };
        for part in told {
            assert!(report.contains(part), "{part:?} is missing:\n{report}");
        }
    }
    let whole = end("exit")
        .arg("3")
        .options(["--crash-report", "-"])
        .guest();
    assert_eq!((whole.code, whole.err().contains("crash:")), (3, false));
}

#[test]
fn a_program_that_does_not_end_is_stopped_in_time() {
    for how in ["spin", "sleep"] {
        let guest = end(how).options(["--timeout", "2s"]).guest();
        assert_eq!(guest.code, exit::TIMEOUT, "{how}: {guest}");
        assert_eq!(guest.out(), format!("ending by {how}\n"));
        assert!(
            !guest.err().replace("last words\n", "").is_empty(),
            "no word of the time-out"
        );
    }
}

#[test]
fn a_program_that_ends_in_time_knows_nothing_of_the_limit() {
    assert_eq!(
        end("exit")
            .arg("7")
            .options(["--timeout", "500s"])
            .same()
            .code,
        7
    );
}

#[test]
fn memory_beyond_the_limit_ends_the_program_with_a_clear_error() {
    let guest = end("memory").options(["--memory", "64M"]).guest();
    assert_eq!(guest.code, exit::MEMORY_EXHAUSTED, "{guest}");
    assert_eq!(guest.out(), "ending by memory\n");
    assert!(guest.err().contains("memory"), "{guest}");
}
