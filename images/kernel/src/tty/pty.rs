//! What programs have open of a terminal: the master, and slaves.

use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_raw_sys::general as linux;

use super::{Terminal, control, devpts, job};
use crate::errno::{Errno, Result};
use crate::fs::stat::{Kind, Stat};
use crate::fs::{Events, File, anonymous};
use crate::io::{Sink, Source};
use crate::task::{self, WaitQueue};

/// A pseudo terminal's master: who holds it is the terminal for those who hold slaves.
pub(super) struct Master {
    pub(super) terminal: Arc<Terminal>,
}

/// A terminal as the programs have it that run in it.
pub(super) struct Slave {
    pub(super) terminal: Arc<Terminal>,
    /// Since which hang-up it is open.
    pub(super) epoch: u32,
}

/// Opens `/dev/ptmx`: makes a pseudo terminal.
///
/// # Errors
///
/// ENOSPC if there are too many.
pub fn open_master() -> Result<Arc<dyn File>> {
    let terminal = devpts::add()?;
    terminal.line().locked = true;
    Ok(Arc::new(Master { terminal }))
}

/// Opens `/dev/tty`: the running process's controlling terminal.
///
/// # Errors
///
/// ENXIO if it has none.
pub fn open_current() -> Result<Arc<dyn File>> {
    let terminal = task::process().terminal.lock().clone();
    Ok(Slave::open(terminal.ok_or(Errno::ENXIO)?))
}

impl Slave {
    /// Opens a terminal, whatever its lock says.
    pub(super) fn open(terminal: Arc<Terminal>) -> Arc<Self> {
        let epoch = {
            let mut line = terminal.line();
            line.slaves += 1;
            line.abandoned = false;
            line.epoch
        };
        Arc::new(Self { terminal, epoch })
    }

    /// Opens a terminal by its name. A leader of a session may get it as its controlling one.
    pub(super) fn open_named(terminal: &Arc<Terminal>, flags: u32) -> Result<Arc<Self>> {
        {
            let line = terminal.line();
            if line.locked {
                return Err(Errno::EIO);
            }
            if line.exclusive && !task::process().credentials().can(linux::CAP_SYS_ADMIN) {
                return Err(Errno::EBUSY);
            }
        }
        let slave = Self::open(terminal.clone());
        if flags & linux::O_NOCTTY == 0 && flags & linux::O_ACCMODE != linux::O_WRONLY {
            job::opened(terminal);
        }
        Ok(slave)
    }

    /// Whether whoever has it open has lost the terminal.
    pub(super) fn is_lost(&self) -> bool {
        self.terminal.line().epoch != self.epoch
    }
}

impl Drop for Slave {
    fn drop(&mut self) {
        self.terminal.change(|line| {
            line.slaves -= 1;
            line.abandoned = line.slaves == 0;
        });
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        devpts::remove(self.terminal.number());
        self.terminal.line().over = true;
        self.terminal.hang_up();
    }
}

fn stat() -> Stat {
    anonymous::stat(0, Kind::CharDevice.mode() | 0o620)
}

impl File for Slave {
    fn stat(&self) -> Stat {
        stat()
    }

    fn read_in_time(&self, nonblocking: bool, sink: &mut Sink<'_>) -> Option<Result<usize>> {
        Some(self.terminal.read(self.epoch, nonblocking, sink))
    }

    fn write(&self, _: u64, source: &mut Source<'_>) -> Result<usize> {
        self.terminal.write(self.epoch, source)
    }

    fn poll(&self) -> Events {
        self.terminal.poll(self.epoch)
    }

    fn queue(&self) -> Option<&WaitQueue> {
        Some(&self.terminal.slave)
    }

    fn ioctl(&self, command: u32, argument: u64) -> Result<u64> {
        control::of_slave(self, command, argument)
    }

    fn name(&self) -> Vec<u8> {
        alloc::format!("/dev/pts/{}", self.terminal.number()).into_bytes()
    }
}

impl File for Master {
    fn stat(&self) -> Stat {
        stat()
    }

    fn read(&self, _: u64, sink: &mut Sink<'_>) -> Result<usize> {
        if sink.remaining() == 0 {
            return Ok(0);
        }
        self.terminal.read_shown(sink)
    }

    fn write(&self, _: u64, source: &mut Source<'_>) -> Result<usize> {
        self.terminal.type_in(source)
    }

    fn poll(&self) -> Events {
        self.terminal.poll_master()
    }

    fn queue(&self) -> Option<&WaitQueue> {
        Some(&self.terminal.master)
    }

    fn ioctl(&self, command: u32, argument: u64) -> Result<u64> {
        control::of_master(self, command, argument)
    }

    fn name(&self) -> Vec<u8> {
        b"/dev/ptmx".to_vec()
    }
}
