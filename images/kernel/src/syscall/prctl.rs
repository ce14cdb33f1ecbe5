//! prctl and personality: what processes and threads say of themselves.

use linux_raw_sys::general as linux;
use linux_raw_sys::prctl as pr;

use super::Answer;
use crate::errno::{Errno, Result};
use crate::memory::plain::Plain;
use crate::memory::user;
use crate::signal;
use crate::task::identity::Capabilities;
use crate::task::settings::Settings;
use crate::task::{self, Thread};
use core::sync::atomic::Ordering;

/// prctl(2).
pub fn prctl(option: u32, second: u64, third: u64, fourth: u64, fifth: u64) -> Answer {
    let thread = task::current();
    let rest_is_zero = third == 0 && fourth == 0 && fifth == 0;
    match option {
        pr::PR_SET_NAME => set_name(&thread, second),
        pr::PR_GET_NAME => told(second, &*thread.name.lock()),
        pr::PR_SET_TIMERSLACK => {
            // As an int would be: what is not positive stands for the slack at the start.
            let slack = if second as i64 <= 0 {
                thread.default_slack.load(Ordering::Relaxed)
            } else {
                second
            };
            thread.timer_slack.store(slack, Ordering::Relaxed);
            Ok(0)
        }
        pr::PR_GET_TIMERSLACK => Ok(thread.timer_slack.load(Ordering::Relaxed)),
        pr::PR_GET_TID_ADDRESS => told(second, &thread.clear_at_end.load(Ordering::Relaxed)),
        pr::PR_SET_DUMPABLE if second > 1 => Err(Errno::EINVAL),
        pr::PR_SET_DUMPABLE => set(|settings| settings.dumpable = second == 1),
        pr::PR_GET_DUMPABLE => Ok(settings().dumpable.into()),
        pr::PR_SET_PDEATHSIG if second > u64::from(signal::MAX) => Err(Errno::EINVAL),
        pr::PR_SET_PDEATHSIG => set(|settings| settings.death_signal = second as u32),
        pr::PR_GET_PDEATHSIG => told(second, &settings().death_signal),
        pr::PR_SET_CHILD_SUBREAPER => set(|settings| settings.subreaper = second != 0),
        pr::PR_GET_CHILD_SUBREAPER => told(second, &u32::from(settings().subreaper)),
        pr::PR_SET_NO_NEW_PRIVS if second != 1 || !rest_is_zero => Err(Errno::EINVAL),
        pr::PR_SET_NO_NEW_PRIVS => set(|settings| settings.no_new_privileges = true),
        pr::PR_GET_NO_NEW_PRIVS if second != 0 || !rest_is_zero => Err(Errno::EINVAL),
        pr::PR_GET_NO_NEW_PRIVS => Ok(settings().no_new_privileges.into()),
        pr::PR_SET_KEEPCAPS if second > 1 => Err(Errno::EINVAL),
        pr::PR_SET_KEEPCAPS => {
            task::process().credentials.lock().keep = second == 1;
            Ok(0)
        }
        pr::PR_GET_KEEPCAPS => Ok(task::process().credentials().keep.into()),
        pr::PR_GET_SECUREBITS => Ok(0),
        pr::PR_CAPBSET_READ => {
            Ok((task::process().credentials().bounding & capability(second)? != 0).into())
        }
        pr::PR_CAPBSET_DROP => drop_from_bounding(second),
        pr::PR_CAP_AMBIENT if fourth != 0 || fifth != 0 => Err(Errno::EINVAL),
        pr::PR_CAP_AMBIENT => ambient(second, third),
        // Nothing is filtered, and the time stamp counter may be read.
        pr::PR_GET_SECCOMP => Ok(0),
        pr::PR_GET_TSC => told(second, &pr::PR_TSC_ENABLE),
        _ => Err(Errno::EINVAL),
    }
}

fn settings() -> Settings {
    *task::process().settings.lock()
}

fn set(change: impl FnOnce(&mut Settings)) -> Answer {
    change(&mut task::process().settings.lock());
    Ok(0)
}

fn told<T: Plain>(into: u64, value: &T) -> Answer {
    user::write(into, value)?;
    Ok(0)
}

fn set_name(thread: &Thread, from: u64) -> Answer {
    let mut name = [0; 16];
    for (at, byte) in name.iter_mut().take(15).enumerate() {
        *byte = user::read(from.wrapping_add(at as u64))?;
        if *byte == 0 {
            break;
        }
    }
    *thread.name.lock() = name;
    Ok(0)
}

fn capability(number: u64) -> Result<Capabilities> {
    if number > linux::CAP_LAST_CAP.into() {
        Err(Errno::EINVAL)
    } else {
        Ok(1 << number)
    }
}

fn drop_from_bounding(number: u64) -> Answer {
    let process = task::process();
    let mut who = process.credentials();
    if !who.can(linux::CAP_SETPCAP) {
        return Err(Errno::EPERM);
    }
    who.bounding &= !capability(number)?;
    process.set_credentials(who);
    Ok(0)
}

fn ambient(what: u64, number: u64) -> Answer {
    let process = task::process();
    let mut who = process.credentials();
    let one = if what == u64::from(pr::PR_CAP_AMBIENT_CLEAR_ALL) {
        match number {
            0 => u64::MAX,
            _ => return Err(Errno::EINVAL),
        }
    } else {
        capability(number)?
    };
    match u32::try_from(what) {
        Ok(pr::PR_CAP_AMBIENT_IS_SET) => return Ok((who.ambient & one != 0).into()),
        Ok(pr::PR_CAP_AMBIENT_RAISE) if who.permitted & who.inheritable & one == 0 => {
            return Err(Errno::EPERM);
        }
        Ok(pr::PR_CAP_AMBIENT_RAISE) => who.ambient |= one,
        Ok(pr::PR_CAP_AMBIENT_LOWER | pr::PR_CAP_AMBIENT_CLEAR_ALL) => who.ambient &= !one,
        _ => return Err(Errno::EINVAL),
    }
    process.set_credentials(who);
    Ok(0)
}

/// personality(2): it is kept and told. What it would change (the layout of memory, the release
/// that is told) is as it is for everybody.
pub fn personality(persona: u32) -> Answer {
    let process = task::process();
    let mut settings = process.settings.lock();
    let before = settings.persona;
    if persona != u32::MAX {
        settings.persona = persona;
    }
    Ok(before.into())
}
