//! What an instance uses, and what it may.

use std::io::Write;
use std::os::unix::net::UnixStream;

use unicell_guest_abi::init::Furnishing;
use unicell_tests::boxes::tree;
use unicell_tests::hosts::{Host, skip};
use unicell_tests::node::{Instance, start};
use unicell_vmm::End;
use unicell_vmm::link::{Command, CpuQuota, Limits, Message, Transport, Usage};

use crate::program;

fn usage(guest: &mut Instance) -> Usage {
    guest.say(&Command::Usage);
    match guest.message() {
        Message::Usage(usage) => usage,
        other => panic!("usage was asked for, not {other:?}"),
    }
}

fn shell(script: &str) -> Instance {
    let command = ["/bin/busybox", "sh", "-c", script];
    start(&tree("busybox"), &command, &Furnishing::default())
}

#[test]
fn bytes_time_and_memory_are_counted() {
    let mut guest = program(&["broken", "10.1.0.1", "7"]);
    let open = guest.wish();
    let (ours, duplicate) = guest.grant(&open);
    let mut word = [0; 5];
    rustix::net::recv(&ours, &mut word[..], rustix::net::RecvFlags::WAITALL).unwrap();
    let mut ours = UnixStream::from(ours);
    ours.write_all(&[0; 1000]).unwrap();
    // Printed once it has read that.
    for expected in ["connect: 0\n", "read: 1000\n"] {
        assert_eq!(guest.line(), expected);
    }
    let used = usage(&mut guest);
    assert_eq!((used.sent, used.received), (5, 1000));
    assert!(used.cpu_ns > 0 && used.exits > 0, "{used:?}");
    assert!(
        used.memory > 100 << 10 && used.memory < 64 << 20,
        "{used:?}"
    );
    assert!(used.memory_peak >= used.memory, "{used:?}");
    drop(duplicate);
    guest.node.stop().unwrap();
}

#[test]
fn a_quota_slows_a_program_down_and_can_be_lifted() {
    if Host::current() == Host::Svm {
        return skip("an emulated processor's time is not its emulator's");
    }
    // Counts for as long as it is let; says how far it came, again and again.
    let mut guest = shell("while :; do i=$((i+1)); [ $((i%2000)) = 0 ] && echo; done");
    let quota = |quota_ns| {
        Command::Limits(Limits {
            cpu: Some(CpuQuota {
                quota_ns,
                period_ns: 20_000_000,
            }),
            memory: None,
        })
    };
    guest.line();
    guest.say(&quota(1_000_000));
    let before = usage(&mut guest);
    let began = unicell_vmm::monotonic_ns();
    // So much takes many periods, whatever was printed before the first.
    let mut used = 0;
    while used < 20_000_000 {
        guest.line();
        used = usage(&mut guest).cpu_ns - before.cpu_ns;
    }
    let passed = unicell_vmm::monotonic_ns() - began;
    // A twentieth, and what it overruns until it is noticed.
    assert!(used < passed / 2, "{used} of {passed} ns");
    guest.say(&Command::Limits(Limits::default()));
    for _ in 0..3 {
        guest.line();
    }
    guest.node.stop().unwrap();
}

#[test]
fn an_instance_that_needs_more_memory_than_it_may_is_ended() {
    // More than it may and less than there is, and then it goes on until it is ended.
    let guest = shell("s=x; while [ ${#s} -lt 33554432 ]; do s=$s$s; done; while :; do :; done");
    guest.say(&Command::Limits(Limits {
        cpu: None,
        memory: Some(24 << 20),
    }));
    let (outcome, _, _) = guest.finish();
    assert_eq!(outcome.end, End::MemoryLimit, "{outcome}");
}

#[test]
fn who_computes_without_a_pause_gives_way_and_who_sleeps_does_not() {
    if Host::current() == Host::Svm {
        return skip("an emulated processor's time is not its emulator's");
    }
    let mut guest = program(&["spins", "0.0.0.0", "7"]);
    assert_eq!(guest.line(), "listening\n");
    let (ours, stream) = guest.offer(Transport::Tcp, "10.0.0.3:5", 7);
    // It begins as one that gives way. On a host where others compute it may say more than this.
    let mut gives_way = true;
    let mut until = |guest: &mut Instance, taken: bool, gives: bool| {
        let mut accepted = !taken;
        while !accepted || gives_way != gives {
            match guest.any_message() {
                Message::Accepted { stream: number } => accepted = number == stream,
                Message::GivesWay(now) => gives_way = now,
                Message::Closed(_) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    until(&mut guest, true, false);
    drop(ours);
    until(&mut guest, false, true);
    guest.node.stop().unwrap();
}
