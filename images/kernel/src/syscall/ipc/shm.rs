//! Calls about shared memory.

use super::super::memory::require_room;
use super::super::{Address, Answer};
use super::{
    IPC_INFO, IPC_RMID, IPC_SET, IPC_STAT, owned, read_owner, remove, status, status_at, tell,
};
use crate::errno::Errno;
use crate::ipc::shm::{self, SEGMENTS};
use crate::ipc::{Object, READ, WRITE};
use crate::memory::{PAGE_SIZE, page_floor};
use crate::mm::{Backing, Place, Protection, Traits};
use crate::task;

/// Flags of shmget(2): large pages, of which there are none.
const SHM_HUGETLB: u32 = 0o4000;
/// Flags of shmat(2).
const SHM_RDONLY: u32 = 0o10000;
const SHM_RND: u32 = 0o20000;
const SHM_REMAP: u32 = 0o40000;
const SHM_EXEC: u32 = 0o100_000;
/// Permission to execute.
const EXECUTE: u32 = 0o111;
/// Commands of shmctl(2).
const SHM_LOCK: u32 = 11;
const SHM_UNLOCK: u32 = 12;
const SHM_STAT: u32 = 13;
const SHM_INFO: u32 = 14;
const SHM_STAT_ANY: u32 = 15;

/// shmget(2).
pub fn shmget(key: i32, size: usize, flags: u32) -> Answer {
    if flags & SHM_HUGETLB != 0 {
        return Err(Errno::ENOMEM);
    }
    let size = size as u64;
    if task::process().space().is_too_much(size) && size <= shm::SIZE_MAX {
        return Err(Errno::ENOMEM);
    }
    Ok(shm::get(key, size, flags)? as u64)
}

/// shmat(2).
pub fn shmat(id: i32, address: Address, flags: u32) -> Answer {
    if id < 0 {
        return Err(Errno::EINVAL);
    }
    let remap = flags & SHM_REMAP != 0;
    let address = match address.0 {
        0 if remap => return Err(Errno::EINVAL),
        address if address.is_multiple_of(PAGE_SIZE) => address,
        address if flags & SHM_RND != 0 => match page_floor(address) {
            0 if remap => return Err(Errno::EINVAL),
            address => address,
        },
        _ => return Err(Errno::EINVAL),
    };
    let place = match address {
        0 => Place::Hint(0),
        address if remap => Place::Fixed(address),
        address => Place::FixedNoReplace(address),
    };
    let protection = Protection {
        read: true,
        write: flags & SHM_RDONLY == 0,
        execute: flags & SHM_EXEC != 0,
    };
    let segment = SEGMENTS.by_id(id)?;
    let wanted = |bits: u32, asked: bool| if asked { bits } else { 0 };
    let wanted = READ | wanted(WRITE, protection.write) | wanted(EXECUTE, protection.execute);
    segment.permissions().check(wanted)?;
    let process = task::process();
    require_room(&process, segment.size, false)?;
    let object = (segment.attach(protection.write) as _, 0);
    let start = process.space().map(
        place,
        segment.size,
        protection,
        true,
        Some(object),
        Traits::default(),
    );
    start.map_err(|errno| match errno {
        Errno::EEXIST => Errno::EINVAL,
        errno => errno,
    })
}

/// shmdt(2).
pub fn shmdt(address: Address) -> Answer {
    if !address.0.is_multiple_of(PAGE_SIZE) {
        return Err(Errno::EINVAL);
    }
    let space = task::process().space();
    let mut detached = None;
    // All that is left of what was attached there: parts may have gone, or changed their rights.
    for area in space.areas() {
        let Backing::Object(object, offset) = &area.backing else {
            continue;
        };
        if area.start.checked_sub(*offset) != Some(address.0) {
            continue;
        }
        let Some(attachment) = shm::attachment_of(object) else {
            continue;
        };
        space.unmap(area.start, area.end - area.start)?;
        detached = Some(attachment);
    }
    detached.ok_or(Errno::EINVAL)?.segment().detached();
    Ok(0)
}

/// shmctl(2).
pub fn shmctl(id: i32, command: u32, into: Address) -> Answer {
    if id < 0 {
        return Err(Errno::EINVAL);
    }
    match command {
        IPC_INFO => limits(into),
        SHM_INFO => usage(into),
        IPC_STAT => status(&SEGMENTS, id, into),
        SHM_STAT | SHM_STAT_ANY => status_at(&SEGMENTS, id, command == SHM_STAT_ANY, into),
        IPC_RMID => remove(&SEGMENTS, id),
        IPC_SET => {
            let [uid, gid, mode] = read_owner(into)?;
            owned(&SEGMENTS, id)?.change(uid, gid, mode);
            Ok(0)
        }
        SHM_LOCK | SHM_UNLOCK => {
            owned(&SEGMENTS, id)?.lock(command == SHM_LOCK);
            Ok(0)
        }
        _ => Err(Errno::EINVAL),
    }
}

/// `struct shminfo64`.
fn limits(into: Address) -> Answer {
    let most = shm::SEGMENTS_MAX as u64;
    let words = [shm::SIZE_MAX, 1, most, most, shm::SIZE_MAX, 0, 0, 0, 0];
    tell(words.map(u64::to_ne_bytes), into)?;
    Ok(SEGMENTS.last_place() as u64)
}

/// `struct shm_info`.
fn usage(into: Address) -> Answer {
    let (segments, pages, resident) = shm::usage();
    let words = [segments as u64, pages, resident, 0, 0, 0];
    tell(words.map(u64::to_ne_bytes), into)?;
    Ok(SEGMENTS.last_place() as u64)
}
