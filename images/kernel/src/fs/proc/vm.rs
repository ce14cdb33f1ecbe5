//! What `/proc` tells of the instance's memory.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use super::generated::Subject;
use crate::errno::Result;
use crate::fs::budget;
use crate::memory::{PAGE_SIZE, frames};
use crate::task;
use crate::task::accounts::Used;

/// Frames by use.
struct Frames {
    total: u64,
    used: u64,
    free: u64,
    /// Of files in memory.
    files: u64,
    /// Of programs, and the kernel's own.
    others: u64,
}

fn frames() -> Frames {
    let (total, used) = frames::usage();
    let files = budget::pages().min(used);
    Frames {
        total,
        used,
        free: total - used,
        files,
        others: used - files,
    }
}

/// `/proc/meminfo`: Linux's lines, 0 where there is no such thing here. Files in memory count as
/// cache and shared memory, as those of a tmpfs do.
pub(super) fn meminfo(_: &Subject) -> Result<Vec<u8>> {
    let Frames {
        total,
        used,
        free,
        files,
        others,
    } = frames();
    let lines = [
        ("MemTotal", total),
        ("MemFree", free),
        ("MemAvailable", free),
        ("Buffers", 0),
        ("Cached", files),
        ("SwapCached", 0),
        ("Active", used),
        ("Inactive", 0),
        ("Active(anon)", used),
        ("Inactive(anon)", 0),
        ("Active(file)", 0),
        ("Inactive(file)", 0),
        ("Unevictable", 0),
        ("Mlocked", 0),
        ("SwapTotal", 0),
        ("SwapFree", 0),
        ("Dirty", 0),
        ("Writeback", 0),
        ("AnonPages", others),
        ("Mapped", 0),
        ("Shmem", files),
        ("KReclaimable", 0),
        ("Slab", 0),
        ("SReclaimable", 0),
        ("SUnreclaim", 0),
        ("KernelStack", 0),
        ("PageTables", 0),
        ("NFS_Unstable", 0),
        ("Bounce", 0),
        ("WritebackTmp", 0),
        ("CommitLimit", total),
        ("Committed_AS", used),
        ("VmallocTotal", 0),
        ("VmallocUsed", 0),
        ("VmallocChunk", 0),
        ("Percpu", 0),
        ("AnonHugePages", 0),
        ("ShmemHugePages", 0),
        ("ShmemPmdMapped", 0),
    ];
    let mut text = String::new();
    for (name, pages) in lines {
        let (name, kib) = (format!("{name}:"), pages * PAGE_SIZE / 1024);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<16}{kib:>8} kB");
    }
    text.push_str(
        "HugePages_Total:       0\nHugePages_Free:        0\nHugePages_Rsvd:        0\n\
         HugePages_Surp:        0\nHugepagesize:       2048 kB\nHugetlb:               0 kB\n",
    );
    Ok(text.into_bytes())
}

/// `/proc/vmstat`: of Linux's counts those that mean something, and those that tools insist on.
pub(super) fn vmstat(_: &Subject) -> Result<Vec<u8>> {
    let Frames {
        free,
        files,
        others,
        ..
    } = frames();
    let processes = task::processes();
    let faults = processes
        .iter()
        .map(|process| process.accounts.get(Used::Faults))
        .sum();
    let lines = [
        ("nr_free_pages", free),
        ("nr_inactive_anon", 0),
        ("nr_active_anon", others),
        ("nr_inactive_file", 0),
        ("nr_active_file", 0),
        ("nr_unevictable", 0),
        ("nr_mlock", 0),
        ("nr_anon_pages", others),
        ("nr_mapped", 0),
        ("nr_file_pages", files),
        ("nr_dirty", 0),
        ("nr_writeback", 0),
        ("nr_shmem", files),
        ("pgpgin", 0),
        ("pgpgout", 0),
        ("pswpin", 0),
        ("pswpout", 0),
        ("pgfault", faults),
        ("pgmajfault", 0),
        ("oom_kill", 0),
    ];
    let lines = lines.map(|(name, count)| format!("{name} {count}\n"));
    Ok(lines.concat().into_bytes())
}
