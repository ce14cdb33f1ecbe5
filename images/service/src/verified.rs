//! Records that a package was verified, so that not every start pays
//! for the size of the box.
//!
//! A record says that the file with this device, inode number, size,
//! modification and change time, opened as a package with this header, was
//! whole and agreed with itself. It is trusted because
//!
//! - whoever changes a file's bytes, by writing, truncating or renaming over
//!   it, changes at least one of these: the kernel sets the change time, and
//!   no system call sets it back;
//! - only a user who could run anything in our name anyway can write a record:
//!   the directory must belong to us, with mode 0700, or it is not used.
//!
//! A change time has a granularity, a tick of the host's clock. A file that
//! changed less than [`SETTLED`] before it was read could change again without
//! a trace, so no record is kept of it then; nor of one with a change time
//! without nanoseconds, since its filesystem may count in seconds.
//!
//! Not covered: someone who writes to the disk beneath the filesystem, a host
//! clock that is set back, and a writable shared mapping of the file that is
//! older than the verification and is stored to later. The first two need
//! root; the third only the package's owner can do.
//!
//! A record is found by device and inode number: one stat of the directory
//! and one small read, no listing. Records may be deleted at any time.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use rustix::fs::{self, AtFlags, Mode, OFlags, Stat};

use crate::package::{OpenError, Package};

/// How old a change must be before a record of the file is kept.
pub const SETTLED: Duration = Duration::from_millis(100);

const LEN: usize = 8 + 7 * 8 + 32;

/// Makes sure of all of the package, by a record or by reading it.
pub(crate) fn ensure(package: &Package, records: Option<&Path>) -> Result<(), OpenError> {
    let directory = records.and_then(open_directory);
    let before = fs::fstat(package.file()).ok();
    let (Some(directory), Some(before)) = (directory, before) else {
        return package.verify();
    };
    let expected = record(&before, package.seal());
    let name = name(&before);
    if read(&directory, &name).is_some_and(|found| found == expected) {
        return Ok(());
    }
    let settled = is_settled(&before, SystemTime::now());
    package.verify()?;
    let unchanged =
        fs::fstat(package.file()).is_ok_and(|after| record(&after, package.seal()) == expected);
    if settled && unchanged {
        // Without a record the next start hashes again, which is no fault.
        let _ = write(&directory, &name, &expected);
    }
    Ok(())
}

/// The directory, if it is ours alone.
fn open_directory(path: &Path) -> Option<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    let directory = fs::open(path, flags, Mode::empty()).ok()?;
    let found = fs::fstat(&directory).ok()?;
    let ours = found.st_uid == rustix::process::geteuid().as_raw();
    (ours && found.st_mode & 0o7777 == 0o700).then_some(directory)
}

/// What a record of this file holds: compared as a whole.
fn record(file: &Stat, seal: &[u8; 32]) -> [u8; LEN] {
    let mut record = [0; LEN];
    record[..8].copy_from_slice(b"verified");
    let numbers = [
        file.st_dev.cast_signed(),
        file.st_ino.cast_signed(),
        file.st_size,
        file.st_mtime,
        file.st_mtime_nsec.cast_signed(),
        file.st_ctime,
        file.st_ctime_nsec.cast_signed(),
    ];
    for (field, number) in record[8..].chunks_exact_mut(8).zip(numbers) {
        field.copy_from_slice(&number.to_le_bytes());
    }
    record[LEN - 32..].copy_from_slice(seal);
    record
}

fn name(file: &Stat) -> String {
    format!("{:x}-{:x}", file.st_dev, file.st_ino)
}

fn is_settled(file: &Stat, now: SystemTime) -> bool {
    let nanos = file.st_ctime_nsec;
    let changed = u64::try_from(file.st_ctime).ok().and_then(|seconds| {
        SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanos as u32))
    });
    let age = changed.and_then(|changed| now.duration_since(changed).ok());
    nanos != 0 && age.is_some_and(|age| age > SETTLED)
}

fn read(directory: &OwnedFd, name: &str) -> Option<[u8; LEN]> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::RDONLY;
    let file = fs::openat(directory, name, flags, Mode::empty()).ok()?;
    let mut bytes = [0; LEN];
    File::from(file).read_exact(&mut bytes).ok()?;
    Some(bytes)
}

/// Writes a record so that a reader sees all of it or none.
fn write(directory: &OwnedFd, name: &str, record: &[u8; LEN]) -> std::io::Result<()> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let writer = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let temporary = format!("{name}.{}.{}", writer.0, writer.1);
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::WRONLY;
    let file = fs::openat(directory, &temporary, flags, Mode::RUSR | Mode::WUSR)?;
    let done = File::from(file)
        .write_all(record)
        .and_then(|()| Ok(fs::renameat(directory, &temporary, directory, name)?));
    if done.is_err() {
        let _ = fs::unlinkat(directory, &temporary, AtFlags::empty());
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_that_can_be_told_apart_are_settled() {
        let mut stat = fs::stat("/proc/self/exe").unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::new(1000, 500_000_000);
        let mut settled = |seconds, nanos| {
            (stat.st_ctime, stat.st_ctime_nsec) = (seconds, nanos);
            is_settled(&stat, now)
        };
        assert!(settled(1000, 399_999_999));
        assert!(!settled(1000, 400_000_000));
        assert!(!settled(1001, 1), "in the future");
        assert!(!settled(900, 0), "counted in seconds");
        assert!(!settled(-1, 1));
    }
}
