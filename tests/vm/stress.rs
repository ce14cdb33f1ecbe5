//! Many processes, threads and writers, against native; and that nothing of them is left in the
//! guest, which only there can be told: nobody else runs in it.

use unicell_tests::boxes::tree;
use unicell_tests::hosts::scale;
use unicell_tests::process::Outcome;
use unicell_tests::run::Run;

fn stress(part: &str, count: u32) -> Run {
    Run::new(&tree("programs"), "/static/stress")
        .args([part, &count.to_string()])
        .options(["--memory", "128M", "--env", "ALONE=1"])
}

#[track_caller]
fn same(part: &str, count: u32) -> Outcome {
    let outcome = stress(part, count).same();
    assert_eq!(outcome.code, 0, "{outcome}");
    assert!(outcome.out().ends_with("nothing left\n"), "{outcome}");
    outcome
}

#[test]
fn ten_thousand_forks_in_a_row() {
    // Twice as many: see the program.
    same("forks", scale(5_000, 100));
}

#[test]
fn five_hundred_processes_alive() {
    same("processes", scale(500, 50));
}

#[test]
fn a_thousand_threads_alive() {
    same("threads", scale(1_000, 100));
}

#[test]
fn a_hundred_processes_write_to_one_pipe() {
    same("writers", scale(100, 20));
}

#[test]
fn a_fork_bomb_is_refused_and_survived() {
    let outcome = same("bomb", scale(200, 40));
    let refused = format!("refused after {}\n", scale(199, 39));
    assert!(outcome.out().starts_with(&refused), "{outcome}");
}

#[test]
fn a_fork_bomb_of_root_meets_the_limit_of_the_instance() {
    let script = "bomb() { sleep 1000 & bomb; }; bomb 2>/dev/null & wait $!; echo ended; \
                  kill -9 -1; echo survived";
    let outcome = Run::new(&tree("busybox"), "/bin/busybox")
        .args(["sh", "-c", script])
        .options(["--memory", "64M"])
        .guest();
    assert_eq!(outcome.out(), "ended\nsurvived\n", "{outcome}");
}

#[test]
fn who_takes_all_memory_is_killed_and_nobody_else() {
    // Not natively: this machine's memory is not the test's to take.
    let outcome = stress("hog", 200).guest();
    let expected = "killed by 9\nkilled by 9\nnothing left\n";
    assert_eq!(outcome.out(), expected, "{outcome}");
}
