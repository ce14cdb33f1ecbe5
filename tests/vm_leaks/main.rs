//! Many VMs, one after another and at once: nothing is left behind. A test
//! binary of its own, because it counts what the whole machine has.

// All of it is tests: what cannot be done fails them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::io::Read;
use std::process::{Child, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use unicell_tests::boxes::tree;
use unicell_tests::hosts::scale;
use unicell_tests::process::Outcome;
use unicell_tests::run::Run;

/// One test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    // A test that failed says nothing about the next.
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn hello() -> Run {
    Run::new(&tree("hello"), "/bin/hello")
}

#[track_caller]
fn assert_hello(outcome: &Outcome) {
    assert_eq!(
        (outcome.code, outcome.out().as_str()),
        (0, "hello from a box\n"),
        "{outcome}"
    );
}

/// Memory in KiB that belongs to no process and that the kernel cannot take
/// back: neither free, nor anonymous, nor cache. What leaks once every process
/// has ended is in here, and what else the machine does hardly shows.
fn kept_memory() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap();
    let field = |name: &str| -> u64 {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap().trim_end_matches("kB").trim().parse().unwrap()
    };
    // Cached counts shared memory, which does not go away by itself.
    let used = field("MemTotal") + field("Shmem") - field("MemFree");
    let passing = [
        "Buffers",
        "Cached",
        "SwapCached",
        "AnonPages",
        "SReclaimable",
    ];
    used - passing.map(field).iter().sum::<u64>() - free_on_cpu_lists()
}

/// Free pages, in KiB, that each CPU holds back from MemFree for a while:
/// hundreds of MiB after a large process has ended.
fn free_on_cpu_lists() -> u64 {
    let text = fs::read_to_string("/proc/zoneinfo").unwrap();
    let counts = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("count:"));
    counts
        .map(|pages| pages.trim().parse::<u64>().unwrap() * 4)
        .sum()
}

fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Waits until the processes that are on their way out are gone. `unicell run` does not wait for
/// its instance to be taken down, which takes longer than starting one.
fn wait_for_ends() {
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        let id = entry.file_name().to_str().and_then(|id| id.parse().ok());
        let Some(id) = id
            .filter(|_| name.trim() == "unicell-vmm")
            .and_then(Pid::from_raw)
        else {
            continue;
        };
        let Ok(process) = pidfd_open(id, PidfdFlags::empty()) else {
            continue;
        };
        let limit = Timespec {
            tv_sec: 10,
            tv_nsec: 0,
        };
        poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&limit)).unwrap();
    }
}

/// The processes whose program is ours, this one apart. One that has ended and that init has not
/// asked about yet holds nothing but its number.
fn processes() -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        // "number (name) state ...": a name may hold anything, so the last parenthesis ends it.
        let Some((name, state)) = stat.rsplit_once(") ") else {
            continue;
        };
        let name = name.split_once('(').map_or("", |(_, name)| name);
        if name.starts_with("unicell") && !state.starts_with('Z') {
            found.push(format!("{} {name}", entry.file_name().display()));
        }
    }
    found
}

/// What is counted before and after.
struct Before {
    descriptors: usize,
    processes: usize,
    kept: u64,
}

impl Before {
    fn count() -> Before {
        Before {
            descriptors: open_descriptors(),
            processes: processes().len(),
            kept: kept_memory(),
        }
    }

    /// Requires that `launches` left nothing. A VM that stays costs about
    /// 600 KiB in the kernel alone; the machine's own swing is less than
    /// `SWING` and not multiplied by the launches.
    #[track_caller]
    fn assert_same(&self, launches: u64) {
        const SWING: u64 = 64 * 1024;
        const KIB_PER_LAUNCH: u64 = 32;
        assert_eq!(
            open_descriptors(),
            self.descriptors,
            "descriptors of this process"
        );
        wait_for_ends();
        let left = processes();
        assert!(left.len() <= self.processes, "processes left: {left:?}");
        let grown = kept_memory().saturating_sub(self.kept);
        assert!(
            grown < SWING + KIB_PER_LAUNCH * launches,
            "{grown} KiB more are kept after {launches} launches"
        );
    }
}

#[test]
fn a_thousand_launches_leave_nothing_behind() {
    let _alone = alone();
    let launches = scale(1000, 30);
    assert_hello(&hello().guest());
    let before = Before::count();
    for _ in 0..launches {
        assert_hello(&hello().guest());
    }
    before.assert_same(launches);
}

#[test]
fn a_hundred_vms_at_once() {
    let _alone = alone();
    let vms = scale(100, 10);
    assert_hello(&hello().guest());
    let before = Before::count();
    // Each says that it runs, then waits for its input to end.
    let script = "echo up; read -r line; echo \"$line\"";
    let waiting = Run::new(&tree("busybox"), "/bin/busybox").args(["sh", "-c", script]);
    let mut children: Vec<Child> = (0..vms)
        .map(|_| {
            let mut command = waiting.command();
            command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for child in &mut children {
        let mut up = [0; 3];
        child.stdout.as_mut().unwrap().read_exact(&mut up).unwrap();
        assert_eq!(&up, b"up\n");
    }
    // All of them run now: no one's input has come.
    for child in children {
        let mut child = child;
        drop(child.stdin.take());
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
    before.assert_same(vms);
}

#[test]
fn a_guest_of_a_gibibyte() {
    let _alone = alone();
    let before = Before::count();
    let script = format!(
        "data = bytearray({size})\n\
         for at in range(0, len(data), 4096): data[at] = at // 4096 % 251\n\
         print(sum(data[::4096]))",
        size = scale(900, 300) << 20
    );
    let python = Run::new(&tree("python"), "/usr/bin/python3.11").args(["-c", &script]);
    python.options(["--memory", "1G"]).same();
    before.assert_same(1);
}

#[test]
fn a_launch_that_fails_leaves_nothing_behind() {
    let _alone = alone();
    let launches = scale(100, 10);
    let failing = Run::new(&tree("hello"), "/bin/absent");
    failing.guest();
    let before = Before::count();
    for _ in 0..launches {
        assert_ne!(failing.guest().code, 0);
    }
    before.assert_same(launches);
}

#[test]
fn a_killed_run_takes_its_vm_with_it() {
    let _alone = alone();
    let before = Before::count();
    for _ in 0..scale(20, 3) {
        let mut command = Run::new(&tree("busybox"), "/bin/busybox")
            .args(["sh", "-c", "echo up; read x"])
            .command();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut up = [0; 3];
        let mut output = child.stdout.take().unwrap();
        output.read_exact(&mut up).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        // The last writer of the pipe has gone when it ends.
        let mut rest = Vec::new();
        output.read_to_end(&mut rest).unwrap();
    }
    before.assert_same(20);
}

#[test]
fn many_processes_and_threads_in_a_guest_leave_nothing_behind() {
    let _alone = alone();
    let stress = Run::new(&tree("programs"), "/static/stress").options(["--memory", "128M"]);
    let launches = scale(4, 1);
    let before = Before::count();
    for _ in 0..launches {
        for (part, count) in [("processes", scale(300, 20)), ("threads", scale(500, 50))] {
            let outcome = stress.clone().args([part, &count.to_string()]).guest();
            assert_eq!(outcome.code, 0, "{outcome}");
        }
    }
    before.assert_same(2 * launches);
}
