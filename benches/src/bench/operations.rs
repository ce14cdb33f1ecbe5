//! Costs of single operations.

use std::path::Path;
use std::process::Command;

use crate::files::Files;
use crate::group::{Contender, Group, Unit};
use crate::sample::{Failure, Stream, number};

/// An operation: its title, what the programs call it and how often they do it, and what the floor
/// calls the least that it could be.
struct Operation {
    title: &'static str,
    micro: Option<(&'static str, u32)>,
    floor: Option<(&'static str, &'static str, u32)>,
}

const OPERATIONS: [Operation; 17] = [
    Operation {
        title: "cost of a system call, getpid",
        micro: Some(("getpid", 5_000)),
        floor: Some(("bare SYSCALL and back", "syscall", 5_000)),
    },
    Operation {
        title: "cost of a switch between two threads, sched_yield",
        micro: Some(("yield", 2_000)),
        floor: None,
    },
    Operation {
        title: "cost of a switch between two threads, futex",
        micro: Some(("futex", 2_000)),
        floor: None,
    },
    Operation {
        title: "cost of a first touch of 4 KiB",
        micro: Some(("fault-4k", 2_000)),
        floor: Some(("bare KVM, page present", "fault-4k", 2_000)),
    },
    Operation {
        title: "cost of a first touch of 2 MiB",
        micro: Some(("fault-2m", 32)),
        floor: Some(("bare KVM, page present", "fault-2m", 32)),
    },
    Operation {
        title: "cost of fork, exec and wait of a static program",
        micro: Some(("spawn", 100)),
        floor: None,
    },
    Operation {
        title: "cost of fork, exit and wait",
        micro: Some(("fork", 200)),
        floor: None,
    },
    Operation {
        title: "cost of fork, exit and wait with 256 MiB resident",
        micro: Some(("fork-256m", 5)),
        floor: None,
    },
    Operation {
        title: "cost of a round trip through pipes, two processes",
        micro: Some(("pipe", 1_000)),
        floor: None,
    },
    Operation {
        title: "cost of a round trip through a socketpair, two processes",
        micro: Some(("socket", 1_000)),
        floor: None,
    },
    Operation {
        title: "cost of a MiB through a pipe",
        micro: Some(("pipe-mib", 64)),
        floor: None,
    },
    Operation {
        title: "cost of a MiB through a socketpair",
        micro: Some(("socket-mib", 64)),
        floor: None,
    },
    Operation {
        title: "cost of a signal handled",
        micro: Some(("signal", 2_000)),
        floor: None,
    },
    Operation {
        title: "cost of mmap, touch and munmap of 64 KiB",
        micro: Some(("mmap", 1_000)),
        floor: None,
    },
    Operation {
        title: "cost of a doorbell, 1 byte written to stdout",
        micro: Some(("write", 1_000)),
        floor: Some(("bare ioeventfd", "doorbell", 1_000)),
    },
    Operation {
        title: "cost of an exit to user space",
        micro: None,
        floor: Some(("bare MMIO exit", "exit", 1_000)),
    },
    Operation {
        title: "cost of a clock read",
        micro: Some(("clock", 5_000)),
        floor: None,
    },
];

pub(crate) fn groups(files: &Files) -> Result<Vec<Group>, Failure> {
    let package = files.package(&files.programs)?;
    Ok(OPERATIONS
        .iter()
        .map(|operation| group(files, &package, operation))
        .collect())
}

fn group(files: &Files, package: &Path, operation: &Operation) -> Group {
    let mut contenders = Vec::new();
    if let Some((what, count)) = operation.micro {
        let mut native = Command::new(files.programs.join("bin/micro"));
        native.args([what, &count.to_string()]);
        let native = move |_: &_| number(&mut native, Stream::Err);
        contenders.push(Contender::new("native", native).base());
    }
    if let Some((name, what, count)) = operation.floor {
        let mut floor = Command::new(&files.floor);
        floor.args([what, &count.to_string()]);
        let floor = move |_: &_| number(&mut floor, Stream::Out);
        contenders.push(Contender::new(name, floor).base());
    }
    if let Some((what, count)) = operation.micro {
        let mut guest = files.run(package, "/bin/micro");
        guest.args(["--memory", "512M", "--", what, &count.to_string()]);
        let guest = move |_: &_| number(&mut guest, Stream::Err);
        contenders.push(Contender::new("unicell", guest));
    }
    Group::new(operation.title, Unit::Nanoseconds, contenders)
}
