//! signalfd(2): signals as something to be read.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::anonymous;
use super::file::{Events, File};
use super::stat::Stat;
use crate::errno::{Errno, Result};
use crate::io::Sink;
use crate::signal::{self, Info, SIGCHLD, Set};
use crate::sync::Mutex;
use crate::task::{self, Process, WaitQueue};

/// Bytes of `struct signalfd_siginfo`.
const SIZE: usize = 128;
/// si_code: sent by a timer.
const SI_TIMER: i32 = -2;

/// Signals of a set, those of whoever reads.
pub struct SignalFd {
    set: Mutex<Set>,
    /// Whose signals wake who waits.
    process: Arc<Process>,
}

impl SignalFd {
    /// For the signals of a set, sent to the running process.
    #[must_use]
    pub fn new(set: Set) -> Self {
        Self {
            set: Mutex::new(set),
            process: task::process(),
        }
    }

    /// For the signals of another set from now on.
    pub fn set(&self, set: Set) {
        *self.set.lock() = set;
        self.process.child_events.wake_all();
    }
}

/// A signal as it is read: fields of `struct signalfd_siginfo`, by their offsets.
fn told(info: &Info) -> [u8; SIZE] {
    let mut bytes = [0; SIZE];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, &info.signal().to_ne_bytes());
    put(8, &info.code().to_ne_bytes());
    let value = &info.bytes()[24..32];
    match info.code() {
        SI_TIMER => {
            put(24, &info.sender().to_ne_bytes());
            put(32, &info.uid().to_ne_bytes());
            put(44, &value[..4]);
            put(48, value);
        }
        code if code > 0 && info.signal() != SIGCHLD => {
            put(72, &info.address().to_ne_bytes());
        }
        code => {
            put(12, &info.sender().to_ne_bytes());
            put(16, &info.uid().to_ne_bytes());
            if code > 0 {
                put(40, &info.status().to_ne_bytes());
            } else if code < 0 {
                put(44, &value[..4]);
                put(48, value);
            }
        }
    }
    bytes
}

impl File for SignalFd {
    fn details(&self) -> String {
        format!("sigmask:\t{:016x}\n", self.set.lock().0)
    }

    fn stat(&self) -> Stat {
        anonymous::stat(0, 0o600)
    }

    fn read(&self, _: u64, sink: &mut Sink<'_>) -> Result<usize> {
        if sink.remaining() < SIZE {
            return Err(Errno::EINVAL);
        }
        let (set, thread) = (*self.set.lock(), task::current());
        let mut read = 0;
        while sink.remaining() >= SIZE
            && let Some(info) = signal::take_awaited(&thread, set)
        {
            read += sink.write(&told(&info))?;
        }
        if read == 0 {
            Err(Errno::EAGAIN)
        } else {
            Ok(read)
        }
    }

    fn poll(&self) -> Events {
        let thread = task::current();
        let own = thread.signals.lock().pending.set();
        let pending = own.with(thread.process().pending.lock().set());
        let mut events = Events::empty();
        events.set(Events::IN, !pending.and(*self.set.lock()).is_empty());
        events
    }

    fn queue(&self) -> Option<&WaitQueue> {
        Some(&self.process.child_events)
    }

    fn ignores_seeks(&self) -> bool {
        true
    }

    fn name(&self) -> Vec<u8> {
        b"anon_inode:[signalfd]".to_vec()
    }
}
