//! eventfd(2): a counter that can be waited for.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::anonymous;
use super::file::{Events, File};
use super::stat::Stat;
use crate::errno::{Errno, Result};
use crate::io::{Sink, Source};
use crate::sync::Mutex;
use crate::task::WaitQueue;

const SIZE: usize = 8;

/// A counter.
pub struct EventFd {
    count: Mutex<u64>,
    /// Whether a read takes one instead of all.
    semaphore: bool,
    changed: WaitQueue,
}

impl EventFd {
    /// A counter that begins at `count`.
    #[must_use]
    pub fn new(count: u64, semaphore: bool) -> Self {
        Self {
            count: Mutex::new(count),
            semaphore,
            changed: WaitQueue::new(),
        }
    }
}

impl File for EventFd {
    fn details(&self) -> String {
        format!("eventfd-count: {:16x}\n", *self.count.lock())
    }

    fn stat(&self) -> Stat {
        anonymous::stat(0, 0o600)
    }

    fn read(&self, _: u64, sink: &mut Sink<'_>) -> Result<usize> {
        if sink.remaining() < SIZE {
            return Err(Errno::EINVAL);
        }
        let taken = {
            let mut count = self.count.lock();
            let taken = if self.semaphore {
                (*count).min(1)
            } else {
                *count
            };
            if taken == 0 {
                return Err(Errno::EAGAIN);
            }
            *count -= taken;
            taken
        };
        self.changed.wake_all();
        sink.write(&taken.to_le_bytes())
    }

    fn write(&self, _: u64, source: &mut Source<'_>) -> Result<usize> {
        if source.remaining() < SIZE {
            return Err(Errno::EINVAL);
        }
        // Looked at before it is taken: the same source is tried again if there is no room.
        let mut bytes = [0; SIZE];
        source.peek(&mut bytes)?;
        let added = u64::from_le_bytes(bytes);
        if added == u64::MAX {
            return Err(Errno::EINVAL);
        }
        {
            let mut count = self.count.lock();
            let sum = count.checked_add(added).filter(|sum| *sum < u64::MAX);
            *count = sum.ok_or(Errno::EAGAIN)?;
        }
        let rest = source.remaining();
        source.skip(rest);
        self.changed.wake_all();
        Ok(SIZE)
    }

    fn poll(&self) -> Events {
        let count = *self.count.lock();
        let mut events = Events::empty();
        events.set(Events::IN, count > 0);
        events.set(Events::OUT, count < u64::MAX - 1);
        events
    }

    fn queue(&self) -> Option<&WaitQueue> {
        Some(&self.changed)
    }

    fn ignores_seeks(&self) -> bool {
        true
    }

    fn name(&self) -> Vec<u8> {
        b"anon_inode:[eventfd]".to_vec()
    }
}
