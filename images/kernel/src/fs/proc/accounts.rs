//! What `/proc` tells of what a process, or a thread, has used.

use alloc::format;
use alloc::vec::Vec;

use super::generated::Subject;
use super::status;
use crate::errno::Result;
use crate::task::Process;
use crate::task::accounts::Used;

/// A count of the thread that the entry is about, or of a process that has none left.
pub(super) fn of(process: &Process, subject: &Subject, what: Used) -> u64 {
    match status::thread(process, subject) {
        Some(thread) => thread.accounts().get(what),
        None => process.accounts.get(what),
    }
}

/// `/proc/PID/io`. Nothing ever goes to a disk.
pub(super) fn io(subject: &Subject) -> Result<Vec<u8>> {
    let process = subject.private()?;
    let used = |what| {
        if subject.number == process.id() {
            process.accounts.get(what)
        } else {
            of(&process, subject, what)
        }
    };
    let (read, written) = (used(Used::ReadBytes), used(Used::WrittenBytes));
    let (reads, writes) = (used(Used::Reads), used(Used::Writes));
    Ok(format!(
        "rchar: {read}\nwchar: {written}\nsyscr: {reads}\nsyscw: {writes}\n\
         read_bytes: 0\nwrite_bytes: 0\ncancelled_write_bytes: 0\n"
    )
    .into_bytes())
}

/// `/proc/PID/schedstat`: time on the processor, time spent ready, turns.
pub(super) fn schedstat(subject: &Subject) -> Result<Vec<u8>> {
    let process = subject.process()?;
    let time = status::thread(&process, subject).map_or(0, |thread| thread.time());
    let turns = of(&process, subject, Used::Waits) + of(&process, subject, Used::Preemptions);
    Ok(format!("{time} 0 {turns}\n").into_bytes())
}
