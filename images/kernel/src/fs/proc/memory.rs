//! What `/proc` tells of a process' memory.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use super::generated::Subject;
use crate::errno::Result;
use crate::fs::stat::Device;
use crate::memory::PAGE_SIZE;
use crate::mm::{Area, Backing};

/// Where the name of a mapping begins in its line.
const NAME_AT: usize = 73;

/// The line of a mapping.
fn line(area: &Area) -> Vec<u8> {
    let flag = |on: bool, letter: char| if on { letter } else { '-' };
    let protection = area.protection;
    let (offset, (device, ino), name) = match &area.backing {
        Backing::Anonymous => (0, (0, 0), area.label.as_bytes().to_vec()),
        Backing::Object(pages, offset) => (*offset, pages.identity(), pages.name()),
    };
    let device = Device::decode(device);
    let mut line = format!(
        "{:x}-{:x} {}{}{}{} {offset:08x} {:02x}:{:02x} {ino}",
        area.start,
        area.end,
        flag(protection.read, 'r'),
        flag(protection.write, 'w'),
        flag(protection.execute, 'x'),
        if area.shared { 's' } else { 'p' },
        device.major,
        device.minor,
    )
    .into_bytes();
    line.push(b' ');
    if !name.is_empty() {
        line.resize(line.len().max(NAME_AT), b' ');
        // As Linux writes a line feed in a name.
        for byte in name {
            match byte {
                b'\n' => line.extend_from_slice(b"\\012"),
                byte => line.push(byte),
            }
        }
    }
    line.push(b'\n');
    line
}

/// `/proc/PID/maps`.
pub(super) fn maps(subject: &Subject) -> Result<Vec<u8>> {
    let areas = subject.private()?.space().areas();
    Ok(areas.iter().flat_map(line).collect())
}

/// What is known of the pages of a range, in KiB: resident, and of those what is the range's own.
fn resident(subject: &Subject, area: &Area) -> Result<u64> {
    let space = subject.process()?.space();
    let pages = space
        .residency(area.start, area.end - area.start)
        .unwrap_or_default();
    let present = pages.iter().filter(|page| **page != 0).count() as u64;
    Ok(present * PAGE_SIZE / 1024)
}

/// The counts that follow a mapping's line.
fn counts(size: Option<u64>, resident: u64, anonymous: u64) -> String {
    let mut text = String::new();
    let mut tell = |name: &str, value: u64| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:<16}{value:>8} kB", format!("{name}:"));
    };
    if let Some(size) = size {
        tell("Size", size);
        tell("KernelPageSize", 4);
        tell("MMUPageSize", 4);
    }
    tell("Rss", resident);
    tell("Pss", resident);
    tell("Pss_Dirty", anonymous);
    tell("Shared_Clean", 0);
    tell("Shared_Dirty", 0);
    tell("Private_Clean", resident - anonymous);
    tell("Private_Dirty", anonymous);
    tell("Referenced", resident);
    tell("Anonymous", anonymous);
    tell("LazyFree", 0);
    tell("AnonHugePages", 0);
    tell("ShmemPmdMapped", 0);
    tell("FilePmdMapped", 0);
    tell("Shared_Hugetlb", 0);
    tell("Private_Hugetlb", 0);
    tell("Swap", 0);
    tell("SwapPss", 0);
    tell("Locked", 0);
    text
}

fn anonymous_part(area: &Area, resident: u64) -> u64 {
    if matches!(area.backing, Backing::Anonymous) {
        resident
    } else {
        0
    }
}

/// `/proc/PID/smaps`.
pub(super) fn smaps(subject: &Subject) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    for area in subject.private()?.space().areas() {
        let resident = resident(subject, &area)?;
        let anonymous = anonymous_part(&area, resident);
        text.extend(line(&area));
        let size = (area.end - area.start) / 1024;
        text.extend(counts(Some(size), resident, anonymous).into_bytes());
        text.extend_from_slice(b"THPeligible:           0\nVmFlags:");
        let flags = [
            (area.protection.read, " rd"),
            (area.protection.write, " wr"),
            (area.protection.execute, " ex"),
            (area.shared, " sh"),
        ];
        for (_, flag) in flags.iter().filter(|(on, _)| *on) {
            text.extend_from_slice(flag.as_bytes());
        }
        text.extend_from_slice(b" mr mw me \n");
    }
    Ok(text)
}

/// `/proc/PID/smaps_rollup`.
pub(super) fn rollup(subject: &Subject) -> Result<Vec<u8>> {
    let areas = subject.private()?.space().areas();
    let (mut all, mut anonymous) = (0, 0);
    for area in &areas {
        let resident = resident(subject, area)?;
        all += resident;
        anonymous += anonymous_part(area, resident);
    }
    let start = areas.first().map_or(0, |area| area.start);
    let end = areas.last().map_or(0, |area| area.end);
    let head = format!(
        "{start:x}-{end:x} ---p 00000000 00:00 0{:>31}\n",
        "[rollup]"
    );
    Ok((head + &counts(None, all, anonymous)).into_bytes())
}

/// Pages of a process by use: all, resident, of those of files, code, data and stack.
pub(super) struct Usage {
    pub(super) size: u64,
    pub(super) resident: u64,
    pub(super) files: u64,
    pub(super) code: u64,
    pub(super) data: u64,
    pub(super) stack: u64,
}

/// How much of what a process has.
pub(super) fn usage(subject: &Subject) -> Result<Usage> {
    let space = subject.process()?.space();
    let (size, resident) = space.usage();
    let layout = space.layout();
    let mut usage = Usage {
        size: size / PAGE_SIZE,
        resident: resident / PAGE_SIZE,
        files: 0,
        code: layout
            .code
            .1
            .saturating_sub(layout.code.0)
            .div_ceil(PAGE_SIZE),
        data: 0,
        stack: 0,
    };
    for area in space.areas() {
        let pages = (area.end - area.start) / PAGE_SIZE;
        let is_object = matches!(area.backing, Backing::Object(..));
        if is_object {
            let resident = space
                .residency(area.start, area.end - area.start)
                .unwrap_or_default();
            usage.files += resident.iter().filter(|page| **page != 0).count() as u64;
        }
        if area.label == "[stack]" {
            usage.stack += pages;
        } else if area.protection.write && !area.shared {
            usage.data += pages;
        }
    }
    usage.files = usage.files.min(usage.resident);
    Ok(usage)
}

/// `/proc/PID/statm`.
pub(super) fn statm(subject: &Subject) -> Result<Vec<u8>> {
    let usage = usage(subject)?;
    let (size, resident, files) = (usage.size, usage.resident, usage.files);
    let (code, data) = (usage.code, usage.data + usage.stack);
    Ok(format!("{size} {resident} {files} {code} 0 {data} 0\n").into_bytes())
}
