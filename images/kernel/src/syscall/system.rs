//! What a program asks about the system as a whole.

use core::mem::offset_of;

use linux_raw_sys::general::CAP_SYS_ADMIN;
use linux_raw_sys::system::{new_utsname, sysinfo as Sysinfo};

use super::{Address, Answer};
use crate::errno::Errno;
use crate::memory::{PAGE_SIZE, frames, user};
use crate::random;
use crate::sync::Mutex;
use crate::task::{self, numbers};
use crate::time::{self, SECOND};

/// The version of Linux whose calls are offered.
pub const RELEASE: &str = "6.1.0-unicell";
/// Its build.
pub const VERSION: &str = concat!("#1 unicell ", env!("CARGO_PKG_VERSION"));

static HOST_NAME: Mutex<[u8; 65]> = Mutex::new(*b"unicell\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");

/// The host's name, filled up with NUL.
pub fn host_name() -> [u8; 65] {
    *HOST_NAME.lock()
}

/// Gives the host its name before the first program runs; `name` has at most 64 bytes.
pub fn set_host_name(name: &[u8]) {
    let mut bytes = [0; 65];
    let len = name.len().min(bytes.len() - 1);
    bytes[..len].copy_from_slice(&name[..len]);
    *HOST_NAME.lock() = bytes;
}

/// uname(2).
pub fn uname(into: Address) -> Answer {
    let field = |text: &str| {
        let mut bytes = [0; 65];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        bytes.map(|byte| byte as core::ffi::c_char)
    };
    let name = new_utsname {
        sysname: field("Linux"),
        nodename: HOST_NAME.lock().map(|byte| byte as core::ffi::c_char),
        release: field(RELEASE),
        version: field(VERSION),
        machine: field("x86_64"),
        domainname: field("(none)"),
    };
    user::write(into.0, &name)?;
    Ok(0)
}

/// sethostname(2).
pub fn sethostname(name: Address, len: usize) -> Answer {
    if !task::process().credentials().can(CAP_SYS_ADMIN) {
        return Err(Errno::EPERM);
    }
    if len > 64 {
        return Err(Errno::EINVAL);
    }
    let mut bytes = [0; 65];
    user::copy_in(name.0, &mut bytes[..len])?;
    *HOST_NAME.lock() = bytes;
    Ok(0)
}

/// sysinfo(2).
pub fn sysinfo(into: Address) -> Answer {
    const WORDS: usize = size_of::<Sysinfo>() / 8;
    let (total, used) = frames::usage();
    let mut words = [0_u64; WORDS];
    let mut set = |offset: usize, value: u64| words[offset / 8] |= value << (8 * (offset % 8));
    set(offset_of!(Sysinfo, uptime), time::monotonic() / SECOND);
    set(offset_of!(Sysinfo, totalram), total * PAGE_SIZE);
    set(offset_of!(Sysinfo, freeram), (total - used) * PAGE_SIZE);
    set(offset_of!(Sysinfo, procs), numbers::thread_count().into());
    set(offset_of!(Sysinfo, mem_unit), 1);
    user::write(into.0, &words)?;
    Ok(0)
}

/// getrandom(2).
pub fn getrandom(into: Address, len: usize, flags: u32) -> Answer {
    const KNOWN: u32 = 7;
    /// GRND_RANDOM and GRND_INSECURE exclude each other.
    const BOTH: u32 = 6;
    if flags & !KNOWN != 0 || flags & BOTH == BOTH {
        return Err(Errno::EINVAL);
    }
    let len = len.min(32 << 20);
    let mut done = 0;
    let mut chunk = [0; 256];
    while done < len {
        let part = (len - done).min(chunk.len());
        random::fill(&mut chunk[..part]);
        user::copy_out(into.0.wrapping_add(done as u64), &chunk[..part])?;
        done += part;
    }
    Ok(len as u64)
}

/// syslog(2): there is no log to read inside.
pub fn syslog(_: u32, _: Address, _: i32) -> Answer {
    Err(Errno::EPERM)
}
