//! A terminal that is shared by programs: waiting, waking, signals.

use alloc::sync::Arc;

use linux_raw_sys::general as linux;

use super::line::{BUFFER, Line, packet};
use super::{console, job};
use crate::errno::{Errno, Result};
use crate::fs::Events;
use crate::io::{Sink, Source};
use crate::signal::{self, Info, SIGTTIN, SIGTTOU, SIGWINCH};
use crate::sync::{Guard, Mutex};
use crate::task::{self, WaitQueue};
use crate::time;

/// A tenth of a second, in which VTIME counts.
const TENTH: u64 = 100_000_000;
/// Bytes of output that are processed at once.
const PART: usize = 2048;

/// How large a terminal is, in characters and in dots: `struct winsize`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
    /// Dots across.
    pub width: u16,
    /// Dots down.
    pub height: u16,
}

/// A terminal.
pub struct Terminal {
    /// Which: the slave's name in `/dev/pts`.
    number: u32,
    line: Mutex<Line>,
    /// Woken after every change that the slave's users may wait for.
    pub slave: WaitQueue,
    /// The same for the master's users.
    pub master: WaitQueue,
}

/// How long a read waits, and for how much.
struct Timing {
    /// Bytes that are enough.
    least: usize,
    /// The wait for the first byte, in ns; none for as long as it takes.
    first: Option<u64>,
    /// The wait for each byte after it.
    next: Option<u64>,
}

impl Timing {
    fn of(line: &Line) -> Self {
        let termios = line.termios();
        let (least, tenths) = (termios.char(linux::VMIN), termios.char(linux::VTIME));
        let time = u64::from(tenths) * TENTH;
        match (termios.local(linux::ICANON), least) {
            // Whatever a line has is enough.
            (true, _) => Self {
                least: 0,
                first: None,
                next: None,
            },
            (false, 0) => Self {
                least: 1,
                first: Some(time),
                next: None,
            },
            (false, least) => Self {
                least: least.into(),
                first: None,
                next: Some(time).filter(|time| *time > 0),
            },
        }
    }
}

impl Terminal {
    pub(super) fn new(number: u32) -> Arc<Self> {
        Arc::new(Self {
            number,
            line: Mutex::default(),
            slave: WaitQueue::new(),
            master: WaitQueue::new(),
        })
    }

    /// Its number.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Its state, to be looked at, or changed without anybody being told.
    pub fn line(&self) -> Guard<'_, Line> {
        self.line.lock()
    }

    /// Changes something about it, and tells everybody who may care.
    pub fn change<T>(&self, change: impl FnOnce(&mut Line) -> T) -> T {
        let result = change(&mut self.line.lock());
        self.settle();
        result
    }

    /// Does what follows from a change: looks at what was typed, sends the signals that it asks
    /// for, passes on what is shown, wakes who waits.
    fn settle(&self) {
        loop {
            let signal = self.line.lock().take_typed();
            let Some(signal) = signal else { break };
            self.signal_foreground(signal);
        }
        console::show(self);
        self.slave.wake_all();
        self.master.wake_all();
    }

    /// Sends a signal to the foreground process group.
    pub fn signal_foreground(&self, signal: u32) {
        let foreground = self.line.lock().foreground;
        if let Some(group) = foreground {
            signal::send_to_group(group, Info::from_kernel(signal));
        }
    }

    /// Gives it another size; the foreground is told of a change.
    pub fn resize(&self, window: Window) {
        let before = core::mem::replace(&mut self.line.lock().window, window);
        if before != window {
            self.signal_foreground(SIGWINCH);
        }
    }

    /// Everybody who has it open as a slave loses it.
    pub fn hang_up(&self) {
        job::hang_up(self);
        self.change(|line| line.epoch += 1);
    }

    // The slave's side. `epoch` says since which hang-up it is open.

    /// Reads what was typed.
    ///
    /// # Errors
    ///
    /// EIO for a process in the background that cannot be stopped, EAGAIN, EFAULT, RESTART.
    pub fn read(&self, epoch: u32, nonblocking: bool, sink: &mut Sink<'_>) -> Result<usize> {
        if self.line.lock().epoch != epoch {
            return Ok(0);
        }
        job::check(self, SIGTTIN)?;
        let Timing { least, first, next } = Timing::of(&self.line.lock());
        let mut patience = first;
        let mut read = 0;
        while sink.remaining() > 0 {
            if self.line.lock().is_readable(1) {
                read += self.read_part(sink)?;
                if read >= least {
                    break;
                }
                patience = next;
                continue;
            }
            let (lost, over) = {
                let line = self.line.lock();
                (line.epoch != epoch, line.over)
            };
            let waited = match (nonblocking, patience) {
                _ if over => Err(Errno::EIO),
                _ if lost => break,
                (_, Some(0)) => break,
                (true, _) => Err(Errno::EAGAIN),
                (false, _) => self.wait_to_read(epoch, patience),
            };
            match waited {
                Ok(()) => {}
                Err(Errno::ETIMEDOUT) => break,
                Err(_) if read > 0 => break,
                Err(errno) => return Err(errno),
            }
        }
        Ok(read)
    }

    fn read_part(&self, sink: &mut Sink<'_>) -> Result<usize> {
        let mut part = alloc::vec![0; sink.remaining().min(BUFFER)];
        // What it leaves room for may have been typed already.
        let len = self.change(|line| line.read(&mut part));
        sink.write(&part[..len])
    }

    fn wait_to_read(&self, epoch: u32, patience: Option<u64>) -> Result<()> {
        let deadline = patience.map(|patience| time::monotonic().saturating_add(patience));
        task::wait(&[&self.slave], deadline, || {
            let line = self.line.lock();
            (line.is_readable(1) || line.epoch != epoch).then_some(())
        })
    }

    /// Writes what is to be shown.
    ///
    /// # Errors
    ///
    /// EIO if the terminal is lost, or for a process in the background that cannot be stopped;
    /// EAGAIN, EFAULT, RESTART.
    pub fn write(&self, epoch: u32, source: &mut Source<'_>) -> Result<usize> {
        let stops = {
            let line = self.line.lock();
            if line.epoch != epoch {
                return Err(Errno::EIO);
            }
            line.termios().local(linux::TOSTOP)
        };
        if stops {
            job::check(self, SIGTTOU)?;
        }
        let mut part = [0; PART];
        let mut written = 0;
        while source.remaining() > 0 {
            let len = source.peek(&mut part)?;
            let taken = self.change(|line| line.write(&part[..len]));
            source.skip(taken);
            written += taken;
            if taken < len {
                break;
            }
        }
        if written == 0 && source.remaining() > 0 {
            return Err(Errno::EAGAIN);
        }
        Ok(written)
    }

    /// What the slave's users can do.
    pub fn poll(&self, epoch: u32) -> Events {
        let line = self.line.lock();
        if line.epoch != epoch {
            return Events::READ | Events::WRITE | Events::ERR | Events::HUP;
        }
        let termios = line.termios();
        let least = match termios.char(linux::VTIME) {
            0 => termios.char(linux::VMIN).into(),
            _ => 1,
        };
        let mut events = Events::empty();
        events.set(Events::READ, line.is_readable(least));
        events.set(Events::WRITE, line.takes_output());
        events
    }

    // The master's side.

    /// Reads what is shown.
    ///
    /// # Errors
    ///
    /// EIO at the end, when no slave is open any more; EAGAIN, EFAULT.
    pub fn read_shown(&self, sink: &mut Sink<'_>) -> Result<usize> {
        let mut line = self.line.lock();
        if line.has_status() {
            return sink.write(&[line.take_status()]);
        }
        if line.shown_len() == 0 {
            let ended = line.abandoned;
            return Err(if ended { Errno::EIO } else { Errno::EAGAIN });
        }
        let packet = line.is_packet();
        drop(line);
        let mut read = 0;
        if packet {
            read += sink.write(&[packet::DATA])?;
        }
        let mut part = alloc::vec![0; sink.remaining().min(BUFFER)];
        let len = self.change(|line| line.take_shown(&mut part));
        Ok(read + sink.write(&part[..len])?)
    }

    /// Types.
    ///
    /// # Errors
    ///
    /// EAGAIN, EFAULT.
    pub fn type_in(&self, source: &mut Source<'_>) -> Result<usize> {
        let mut part = [0; PART];
        let mut typed = 0;
        while source.remaining() > 0 {
            let len = source.peek(&mut part)?;
            let taken = self.change(|line| line.type_in(&part[..len]));
            source.skip(taken);
            typed += taken;
            if taken < len {
                break;
            }
        }
        if typed == 0 && source.remaining() > 0 {
            return Err(Errno::EAGAIN);
        }
        Ok(typed)
    }

    /// What the master's users can do.
    pub fn poll_master(&self) -> Events {
        let line = self.line.lock();
        let mut events = Events::empty();
        events.set(Events::READ, line.shown_len() > 0 || line.has_status());
        events.set(Events::PRI, line.has_status());
        events.set(Events::WRITE, line.typing_room() > 0);
        events.set(Events::HUP, line.abandoned);
        events
    }
}
