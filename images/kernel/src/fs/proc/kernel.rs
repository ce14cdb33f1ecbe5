//! What `/proc` tells of the system as a whole.

use alloc::format;
use alloc::vec::Vec;

use super::generated::{Child, Item, Subject};
use super::process::item;
use super::{cpu, settings, vm};
use crate::errno::Result;
use crate::reproducible;
use crate::syscall::system;
use crate::task::numbers::thread_count;
use crate::task::thread::Run;
use crate::task::{self, scheduler};
use crate::time::{self, SECOND};

/// Ticks of the clock in which times are told (CLK_TCK): 100 in a second.
const TICK: u64 = 10_000_000;

/// What lies in `/proc` beside the processes.
pub(super) fn items() -> impl Iterator<Item = Item> {
    const ENTRIES: &[(&str, Child)] = &[
        ("cgroups", Child::Text(cgroups)),
        ("cmdline", Child::Text(|_| Ok(command_line()))),
        ("cpuinfo", Child::Text(cpu::info)),
        ("devices", Child::Text(devices)),
        ("diskstats", Child::Text(nothing)),
        ("filesystems", Child::Text(filesystems)),
        ("interrupts", Child::Text(interrupts)),
        ("loadavg", Child::Text(load)),
        ("meminfo", Child::Text(vm::meminfo)),
        ("modules", Child::Text(nothing)),
        ("partitions", Child::Text(partitions)),
        ("stat", Child::Text(stat)),
        ("swaps", Child::Text(swaps)),
        ("sys", Child::Directory(settings::root)),
        ("uptime", Child::Text(uptime)),
        ("version", Child::Text(version)),
        ("vmstat", Child::Text(vm::vmstat)),
    ];
    ENTRIES.iter().map(|(name, child)| item(name, *child))
}

/// What is empty where there is nothing of the kind.
fn nothing(_: &Subject) -> Result<Vec<u8>> {
    Ok(Vec::new())
}

/// The kernel's parameters: the level of reproducible execution.
fn command_line() -> Vec<u8> {
    format!("unicell.level=D{}\n", reproducible::level()).into_bytes()
}

fn cgroups(_: &Subject) -> Result<Vec<u8>> {
    Ok(b"#subsys_name\thierarchy\tnum_cgroups\tenabled\n".to_vec())
}

/// The devices of `/dev`.
fn devices(_: &Subject) -> Result<Vec<u8>> {
    Ok(
        b"Character devices:\n  1 mem\n  5 /dev/tty\n  5 /dev/ptmx\n136 pts\n\nBlock devices:\n"
            .to_vec(),
    )
}

/// The one kind that there is: the host wants the program to be left.
fn interrupts(_: &Subject) -> Result<Vec<u8>> {
    let count = scheduler::interrupts();
    Ok(format!("           CPU0\nLOC: {count:>10}   Local timer interrupts\n").into_bytes())
}

fn partitions(_: &Subject) -> Result<Vec<u8>> {
    Ok(b"major minor  #blocks  name\n\n".to_vec())
}

fn filesystems(_: &Subject) -> Result<Vec<u8>> {
    Ok(b"nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\nnodev\tpipefs\nnodev\tsockfs\nnodev\toverlay\n\terofs\n"
        .to_vec())
}

fn swaps(_: &Subject) -> Result<Vec<u8>> {
    Ok(b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n".to_vec())
}

/// Threads that run or could.
fn running() -> usize {
    let of = |process: &alloc::sync::Arc<task::Process>| {
        let threads = process.threads.lock();
        threads
            .iter()
            .filter(|thread| matches!(thread.run(), Run::Ready | Run::Running))
            .count()
    };
    task::processes().iter().map(of).sum()
}

fn load(_: &Subject) -> Result<Vec<u8>> {
    let (threads, last) = (thread_count(), task::thread_id());
    Ok(format!("0.00 0.00 0.00 {}/{threads} {last}\n", running()).into_bytes())
}

fn uptime(_: &Subject) -> Result<Vec<u8>> {
    let hundredths = time::monotonic() / TICK;
    let (whole, part) = (hundredths / 100, hundredths % 100);
    Ok(format!("{whole}.{part:02} 0.00\n").into_bytes())
}

fn version(_: &Subject) -> Result<Vec<u8>> {
    Ok(format!(
        "Linux version {} (unicell) {}\n",
        system::RELEASE,
        system::VERSION
    )
    .into_bytes())
}

fn stat(_: &Subject) -> Result<Vec<u8>> {
    let processes = task::processes();
    let used: u64 = processes.iter().map(|process| process.time()).sum();
    let now = time::monotonic();
    let (busy, idle) = (used / TICK, now.saturating_sub(used) / TICK);
    let booted = time::realtime().saturating_sub(now) / SECOND;
    let made = processes
        .iter()
        .map(|process| process.id())
        .max()
        .unwrap_or(0);
    let times = format!("{busy} 0 0 {idle} 0 0 0 0 0 0");
    Ok(format!(
        "cpu  {times}\ncpu0 {times}\nintr {}\nctxt {}\nbtime {booted}\nprocesses {made}\n\
         procs_running {}\nprocs_blocked 0\n",
        scheduler::interrupts(),
        scheduler::switches(),
        running()
    )
    .into_bytes())
}
