//! mmap and its relatives.

use linux_raw_sys::general as linux;

use super::{Address, Answer, Fd};
use crate::errno::Errno;
use crate::memory::{PAGE_SIZE, user};
use crate::mm::{Place, Protection};
use crate::task;

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
        Some((file.map(shared, protection.write)?, offset))
    };
    // What is reserved for stacks or sparsely used gets small pages.
    let sparse = linux::MAP_STACK | linux::MAP_NORESERVE | linux::MAP_GROWSDOWN;
    let huge = flags & sparse == 0 && protection.write;
    let reserved = flags & linux::MAP_NORESERVE == 0 && protection.write && object.is_none();
    let space = process.space();
    if reserved && space.is_too_much(len as u64) {
        return Err(Errno::ENOMEM);
    }
    let start = space.map(place, len as u64, protection, shared, object, huge)?;
    if flags & linux::MAP_POPULATE != 0 {
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

/// munmap(2).
pub fn munmap(address: Address, len: usize) -> Answer {
    task::process().space().unmap(address.0, len as u64)?;
    Ok(0)
}

/// mprotect(2).
pub fn mprotect(address: Address, len: usize, protection: u32) -> Answer {
    if !address.0.is_multiple_of(PAGE_SIZE) {
        return Err(Errno::EINVAL);
    }
    if len > 0 {
        let protection = Protection::from_bits(protection);
        task::process()
            .space()
            .protect(address.0, len as u64, protection)?;
    }
    Ok(0)
}

/// mremap(2).
pub fn mremap(old: Address, old_len: usize, new_len: usize, flags: u32, new: Address) -> Answer {
    let known = linux::MREMAP_MAYMOVE | linux::MREMAP_FIXED;
    let may_move = flags & linux::MREMAP_MAYMOVE != 0;
    let fixed = (flags & linux::MREMAP_FIXED != 0).then_some(new.0);
    if flags & !known != 0 || fixed.is_some() && !may_move {
        return Err(Errno::EINVAL);
    }
    task::process()
        .space()
        .remap(old.0, old_len as u64, new_len as u64, may_move, fixed)
}

/// brk(2), which never fails: it tells where the heap ends.
pub fn brk(address: Address) -> Answer {
    Ok(task::process().space().set_brk(address.0))
}

/// madvise(2).
pub fn madvise(address: Address, len: usize, advice: u32) -> Answer {
    let space = task::process().space();
    match advice {
        linux::MADV_DONTNEED | linux::MADV_FREE => space.discard(address.0, len as u64)?,
        linux::MADV_NORMAL
        | linux::MADV_RANDOM
        | linux::MADV_SEQUENTIAL
        | linux::MADV_WILLNEED
        | linux::MADV_DONTFORK
        | linux::MADV_DOFORK
        | linux::MADV_HUGEPAGE
        | linux::MADV_NOHUGEPAGE
        | linux::MADV_DONTDUMP
        | linux::MADV_DODUMP
        | linux::MADV_MERGEABLE
        | linux::MADV_UNMERGEABLE
        | linux::MADV_COLD
        | linux::MADV_PAGEOUT => space.check_mapped(address.0, len as u64)?,
        linux::MADV_POPULATE_READ => {
            user::make_present(address.0, len, user::Access::Read)?;
        }
        linux::MADV_POPULATE_WRITE => {
            user::make_present(address.0, len, user::Access::Write)?;
        }
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

/// msync(2): memory is all there is, so that everything is in step at once.
pub fn msync(address: Address, len: usize, flags: u32) -> Answer {
    let known = linux::MS_ASYNC | linux::MS_INVALIDATE | linux::MS_SYNC;
    let both = linux::MS_ASYNC | linux::MS_SYNC;
    if flags & !known != 0 || flags & both == both {
        return Err(Errno::EINVAL);
    }
    task::process()
        .space()
        .check_mapped(address.0, len as u64)?;
    Ok(0)
}

/// mincore(2).
pub fn mincore(address: Address, len: usize, into: Address) -> Answer {
    let residency = task::process().space().residency(address.0, len as u64)?;
    user::copy_out(into.0, &residency)?;
    Ok(0)
}

/// mlock(2), munlock(2): nothing is ever swapped out.
pub fn mlock(address: Address, len: usize) -> Answer {
    let start = address.0 & !(PAGE_SIZE - 1);
    let end = address.0.checked_add(len as u64).ok_or(Errno::EINVAL)?;
    task::process().space().check_mapped(start, end - start)?;
    Ok(0)
}

/// mlock2(2).
pub fn mlock2(address: Address, len: usize, _: u32) -> Answer {
    mlock(address, len)
}

/// mlockall(2), munlockall(2).
pub fn mlockall(_: u32) -> Answer {
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
        GLOBAL | PRIVATE_EXPEDITED | REGISTER_PRIVATE_EXPEDITED => Ok(0),
        _ => Err(Errno::EINVAL),
    }
}
