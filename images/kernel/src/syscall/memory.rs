//! mmap and its relatives.

use linux_raw_sys::general as linux;

use super::{Address, Answer, Fd};
use crate::errno::{Errno, Result};
use crate::memory::{PAGE_SIZE, page_ceil, page_floor, user};
use crate::mm::{Place, Protection, Traits};
use crate::task::{self, Process};

/// Flags that MAP_SHARED_VALIDATE knows of ordinary files (LEGACY_MAP_MASK in `linux/mman.h`).
const MAP_KNOWN: u32 = linux::MAP_FIXED
    | linux::MAP_ANONYMOUS
    | linux::MAP_DENYWRITE
    | linux::MAP_EXECUTABLE
    | linux::MAP_GROWSDOWN
    | linux::MAP_LOCKED
    | linux::MAP_NORESERVE
    | linux::MAP_POPULATE
    | linux::MAP_NONBLOCK
    | linux::MAP_STACK
    | linux::MAP_HUGETLB
    | linux::MAP_HUGE_2MB
    | linux::MAP_HUGE_1GB
    | linux::MAP_32BIT
    | linux::MAP_FIXED_NOREPLACE;

/// mmap(2).
pub fn mmap(
    address: Address,
    len: usize,
    protection: u32,
    flags: u32,
    fd: Fd,
    offset: u64,
) -> Answer {
    if len == 0 || !offset.is_multiple_of(PAGE_SIZE) {
        return Err(Errno::EINVAL);
    }
    let shared = match flags & linux::MAP_TYPE {
        linux::MAP_SHARED | linux::MAP_SHARED_VALIDATE => true,
        linux::MAP_PRIVATE => false,
        _ => return Err(Errno::EINVAL),
    };
    let place = if flags & linux::MAP_FIXED_NOREPLACE != 0 {
        Place::FixedNoReplace(address.0)
    } else if flags & linux::MAP_FIXED != 0 {
        Place::Fixed(address.0)
    } else {
        Place::Hint(address.0)
    };
    let protection = Protection::from_bits(protection);
    let process = task::process();
    let object = if flags & linux::MAP_ANONYMOUS != 0 {
        None
    } else {
        let file = process.files().get(fd.0)?;
        if offset.saturating_add(len as u64) > i64::MAX as u64 {
            return Err(Errno::EOVERFLOW);
        }
        let known = MAP_KNOWN | linux::MAP_TYPE;
        if flags & linux::MAP_TYPE == linux::MAP_SHARED_VALIDATE && flags & !known != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        Some((file.map(shared, protection.write)?, offset))
    };
    // What is reserved for stacks or sparsely used gets small pages.
    let sparse = linux::MAP_STACK | linux::MAP_NORESERVE | linux::MAP_GROWSDOWN;
    let traits = Traits {
        huge: flags & sparse == 0 && protection.write,
        locked: flags & linux::MAP_LOCKED != 0,
        grows: flags & linux::MAP_GROWSDOWN != 0 && object.is_none() && !shared,
        ..Traits::default()
    };
    let reserved = flags & linux::MAP_NORESERVE == 0 && protection.write && object.is_none();
    let space = process.space();
    if reserved && space.is_too_much(len as u64) {
        return Err(Errno::ENOMEM);
    }
    let data = !shared && protection.write && flags & linux::MAP_GROWSDOWN == 0;
    require_room(&process, len as u64, data)?;
    if traits.locked {
        let limit = may_lock()?;
        if space.locked().saturating_add(len as u64) > limit {
            return Err(Errno::EAGAIN);
        }
    }
    let start = space.map(place, len as u64, protection, shared, object, traits)?;
    if flags & (linux::MAP_POPULATE | linux::MAP_LOCKED) != 0 {
        let access = if protection.write {
            user::Access::Write
        } else {
            user::Access::Read
        };
        // As in Linux, what cannot be brought in now is left to a fault.
        let _ = user::make_present(start, len, access);
    }
    Ok(start)
}

/// Checks that the limits on memory let a process have more of it.
pub(super) fn require_room(process: &Process, more: u64, data: bool) -> Result<()> {
    let (all_limit, data_limit) = {
        let limits = process.limits.lock();
        (
            limits.of(linux::RLIMIT_AS).0,
            limits.of(linux::RLIMIT_DATA).0,
        )
    };
    if all_limit == u64::MAX && data_limit == u64::MAX {
        return Ok(());
    }
    let (all, of_data) = process.space().sizes();
    let fits = |now: u64, limit: u64| now.checked_add(more).is_some_and(|sum| sum <= limit);
    if fits(all, all_limit) && (!data || fits(of_data, data_limit)) {
        Ok(())
    } else {
        Err(Errno::ENOMEM)
    }
}

/// munmap(2).
pub fn munmap(address: Address, len: usize) -> Answer {
    task::process().space().unmap(address.0, len as u64)?;
    Ok(0)
}

/// mprotect(2).
pub fn mprotect(address: Address, len: usize, protection: u32) -> Answer {
    let down = linux::PROT_GROWSDOWN;
    let known = linux::PROT_READ | linux::PROT_WRITE | linux::PROT_EXEC | linux::PROT_SEM;
    // Nothing grows upwards here.
    if !address.0.is_multiple_of(PAGE_SIZE) || protection & !(known | down) != 0 {
        return Err(Errno::EINVAL);
    }
    if len > 0 {
        let from_start = protection & down != 0;
        let protection = Protection::from_bits(protection);
        task::process()
            .space()
            .protect(address.0, len as u64, protection, from_start)?;
    }
    Ok(0)
}

/// mremap(2).
pub fn mremap(old: Address, old_len: usize, new_len: usize, flags: u32, new: Address) -> Answer {
    let known = linux::MREMAP_MAYMOVE | linux::MREMAP_FIXED | linux::MREMAP_DONTUNMAP;
    let may_move = flags & linux::MREMAP_MAYMOVE != 0;
    let keep = flags & linux::MREMAP_DONTUNMAP != 0;
    let fixed = (flags & linux::MREMAP_FIXED != 0).then_some(new.0);
    if flags & !known != 0 || (fixed.is_some() || keep) && !may_move || keep && old_len != new_len {
        return Err(Errno::EINVAL);
    }
    let (old_len, new_len) = (old_len as u64, new_len as u64);
    let process = task::process();
    if let Some(more) = new_len.checked_sub(old_len) {
        require_room(&process, more, process.space().is_data(old.0))?;
    }
    process
        .space()
        .remap(old.0, old_len, new_len, may_move, keep, fixed)
}

/// brk(2), which never fails: it tells where the heap ends.
pub fn brk(address: Address) -> Answer {
    let process = task::process();
    let space = process.space();
    let end = space.set_brk(0);
    if let Some(more) = address.0.checked_sub(end)
        && require_room(&process, more, true).is_err()
    {
        return Ok(end);
    }
    Ok(space.set_brk(address.0))
}

/// The end of a range of whole pages, which may be more than there are.
fn end_of_pages(start: u64, len: usize) -> Result<u64> {
    let end = start.checked_add(len as u64).and_then(page_ceil);
    end.ok_or(Errno::EINVAL)
}

/// madvise(2).
pub fn madvise(address: Address, len: usize, advice: u32) -> Answer {
    if !address.0.is_multiple_of(PAGE_SIZE) {
        return Err(Errno::EINVAL);
    }
    let end = end_of_pages(address.0, len)?;
    let access = match advice {
        linux::MADV_POPULATE_READ => user::Access::Read,
        linux::MADV_POPULATE_WRITE => user::Access::Write,
        _ => {
            task::process().space().advise(address.0, end, advice)?;
            return Ok(0);
        }
    };
    user::make_present(address.0, len, access)?;
    Ok(0)
}

/// msync(2): memory is all there is, so that everything is in step at once.
pub fn msync(address: Address, len: usize, flags: u32) -> Answer {
    let known = linux::MS_ASYNC | linux::MS_INVALIDATE | linux::MS_SYNC;
    let both = linux::MS_ASYNC | linux::MS_SYNC;
    if flags & !known != 0 || flags & both == both {
        return Err(Errno::EINVAL);
    }
    let space = task::process().space();
    space.check_mapped(address.0, len as u64)?;
    let end = address.0.saturating_add(len as u64);
    if flags & linux::MS_INVALIDATE != 0 && space.has_locked(address.0, end) {
        return Err(Errno::EBUSY);
    }
    Ok(0)
}

/// mincore(2).
pub fn mincore(address: Address, len: usize, into: Address) -> Answer {
    let residency = task::process().space().residency(address.0, len as u64)?;
    user::copy_out(into.0, &residency)?;
    Ok(0)
}

/// How many bytes the program may lock.
fn may_lock() -> Result<u64> {
    let process = task::process();
    if process.credentials().can(linux::CAP_IPC_LOCK) {
        return Ok(u64::MAX);
    }
    let limit = process.limits.lock().get(linux::RLIMIT_MEMLOCK as usize);
    match limit.map_or(0, |(soft, _)| soft) {
        0 => Err(Errno::EPERM),
        limit => Ok(limit),
    }
}

/// The whole pages of a range. What wraps around is nothing, as in Linux.
fn lock_range(address: Address, len: usize) -> Result<(u64, u64)> {
    let start = page_floor(address.0);
    let len = (len as u64).wrapping_add(address.0 - start);
    let len = page_ceil(len).unwrap_or(0);
    let end = start.checked_add(len).ok_or(Errno::EINVAL)?;
    Ok((start, end))
}

/// mlock(2): nothing is ever swapped out, so that it is about limits and presence.
pub fn mlock(address: Address, len: usize) -> Answer {
    mlock2(address, len, 0)
}

/// mlock2(2).
pub fn mlock2(address: Address, len: usize, flags: u32) -> Answer {
    if flags & !linux::MLOCK_ONFAULT != 0 {
        return Err(Errno::EINVAL);
    }
    let limit = may_lock()?;
    let (start, end) = lock_range(address, len)?;
    let space = task::process().space();
    space.set_locked(start, end, true, limit)?;
    if flags & linux::MLOCK_ONFAULT == 0 {
        // What permits nothing is locked all the same.
        let _ = user::make_present(start, (end - start) as usize, user::Access::Read);
    }
    Ok(0)
}

/// munlock(2).
pub fn munlock(address: Address, len: usize) -> Answer {
    let (start, end) = lock_range(address, len)?;
    let space = task::process().space();
    space.set_locked(start, end, false, u64::MAX)?;
    Ok(0)
}

/// mlockall(2).
pub fn mlockall(flags: u32) -> Answer {
    let known = linux::MCL_CURRENT | linux::MCL_FUTURE | linux::MCL_ONFAULT;
    if flags == 0 || flags & !known != 0 || flags == linux::MCL_ONFAULT {
        return Err(Errno::EINVAL);
    }
    let now = (flags & linux::MCL_CURRENT != 0).then_some(true);
    let (future, limit) = (flags & linux::MCL_FUTURE != 0, may_lock()?);
    let space = task::process().space();
    space.set_all_locked(now, future, limit)?;
    Ok(0)
}

/// munlockall(2).
pub fn munlockall() -> Answer {
    let space = task::process().space();
    space.set_all_locked(Some(false), false, u64::MAX)?;
    Ok(0)
}

/// membarrier(2): with one vCPU every switch is a barrier.
pub fn membarrier(command: u32, flags: u32) -> Answer {
    const QUERY: u32 = 0;
    const GLOBAL: u32 = 1;
    const PRIVATE_EXPEDITED: u32 = 8;
    const REGISTER_PRIVATE_EXPEDITED: u32 = 16;
    let offered = GLOBAL | PRIVATE_EXPEDITED | REGISTER_PRIVATE_EXPEDITED;
    match command {
        _ if flags != 0 => Err(Errno::EINVAL),
        QUERY => Ok(offered.into()),
        GLOBAL => Ok(0),
        REGISTER_PRIVATE_EXPEDITED => {
            task::process().settings.lock().expedited_barriers = true;
            Ok(0)
        }
        PRIVATE_EXPEDITED if task::process().settings.lock().expedited_barriers => Ok(0),
        PRIVATE_EXPEDITED => Err(Errno::EPERM),
        _ => Err(Errno::EINVAL),
    }
}
