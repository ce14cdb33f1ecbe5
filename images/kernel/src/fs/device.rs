//! Character devices, by number (Linux, `Documentation/admin-guide/devices.txt`).

use alloc::sync::Arc;

use super::anonymous;
use super::file::File;
use super::stat::{Device, Kind, Stat};
use crate::errno::{Errno, Result};
use crate::io::{Sink, Source};
use crate::memory::{Frame, Page};
use crate::random;
use crate::tty;

/// `/dev/null`.
pub const NULL: Device = Device { major: 1, minor: 3 };
/// `/dev/zero`.
pub const ZERO: Device = Device { major: 1, minor: 5 };
/// `/dev/full`.
pub const FULL: Device = Device { major: 1, minor: 7 };
/// `/dev/random`.
pub const RANDOM: Device = Device { major: 1, minor: 8 };
/// `/dev/urandom`.
pub const URANDOM: Device = Device { major: 1, minor: 9 };
/// `/dev/tty`.
pub const TTY: Device = Device { major: 5, minor: 0 };
/// `/dev/console`.
pub const CONSOLE: Device = Device { major: 5, minor: 1 };
/// `/dev/ptmx`.
pub const PTMX: Device = Device { major: 5, minor: 2 };

/// Opens a device, to be used as `flags` (O_*) say.
///
/// # Errors
///
/// ENXIO if there is none of that number (or, for `/dev/tty`, no controlling terminal), ENOSPC.
pub fn open(device: Device, flags: u32) -> Result<Arc<dyn File>> {
    Ok(match device {
        NULL | ZERO | FULL => Arc::new(Simple(device)),
        RANDOM | URANDOM => Arc::new(Random),
        TTY => return tty::open_current(),
        CONSOLE => return tty::console::open_device(),
        PTMX => return tty::open_master(),
        _ if tty::devpts::device(device.minor) == device => {
            return tty::devpts::open_device(device.minor, flags);
        }
        _ => return Err(Errno::ENXIO),
    })
}

fn stat() -> Stat {
    anonymous::stat(0, Kind::CharDevice.mode() | 0o666)
}

/// Takes whatever is written.
fn swallow(source: &mut Source<'_>) -> Result<usize> {
    let len = source.remaining();
    source.skip(len);
    Ok(len)
}

/// `/dev/null`, `/dev/zero` or `/dev/full`: of the first nothing is read, of the others zeros; the
/// last takes nothing, and the second can be mapped.
struct Simple(Device);

impl File for Simple {
    fn stat(&self) -> Stat {
        stat()
    }

    fn is_seekable(&self) -> bool {
        true
    }

    fn keeps_position(&self) -> bool {
        false
    }

    fn read(&self, _: u64, sink: &mut Sink<'_>) -> Result<usize> {
        match self.0 {
            NULL => Ok(0),
            _ => sink.zero(sink.remaining()),
        }
    }

    fn write(&self, _: u64, source: &mut Source<'_>) -> Result<usize> {
        match self.0 {
            FULL => Err(Errno::ENOSPC),
            _ => swallow(source),
        }
    }

    fn page(&self, _: u64, _: bool) -> Result<Page> {
        Frame::zeroed().map(Page::Ram)
    }

    fn is_mappable(&self) -> bool {
        self.0 == ZERO
    }

    fn is_pollable(&self) -> bool {
        false
    }
}

struct Random;

impl File for Random {
    fn stat(&self) -> Stat {
        stat()
    }

    fn is_seekable(&self) -> bool {
        true
    }

    fn keeps_position(&self) -> bool {
        false
    }

    fn read(&self, _: u64, sink: &mut Sink<'_>) -> Result<usize> {
        let before = sink.done();
        let mut part = [0; 256];
        while sink.remaining() > 0 {
            random::fill(&mut part);
            if let Err(errno) = sink.write(&part) {
                let read = sink.done() - before;
                return if read > 0 { Ok(read) } else { Err(errno) };
            }
        }
        Ok(sink.done() - before)
    }

    fn write(&self, _: u64, source: &mut Source<'_>) -> Result<usize> {
        swallow(source)
    }
}
