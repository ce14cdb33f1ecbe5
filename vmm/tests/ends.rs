//! Instances that somebody else ends, or that do not get on.

mod common;

use std::io::Read;
use std::sync::mpsc;
use std::thread;

use common::{Script, exited, stdio, told, vm};
use unicell_guest_abi::device::CONSOLE;
use unicell_guest_abi::message::channel;
use unicell_guest_abi::platform::NEVER;
use unicell_vmm::{End, Outcome, monotonic_ns};

const MS: u64 = 1_000_000;

/// Runs a script whose time is up after `ns`, with a reader of its text that reads nothing.
fn run_for(script: &Script, ns: u64) -> Outcome {
    let mut vm = vm(script);
    vm.set_deadline(monotonic_ns() + ns);
    let (backend, reader) = stdio();
    let outcome = vm.run(Box::new(backend)).outcome;
    drop(reader);
    outcome
}

fn endless() -> [Script; 3] {
    let print = Script::new().offer_text(channel::STDOUT, &[b'x'; 4000]);
    let flood = print.clone().park_until_used(CONSOLE);
    let flood = (0..40).fold(flood, |script, _| {
        script.offer(CONSOLE, 0).park_until_used(CONSOLE)
    });
    [
        Script::new().spin(),
        Script::new().park(NEVER).spin(),
        flood.spin(),
    ]
}

#[test]
fn an_instance_ends_when_its_time_is_up() {
    for script in endless() {
        let outcome = run_for(&script, 30 * MS);
        assert_eq!(outcome.end, End::TimedOut, "{}", told(&outcome));
        assert!(outcome.report.is_some(), "where it was is told");
    }
}

#[test]
fn an_instance_ends_when_it_is_stopped() {
    for script in endless() {
        let vm = vm(&script);
        let handle = vm.stop_handle();
        let (backend, _reader) = stdio();
        let (started, running) = mpsc::channel();
        let instance = thread::spawn(move || {
            started.send(()).unwrap();
            vm.run(Box::new(backend)).outcome
        });
        running.recv().unwrap();
        handle.stop();
        let outcome = instance.join().unwrap();
        assert_eq!(outcome.end, End::Stopped, "{}", told(&outcome));
        // Nobody is there any more; nothing happens.
        handle.stop();
    }
}

#[test]
fn an_instance_stopped_before_it_runs_does_not_run() {
    let vm = vm(&Script::new().exit(0));
    vm.stop_handle().stop();
    let outcome = vm.run(Box::new(stdio().0)).outcome;
    assert_eq!(outcome.end, End::Stopped);
}

#[test]
fn text_for_a_slow_reader_is_all_delivered_before_the_end() {
    // More than a pipe holds, so the guest has ended long before the last of it is read.
    let text = [b'y'; 3000];
    let mut script = Script::new().offer_text(channel::STDOUT, &text);
    for _ in 1..40 {
        script = script.offer(CONSOLE, 0);
    }
    let vm = vm(&script.exit(3));
    let (backend, mut reader) = stdio();
    let reading = thread::spawn(move || {
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
        all.len()
    });
    let outcome = vm.run(Box::new(backend)).outcome;
    assert_eq!(outcome.end, exited(3), "{}", told(&outcome));
    assert_eq!(reading.join().unwrap(), 40 * text.len());
}

#[test]
fn text_that_nobody_reads_fails_with_epipe() {
    let vm = vm(&Script::new()
        .print(channel::STDOUT, b"12345678")
        .expect32(common::va(common::SCRATCH) + 16, 32)
        .exit(0));
    let (backend, reader) = stdio();
    drop(reader);
    let outcome = vm.run(Box::new(backend)).outcome;
    assert_eq!(outcome.end, exited(0), "{}", told(&outcome));
}

#[test]
fn many_instances_run_in_one_process() {
    let instance = || {
        let script = Script::new().print(channel::STDERR, b"one of many").exit(1);
        let (backend, _reader) = stdio();
        vm(&script).run(Box::new(backend)).outcome.end
    };
    let threads: Vec<_> = (0..8).map(|_| thread::spawn(instance)).collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), exited(1));
    }
}
