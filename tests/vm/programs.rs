//! Our own small programs, in every way of linking, against native.

use unicell_tests::boxes::tree;
use unicell_tests::hosts::scale;
use unicell_tests::process::Outcome;
use unicell_tests::run::Run;

const LINKINGS: [&str; 5] = ["musl", "static", "static-pie", "dynamic", "no-pie"];

fn program(linking: &str, name: &str) -> Run {
    Run::new(&tree("programs"), &format!("/{linking}/{name}"))
}

fn same_in_every_linking(name: &str) -> Vec<Outcome> {
    LINKINGS.map(|linking| program(linking, name).same()).into()
}

#[test]
fn hello() {
    for outcome in same_in_every_linking("hello") {
        assert_eq!(
            (outcome.code, outcome.out().as_str()),
            (0, "hello from a box\n")
        );
    }
}

#[test]
fn arguments_environment_and_auxiliary_vector() {
    for linking in LINKINGS {
        let run = program(linking, "start")
            .args(["one", "", "with space", "ünï", "--option", "--", "-"])
            .env("EMPTY", "")
            .env("EQUALS", "a=b=c")
            .workdir("/usr/lib");
        let outcome = run.same();
        assert!(
            outcome.out().contains("argument 3: with space\n"),
            "{outcome}"
        );
        assert!(
            outcome.out().contains("environment: EQUALS=a=b=c\n"),
            "{outcome}"
        );
        assert!(
            outcome.out().contains("working directory: /usr/lib\n"),
            "{outcome}"
        );
    }
}

#[test]
fn many_and_long_arguments() {
    let many = (0..2000).map(|n| format!("argument number {n}"));
    let outcome = program("dynamic", "start").args(many).same();
    assert!(
        outcome
            .out()
            .contains("argument 2000: argument number 1999\n")
    );
    program("static", "start")
        .arg("x".repeat(100_000))
        .env("LONG", &"y".repeat(60_000))
        .same();
}

#[test]
fn files_written_mapped_renamed_and_removed() {
    for outcome in same_in_every_linking("files") {
        assert_eq!(outcome.code, 0, "{outcome}");
    }
}

#[test]
fn posix_threads() {
    for outcome in same_in_every_linking("threads") {
        assert!(
            outcome.out().starts_with("produced 8000, sum 31996000\n"),
            "{outcome}"
        );
    }
}

#[test]
fn posix_threads_again_and_again() {
    let native = program("dynamic", "threads").native();
    for _ in 0..scale(50, 3) {
        assert_eq!(program("dynamic", "threads").guest(), native);
    }
}

#[test]
fn sixty_four_rust_threads_with_channels() {
    for linking in ["static", "dynamic"] {
        let outcome = program(linking, "threads64").same();
        assert!(outcome.out().contains("counter 1280\n"), "{outcome}");
    }
}

#[test]
fn unix_sockets() {
    for outcome in same_in_every_linking("sockets_unix") {
        assert_eq!(outcome.code, 0, "{outcome}");
        assert!(outcome.out().contains("child 7\n"), "{outcome}");
    }
}

#[test]
fn tcp_and_udp_over_loopback() {
    for outcome in same_in_every_linking("sockets_inet") {
        assert_eq!(outcome.code, 0, "{outcome}");
        assert!(outcome.out().contains("read 3100060\n"), "{outcome}");
    }
}

#[test]
fn signals_read_from_a_descriptor() {
    for outcome in same_in_every_linking("signalfd") {
        assert!(outcome.out().contains("values 42 43\n"), "{outcome}");
    }
}

#[test]
fn clocks_are_read_without_a_system_call() {
    for outcome in same_in_every_linking("clock") {
        assert_eq!(outcome.code, 0, "{outcome}");
    }
    let outcome = program("dynamic", "clock").options(["--stats"]).guest();
    let calls = outcome
        .err()
        .lines()
        .find_map(|line| {
            line.trim()
                .strip_suffix("  system calls")?
                .parse::<u32>()
                .ok()
        })
        .unwrap_or_else(|| panic!("no count of system calls: {outcome}"));
    assert!(calls < 200, "{calls} system calls for 200,000 readings");
}
