//! The gateway device: registers, queues, and the messages on them.
//!
//! The device is handed over running (`unicell_guest_abi::device`). A driver that breaks the
//! protocol gets NEEDS_RESET and no further service; the caller ends the instance with the
//! [`Violation`].

mod chain;
mod console;
mod registers;
mod streams;

use std::sync::atomic::Ordering;

use unicell_guest_abi::device;
use unicell_guest_abi::message::DATA_MAX;
use virtio_queue::{Queue, QueueOwnedT, QueueT};
use vm_memory::{Bytes, GuestAddress};

use crate::backend::Backend;
use crate::memory::Memory;
use chain::Chain;
pub use chain::{Data, Room};
use console::Console;
use registers::{Effect, Registers};
use streams::Streams;

/// How a guest broke the protocol of the device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    #[error("a register of the device at offset {offset:#x} that does not exist or not so")]
    Register { offset: u64 },
    #[error("a {len}-byte access to the device at offset {offset:#x}")]
    Width { offset: u64, len: usize },
    #[error("{0}")]
    Sequence(&'static str),
    #[error("rings that do not lie in RAM or are not aligned")]
    Rings,
    #[error("an index in an available ring that is more than a queue ahead")]
    Overrun,
    #[error("descriptor {index}, beyond the table")]
    Index { index: u16 },
    #[error("a chain from descriptor {head} that does not end")]
    Loop { head: u16 },
    #[error("an indirect descriptor, which was not negotiated")]
    Indirect,
    #[error("a chain of more than {max} bytes", max = device::CHAIN_MAX)]
    TooLong,
    #[error("a readable descriptor after a writable one")]
    Order,
    #[error("a descriptor of {len} bytes at guest-physical {gpa:#x}, where there is no memory")]
    Wild { gpa: u64, len: u32 },
    #[error("{0}")]
    Message(&'static str),
}

/// Whether the driver is to ring when it has added to a queue that was empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doorbells {
    /// It is: nobody looks otherwise.
    Wanted,
    /// It need not: somebody looks again in a moment.
    Unwanted,
}

/// What a pass over the queues came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pass {
    /// The driver asked to be told of what happened.
    pub(crate) news: bool,
    /// Chains used.
    pub(crate) chains: u64,
    /// Bytes that the driver gave and got in them.
    pub(crate) bytes: u64,
    /// There is more to do at once.
    pub(crate) more: bool,
}

/// Chains taken from one queue in one pass, at most: what else the I/O thread has to do waits no
/// longer than that.
const BATCH: usize = 2 * device::QUEUE_SIZE as usize;

/// The device of one instance.
pub(crate) struct Device {
    registers: Registers,
    console: Console,
    streams: Streams,
    buffer: Vec<u8>,
}

impl Pass {
    /// Whether most of what went through was large messages: of somebody who moves bytes, and not of
    /// somebody who waits for an answer.
    pub(crate) fn is_bulk(&self) -> bool {
        self.bytes > self.chains * (DATA_MAX as u64 / 2)
    }
}

impl Device {
    pub(crate) fn new() -> Self {
        Self {
            registers: Registers::running(),
            console: Console::default(),
            streams: Streams::default(),
            buffer: Vec::new(),
        }
    }

    /// The driver reads a register.
    pub(crate) fn read(&mut self, offset: u64, data: &mut [u8]) -> Result<(), Violation> {
        let len = data.len();
        let Ok(data) = <&mut [u8; 4]>::try_from(data) else {
            return Err(Violation::Width { offset, len });
        };
        *data = self.registers.read(offset)?.to_le_bytes();
        Ok(())
    }

    /// The driver writes a register. Returns whether the queues should be looked at.
    pub(crate) fn write(
        &mut self,
        offset: u64,
        data: &[u8],
        memory: &Memory,
    ) -> Result<bool, Violation> {
        let Ok(value) = <[u8; 4]>::try_from(data) else {
            let len = data.len();
            return Err(Violation::Width { offset, len });
        };
        match self
            .registers
            .write(offset, u32::from_le_bytes(value), memory)?
        {
            Effect::None => Ok(false),
            Effect::Notify => Ok(true),
            Effect::Reset => {
                self.console = Console::default();
                self.streams = Streams::default();
                Ok(false)
            }
        }
    }

    /// Does all that can be done now on all queues.
    pub(crate) fn serve(
        &mut self,
        memory: &Memory,
        backend: &mut dyn Backend,
        doorbells: Doorbells,
    ) -> Result<Pass, Violation> {
        let mut pass = Pass::default();
        if !self.registers.is_running() {
            return Ok(pass);
        }
        let result = self.serve_queues(memory, backend, doorbells, &mut pass);
        if result.is_err() {
            self.registers.needs_reset();
        }
        result.map(|()| pass)
    }

    fn serve_queues(
        &mut self,
        memory: &Memory,
        backend: &mut dyn Backend,
        doorbells: Doorbells,
        pass: &mut Pass,
    ) -> Result<(), Violation> {
        let Self {
            registers,
            console,
            streams,
            buffer,
        } = self;
        let [control, tx, rx, text] = &mut registers.queues;
        for (index, queue) in [
            (device::CONSOLE, text),
            (device::CONTROL, control),
            (device::TX, tx),
        ] {
            if !queue.ready() {
                continue;
            }
            let mut port = Port::new(memory, queue, buffer, doorbells)?;
            let more = match index {
                device::CONSOLE => console.serve(&mut port, backend)?,
                device::CONTROL => streams.serve_control(&mut port, backend)?,
                _ => streams.serve_tx(&mut port, backend)?,
            };
            port.close(pass, more)?;
        }
        if rx.ready() {
            let mut port = Port::new(memory, rx, buffer, doorbells)?;
            let more = streams.serve_rx(&mut port, backend)?;
            port.close(pass, more)?;
        }
        Ok(())
    }

    /// Whether all text that the guest has offered is delivered. Of meaning after a pass without
    /// more to do.
    pub(crate) fn console_is_empty(&self) -> bool {
        self.console.is_empty()
    }

    /// Whether a queue has chains that were used, and of which the driver asked to be told, and
    /// which it has not seen.
    pub(crate) fn has_unseen(&self, memory: &Memory) -> bool {
        let unseen = |queue: &Queue| {
            let event = queue.avail_ring() + 4 + 2 * u64::from(queue.size());
            let event = memory.ram().load(GuestAddress(event), Ordering::SeqCst);
            event.is_ok_and(|event: u16| {
                queue.next_used().wrapping_sub(event).wrapping_sub(1) < queue.size()
            })
        };
        let mut queues = self.registers.queues.iter();
        self.registers.is_running() && queues.any(|queue| queue.ready() && unseen(queue))
    }

    /// Whether a buffer for a stream message is at hand.
    pub(crate) fn has_room(&self) -> bool {
        self.streams.has_room()
    }
}

/// One queue, while it is served.
struct Port<'a> {
    memory: &'a Memory,
    queue: &'a mut Queue,
    /// Where messages are assembled.
    buffer: &'a mut Vec<u8>,
    doorbells: Doorbells,
    used: u64,
    bytes: u64,
}

impl<'a> Port<'a> {
    fn new(
        memory: &'a Memory,
        queue: &'a mut Queue,
        buffer: &'a mut Vec<u8>,
        doorbells: Doorbells,
    ) -> Result<Self, Violation> {
        if doorbells == Doorbells::Unwanted {
            // The event index of what it has added already: it never comes past that again.
            let event = queue.used_ring() + 4 + 8 * u64::from(queue.size());
            let passed = queue.next_avail().wrapping_sub(1);
            let stored = memory
                .ram()
                .store(passed, GuestAddress(event), Ordering::Relaxed);
            stored.map_err(|_| Violation::Rings)?;
        }
        Ok(Self {
            memory,
            queue,
            buffer,
            doorbells,
            used: 0,
            bytes: 0,
        })
    }

    /// Takes the next chain; if there is none, asks the driver for a doorbell where that is wanted.
    fn next(&mut self) -> Result<Option<Chain>, Violation> {
        loop {
            let memory = self.memory.ram();
            let head = match self.queue.iter(memory) {
                Ok(mut chains) => chains.next().map(|chain| chain.head_index()),
                Err(virtio_queue::Error::InvalidAvailRingIndex) => return Err(Violation::Overrun),
                Err(_) => return Err(Violation::Rings),
            };
            if let Some(head) = head {
                return Chain::walk(self.memory, self.queue, head).map(Some);
            }
            if self.doorbells == Doorbells::Unwanted {
                return Ok(None);
            }
            let more = self.queue.enable_notification(memory);
            if !more.map_err(|_| Violation::Rings)? {
                return Ok(None);
            }
        }
    }

    /// Gives a chain back, with `written` bytes in its writable part.
    fn give_back(&mut self, chain: &Chain, written: usize) -> Result<(), Violation> {
        self.used += 1;
        self.bytes += (chain.readable() + written) as u64;
        self.queue
            .add_used(self.memory.ram(), chain.head, written as u32)
            .map_err(|_| Violation::Rings)
    }

    /// Ends the service of this queue.
    fn close(self, pass: &mut Pass, more: bool) -> Result<(), Violation> {
        pass.more |= more;
        if self.used > 0 {
            pass.chains += self.used;
            pass.bytes += self.bytes;
            let wanted = self.queue.needs_notification(self.memory.ram());
            pass.news |= wanted.map_err(|_| Violation::Rings)?;
        }
        Ok(())
    }
}
