//! Calls about message queues.

use linux_raw_sys::general as linux;

use super::super::{Address, Answer};
use super::{
    IPC_INFO, IPC_NOWAIT, IPC_RMID, IPC_SET, IPC_STAT, owned, read_owner, remove, status,
    status_at, tell,
};
use crate::errno::Errno;
use crate::ipc::queue::{self, MESSAGE_MAX, Message, QUEUE_SIZE, QUEUES, QUEUES_MAX, Wanted, Wish};
use crate::memory::user;
use crate::task;

/// Flags of msgrcv(2).
const MSG_NOERROR: u32 = 0o10000;
const MSG_EXCEPT: u32 = 0o20000;
const MSG_COPY: u32 = 0o40000;
/// Commands of msgctl(2).
const MSG_STAT: u32 = 11;
const MSG_INFO: u32 = 12;
const MSG_STAT_ANY: u32 = 13;
/// Bytes of a message's type, before what it says.
const KIND_SIZE: u64 = 8;
/// Where `struct msqid64_ds` has how many bytes there is room for.
const ROOM: u64 = 88;

/// msgget(2).
pub fn msgget(key: i32, flags: u32) -> Answer {
    Ok(queue::get(key, flags)? as u64)
}

/// msgsnd(2).
pub fn msgsnd(id: i32, message: Address, size: usize, flags: u32) -> Answer {
    let kind: i64 = user::read(message.0)?;
    if size > MESSAGE_MAX || id < 0 || kind < 1 {
        return Err(Errno::EINVAL);
    }
    let mut data = alloc::vec![0; size];
    user::copy_in(message.0.wrapping_add(KIND_SIZE), &mut data)?;
    let wait = flags & IPC_NOWAIT == 0;
    QUEUES.by_id(id)?.send(Message { kind, data }, wait)?;
    Ok(0)
}

/// msgrcv(2).
pub fn msgrcv(id: i32, into: Address, size: usize, kind: i64, flags: u32) -> Answer {
    if id < 0 || size.cast_signed() < 0 {
        return Err(Errno::EINVAL);
    }
    if flags & MSG_COPY != 0 {
        return Err(Errno::ENOSYS);
    }
    let wish = Wish {
        wanted: match kind {
            0 => Wanted::Any,
            ..0 => Wanted::Lowest(kind.saturating_neg()),
            _ if flags & MSG_EXCEPT != 0 => Wanted::Except(kind),
            _ => Wanted::Kind(kind),
        },
        room: size,
        truncate: flags & MSG_NOERROR != 0,
    };
    let received = QUEUES.by_id(id)?.receive(wish, flags & IPC_NOWAIT == 0)?;
    user::write(into.0, &received.kind)?;
    let len = received.data.len().min(size);
    user::copy_out(into.0.wrapping_add(KIND_SIZE), &received.data[..len])?;
    Ok(len as u64)
}

/// msgctl(2).
pub fn msgctl(id: i32, command: u32, argument: Address) -> Answer {
    if id < 0 {
        return Err(Errno::EINVAL);
    }
    match command {
        IPC_INFO | MSG_INFO => info(command, argument),
        IPC_STAT => status(&QUEUES, id, argument),
        MSG_STAT | MSG_STAT_ANY => status_at(&QUEUES, id, command == MSG_STAT_ANY, argument),
        IPC_RMID => remove(&QUEUES, id),
        IPC_SET => {
            let [uid, gid, mode] = read_owner(argument)?;
            let most: u64 = user::read(argument.0.wrapping_add(ROOM))?;
            let queue = owned(&QUEUES, id)?;
            let who = task::process().credentials();
            if most > QUEUE_SIZE && !who.can(linux::CAP_SYS_RESOURCE) {
                return Err(Errno::EPERM);
            }
            queue.change(uid, gid, mode, most);
            Ok(0)
        }
        _ => Err(Errno::EINVAL),
    }
}

/// `struct msginfo`: the limits, or with MSG_INFO what there is.
fn info(command: u32, into: Address) -> Answer {
    let (messages, bytes) = queue::usage();
    // MSGPOOL, MSGMAP and MSGTQL are of no use to anybody.
    let (pool, map, all) = if command == MSG_INFO {
        (QUEUES.all().len() as u32, messages as u32, bytes as u32)
    } else {
        let size = QUEUE_SIZE as u32;
        (QUEUES_MAX as u32 * (size / 1024), size, size)
    };
    let numbers = [
        pool,
        map,
        MESSAGE_MAX as u32,
        QUEUE_SIZE as u32,
        QUEUES_MAX as u32,
        16,
        all,
        0xffff,
    ];
    tell(numbers.map(u32::to_ne_bytes), into)?;
    Ok(QUEUES.last_place() as u64)
}
