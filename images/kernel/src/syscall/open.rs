//! Opening files.

use linux_raw_sys::general as linux;

use super::lookup::{self, HERE, install};
use super::{Address, Answer, Fd, Path};
use crate::errno::{Errno, Result};
use crate::fs::{self, How, memfd};
use crate::memory::user;
use crate::task;

/// Every flag that open(2) knows; it ignores others.
const KNOWN: u32 = linux::O_ACCMODE
    | linux::O_CREAT
    | linux::O_EXCL
    | linux::O_NOCTTY
    | linux::O_TRUNC
    | linux::O_APPEND
    | linux::O_NONBLOCK
    | linux::O_SYNC
    | linux::FASYNC
    | linux::O_DIRECT
    | linux::O_LARGEFILE
    | linux::O_DIRECTORY
    | linux::O_NOFOLLOW
    | linux::O_NOATIME
    | linux::O_CLOEXEC
    | linux::O_PATH
    | linux::O_TMPFILE;
/// What O_PATH does not ignore.
const WITH_PATH: u32 = linux::O_PATH | linux::O_DIRECTORY | linux::O_NOFOLLOW | linux::O_CLOEXEC;
/// The bit of O_TMPFILE that is not O_DIRECTORY.
const TMPFILE: u32 = linux::O_TMPFILE & !linux::O_DIRECTORY;

fn open_at(directory: Fd, path: Path, how: How) -> Answer {
    let path = lookup::path(path)?;
    let base = if how.resolve & linux::RESOLVE_IN_ROOT != 0 {
        lookup::directory(directory)?
    } else {
        lookup::base(directory, &path)?
    };
    let file = fs::open(&task::process().context(), base, &path, how)?;
    install(file, how.flags & linux::O_CLOEXEC != 0)
}

/// openat(2).
pub fn openat(directory: Fd, path: Path, flags: u32, mode: u32) -> Answer {
    let mut flags = flags & KNOWN;
    if flags & linux::O_PATH != 0 {
        flags &= WITH_PATH;
    }
    open_at(
        directory,
        path,
        How {
            flags: flags | linux::O_LARGEFILE,
            mode,
            resolve: 0,
        },
    )
}

/// open(2).
pub fn open(path: Path, flags: u32, mode: u32) -> Answer {
    openat(HERE, path, flags, mode)
}

/// creat(2).
pub fn creat(path: Path, mode: u32) -> Answer {
    openat(
        HERE,
        path,
        linux::O_CREAT | linux::O_WRONLY | linux::O_TRUNC,
        mode,
    )
}

/// openat2(2), which is strict about what it does not know.
pub fn openat2(directory: Fd, path: Path, how: Address, size: usize) -> Answer {
    let how = read_how(how, size)?;
    let resolve = linux::RESOLVE_NO_XDEV
        | linux::RESOLVE_NO_MAGICLINKS
        | linux::RESOLVE_NO_SYMLINKS
        | linux::RESOLVE_BENEATH
        | linux::RESOLVE_IN_ROOT
        | linux::RESOLVE_CACHED;
    let both = u64::from(linux::RESOLVE_BENEATH | linux::RESOLVE_IN_ROOT);
    let makes = how.flags & u64::from(linux::O_CREAT | TMPFILE) != 0;
    let flags = if how.flags & u64::from(linux::O_PATH) != 0 {
        WITH_PATH
    } else {
        KNOWN
    };
    let wrong = how.flags & !u64::from(flags) != 0
        || how.resolve & !u64::from(resolve) != 0
        || how.resolve & both == both
        || how.mode & !0o7777 != 0
        || how.mode != 0 && !makes;
    if wrong {
        return Err(Errno::EINVAL);
    }
    let (flags, mode) = (how.flags as u32 | linux::O_LARGEFILE, how.mode as u32);
    open_at(
        directory,
        path,
        How {
            flags,
            mode,
            resolve: how.resolve as u32,
        },
    )
}

fn read_how(address: Address, size: usize) -> Result<linux::open_how> {
    const SIZE: usize = size_of::<linux::open_how>();
    if size < SIZE {
        return Err(Errno::EINVAL);
    }
    if size > 4096 {
        return Err(Errno::E2BIG);
    }
    // What a later kernel would understand must not be asked for.
    let rest: alloc::vec::Vec<u8> =
        user::read_many(address.0.wrapping_add(SIZE as u64), size - SIZE)?;
    if rest.iter().any(|byte| *byte != 0) {
        return Err(Errno::E2BIG);
    }
    user::read(address.0)
}

/// memfd_create(2).
pub fn memfd_create(name: Path, flags: u32) -> Answer {
    /// The name, its prefix and its NUL fit into a name.
    const NAME_MAX: usize = 255 - 6;
    let known =
        linux::MFD_CLOEXEC | linux::MFD_ALLOW_SEALING | linux::MFD_NOEXEC_SEAL | linux::MFD_EXEC;
    let (no_exec, exec) = (
        flags & linux::MFD_NOEXEC_SEAL != 0,
        flags & linux::MFD_EXEC != 0,
    );
    if flags & !known != 0 || no_exec && exec {
        return Err(Errno::EINVAL);
    }
    let name = user::string(name.0, NAME_MAX).map_err(|errno| match errno {
        Errno::ENAMETOOLONG => Errno::EINVAL,
        errno => errno,
    })?;
    let sealable = flags & linux::MFD_ALLOW_SEALING != 0 || no_exec;
    let file = memfd::create(&name, sealable, !no_exec)?;
    install(file, flags & linux::MFD_CLOEXEC != 0)
}
