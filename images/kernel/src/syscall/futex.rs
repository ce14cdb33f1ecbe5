//! futex and the list of robust ones.

use core::sync::atomic::Ordering;

use linux_raw_sys::general as linux;

use super::time::deadline_after;
use super::{Address, Answer};
use crate::errno::Errno;
use crate::memory::user;
use crate::task::{self, futex, numbers};

/// futex(2).
pub fn futex(
    address: Address,
    operation: u32,
    value: u32,
    timeout: Address,
    second: Address,
    third: u32,
) -> Answer {
    let real_time = operation & linux::FUTEX_CLOCK_REALTIME != 0;
    let command = operation & !(linux::FUTEX_PRIVATE_FLAG | linux::FUTEX_CLOCK_REALTIME);
    // For these the fourth argument is a number.
    let number = timeout.0 as u32;
    let with_clock = [
        linux::FUTEX_WAIT,
        linux::FUTEX_WAIT_BITSET,
        linux::FUTEX_LOCK_PI2,
    ];
    if real_time && !with_clock.contains(&command) {
        return Err(Errno::ENOSYS);
    }
    let moves = [linux::FUTEX_REQUEUE, linux::FUTEX_CMP_REQUEUE];
    if moves.contains(&command) && (value.cast_signed() < 0 || number.cast_signed() < 0) {
        return Err(Errno::EINVAL);
    }
    match command {
        linux::FUTEX_LOCK_PI => {
            let deadline = super::time::absolute_deadline(timeout, true)?;
            futex::lock_owned(address.0, false, deadline).map(|()| 0)
        }
        linux::FUTEX_LOCK_PI2 => {
            let deadline = super::time::absolute_deadline(timeout, real_time)?;
            futex::lock_owned(address.0, false, deadline).map(|()| 0)
        }
        linux::FUTEX_TRYLOCK_PI => futex::lock_owned(address.0, true, None).map(|()| 0),
        linux::FUTEX_UNLOCK_PI => futex::unlock_owned(address.0).map(|()| 0),
        linux::FUTEX_WAIT => {
            let deadline = deadline_after(timeout)?;
            futex::wait(address.0, value, futex::ANY, deadline).map(|()| 0)
        }
        linux::FUTEX_WAIT_BITSET => {
            let deadline = super::time::absolute_deadline(timeout, real_time)?;
            futex::wait(address.0, value, third, deadline).map(|()| 0)
        }
        linux::FUTEX_WAKE => Ok(futex::wake(address.0, value, futex::ANY)?.into()),
        linux::FUTEX_WAKE_BITSET => Ok(futex::wake(address.0, value, third)?.into()),
        linux::FUTEX_REQUEUE => {
            let (woken, moved) = futex::requeue(address.0, value, second.0, number, None)?;
            Ok((woken + moved).into())
        }
        linux::FUTEX_CMP_REQUEUE => {
            let expected = Some(third);
            let (woken, moved) = futex::requeue(address.0, value, second.0, number, expected)?;
            Ok((woken + moved).into())
        }
        linux::FUTEX_WAKE_OP => {
            Ok(futex::wake_op(address.0, value, second.0, number, third)?.into())
        }
        _ => Err(Errno::ENOSYS),
    }
}

/// set_robust_list(2).
pub fn set_robust_list(head: Address, len: usize) -> Answer {
    if len != size_of::<linux::robust_list_head>() {
        return Err(Errno::EINVAL);
    }
    task::current().robust_list.store(head.0, Ordering::Relaxed);
    Ok(0)
}

/// get_robust_list(2).
pub fn get_robust_list(id: i32, head: Address, len: Address) -> Answer {
    let thread = match id {
        0 => task::current(),
        id => numbers::thread_by_id(id as u32).ok_or(Errno::ESRCH)?,
    };
    user::write(head.0, &thread.robust_list.load(Ordering::Relaxed))?;
    user::write(len.0, &(size_of::<linux::robust_list_head>() as u64))?;
    Ok(0)
}
