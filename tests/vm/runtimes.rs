//! Programs whose runtimes schedule threads of their own: Go and tokio, against native.

use unicell_tests::boxes::tree;
use unicell_tests::hosts::too_long_here;
use unicell_tests::run::Run;

#[test]
fn goroutines_timers_http_and_processes_of_go() {
    if too_long_here() {
        return;
    }
    let outcome = Run::new(&tree("go"), "/bin/go").same();
    assert_eq!(outcome.code, 3, "{outcome}");
}

#[test]
fn tcp_timers_processes_and_signals_of_tokio() {
    if too_long_here() {
        return;
    }
    let outcome = Run::new(&tree("tokio"), "/bin/tokio").same();
    assert_eq!(outcome.code, 5, "{outcome}");
}
