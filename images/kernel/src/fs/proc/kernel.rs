//! What `/proc` tells of the system as a whole.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use super::cpu;
use super::generated::{Child, Item, Subject};
use super::process::item;
use crate::errno::Result;
use crate::fs::budget;
use crate::memory::{PAGE_SIZE, frames};
use crate::random;
use crate::sync::Mutex;
use crate::syscall::system;
use crate::task::process::thread_count;
use crate::task::thread::Run;
use crate::task::{self};
use crate::time::{self, SECOND};

/// Ticks of the clock in which times are told (CLK_TCK): 100 in a second.
const TICK: u64 = 10_000_000;

/// What lies in `/proc` beside the processes.
pub(super) fn items() -> impl Iterator<Item = Item> {
    const ENTRIES: &[(&str, Child)] = &[
        ("cmdline", Child::Text(|_| Ok(b"\n".to_vec()))),
        ("cpuinfo", Child::Text(cpu::info)),
        ("filesystems", Child::Text(filesystems)),
        ("loadavg", Child::Text(load)),
        ("meminfo", Child::Text(memory)),
        ("stat", Child::Text(stat)),
        ("swaps", Child::Text(swaps)),
        ("sys", Child::Directory(settings)),
        ("uptime", Child::Text(uptime)),
        ("version", Child::Text(version)),
    ];
    ENTRIES.iter().map(|(name, child)| item(name, *child))
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

fn memory(_: &Subject) -> Result<Vec<u8>> {
    let (total, used) = frames::usage();
    let (free, files) = (total - used, budget::pages());
    let mut text = String::new();
    let mut tell = |name: &str, pages: u64| {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:<16}{:>8} kB",
            format!("{name}:"),
            pages * PAGE_SIZE / 1024
        );
    };
    tell("MemTotal", total);
    tell("MemFree", free);
    tell("MemAvailable", free);
    tell("Buffers", 0);
    tell("Cached", files);
    tell("SwapCached", 0);
    tell("Active", used);
    tell("Inactive", 0);
    tell("SwapTotal", 0);
    tell("SwapFree", 0);
    tell("Dirty", 0);
    tell("Writeback", 0);
    tell("AnonPages", used.saturating_sub(files));
    tell("Mapped", 0);
    tell("Shmem", files);
    tell("Slab", 0);
    tell("SReclaimable", 0);
    tell("CommitLimit", total);
    tell("Committed_AS", used);
    tell("AnonHugePages", 0);
    text.push_str(
        "HugePages_Total:       0\nHugePages_Free:        0\nHugepagesize:       2048 kB\n",
    );
    Ok(text.into_bytes())
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
        "cpu  {times}\ncpu0 {times}\nintr 0\nctxt 0\nbtime {booted}\nprocesses {made}\n\
         procs_running {}\nprocs_blocked 0\n",
        running()
    )
    .into_bytes())
}

/// A directory of entries that are always there.
macro_rules! directory {
    ($($name:literal: $child:expr),* $(,)?) => {
        Child::Directory(|_| Ok(alloc::vec![$(item($name, $child)),*]))
    };
}

/// A text that is always the same.
macro_rules! constant {
    ($text:literal) => {
        Child::Text(|_| Ok($text.to_vec()))
    };
}

/// `/proc/sys`.
fn settings(_: &Subject) -> Result<Vec<Item>> {
    Ok(alloc::vec![
        item(
            "fs",
            directory! {
                "file-max": constant!(b"9223372036854775807\n"),
                "file-nr": constant!(b"0\t0\t9223372036854775807\n"),
                "nr_open": constant!(b"1048576\n"),
                "pipe-max-size": constant!(b"1048576\n"),
            }
        ),
        item("kernel", Child::Directory(kernel_settings)),
        item(
            "net",
            directory! {
                "core": directory! {
                    "somaxconn": constant!(b"4096\n"),
                    "rmem_max": constant!(b"212992\n"),
                    "wmem_max": constant!(b"212992\n"),
                },
                "ipv4": directory! {
                    "ip_local_port_range": constant!(b"32768\t60999\n"),
                },
            }
        ),
        item(
            "vm",
            directory! {
                "max_map_count": constant!(b"65530\n"),
                "mmap_min_addr": constant!(b"65536\n"),
                "overcommit_memory": constant!(b"0\n"),
                "swappiness": constant!(b"60\n"),
            }
        ),
    ])
}

fn kernel_settings(_: &Subject) -> Result<Vec<Item>> {
    Ok(alloc::vec![
        item("cap_last_cap", constant!(b"40\n")),
        item("hostname", Child::Text(host_name)),
        item("ngroups_max", constant!(b"65536\n")),
        item(
            "osrelease",
            Child::Text(|_| Ok(format!("{}\n", system::RELEASE).into_bytes()))
        ),
        item("ostype", constant!(b"Linux\n")),
        item("overflowgid", constant!(b"65534\n")),
        item("overflowuid", constant!(b"65534\n")),
        item("pid_max", constant!(b"4194304\n")),
        item(
            "random",
            directory! {
                "boot_id": Child::Text(boot_id),
                "entropy_avail": constant!(b"256\n"),
                "poolsize": constant!(b"256\n"),
                "uuid": Child::Text(|_| Ok(uuid())),
            }
        ),
        item("threads-max", Child::Text(threads_max)),
        item(
            "version",
            Child::Text(|_| Ok(format!("{}\n", system::VERSION).into_bytes()))
        ),
    ])
}

fn threads_max(_: &Subject) -> Result<Vec<u8>> {
    Ok(format!("{}\n", task::limits::THREADS).into_bytes())
}

fn host_name(_: &Subject) -> Result<Vec<u8>> {
    let name = system::host_name();
    let len = name
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(name.len());
    Ok([&name[..len], b"\n"].concat())
}

/// A random UUID (version 4) and a line feed.
fn uuid() -> Vec<u8> {
    let mut bytes = [0; 16];
    random::fill(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::new();
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\n');
    text.into_bytes()
}

/// The same for as long as the instance runs.
fn boot_id(_: &Subject) -> Result<Vec<u8>> {
    static BOOT_ID: Mutex<Vec<u8>> = Mutex::new(Vec::new());
    let mut id = BOOT_ID.lock();
    if id.is_empty() {
        *id = uuid();
    }
    Ok(id.clone())
}
