//! Servers as Debian has them, unmodified, on published slots: loaded from the host by the programs
//! that are used for that.

use unicell_tests::daemon::Node;
use unicell_tests::hosts::too_long_here;
use unicell_tests::process::{Outcome, finish};
use unicell_tests::servers::{ASYNCIO_SERVER, GO, HTTP_SERVER, NGINX, REDIS, Server, client};

/// Asks a server of HTTP for a second, over several connections at once.
fn asked(server: &Server) {
    if too_long_here() {
        return;
    }
    let node = Node::start();
    let (instance, port) = server.start(&node);
    let mut wrk = client("/usr/bin/wrk");
    wrk.args(["--threads", "2", "--connections", "16", "--duration", "1s"]);
    wrk.arg(format!("http://127.0.0.1:{port}{}", server.path.unwrap()));
    let outcome = finish(wrk, b"");
    check(&outcome, &["Socket errors", "Non-2xx"]);
    let count = outcome.out();
    let count = count.lines().find(|line| line.contains("requests in"));
    assert!(
        count.is_some_and(|line| !line.trim().starts_with("0 ")),
        "{outcome}"
    );
    // It still runs, and the node has carried nothing.
    let instances = node.json(&["ps"]);
    assert_eq!(instances[0]["id"], instance.as_str());
    assert_eq!(instances[0]["usage"]["bytes_relayed"], 0);
}

fn check(outcome: &Outcome, errors: &[&str]) {
    assert_eq!(outcome.code, 0, "{outcome}");
    let said = format!("{}{}", outcome.out(), outcome.err());
    assert!(
        !errors.iter().any(|error| said.contains(error)),
        "{outcome}"
    );
}

#[test]
fn nginx_with_a_master_and_workers() {
    asked(&NGINX);
}

#[test]
fn http_server_of_cpython() {
    asked(&HTTP_SERVER);
}

#[test]
fn coroutines_of_asyncio() {
    asked(&ASYNCIO_SERVER);
}

#[test]
fn a_web_server_of_go() {
    asked(&GO);
}

#[test]
fn redis_is_benchmarked() {
    if too_long_here() {
        return;
    }
    let node = Node::start();
    let (_, port) = REDIS.start(&node);
    let mut benchmark = client("/usr/bin/redis-benchmark");
    benchmark.args(["-p", &port.to_string(), "-n", "500", "-c", "20", "-q"]);
    let outcome = finish(benchmark, b"");
    check(&outcome, &["rror"]);
    // All of its tests, the last one too.
    assert!(outcome.out().contains("MSET (10 keys): "), "{outcome}");
}
