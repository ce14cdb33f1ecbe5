//! The control queue and the two queues of stream messages.

use unicell_guest_abi::message::{Reply, Request, Stream};
use vm_memory::ByteValued;

use super::chain::{Chain, Data, Room};
use super::console::read;
use super::{BATCH, Port, Violation};
use crate::backend::{Backend, Nonsense};
use crate::memory::Abi;

const REPLY: usize = size_of::<Reply>();
const HEADER: usize = size_of::<Stream>();

/// What is under way on the queues of streams.
#[derive(Default)]
pub(super) struct Streams {
    /// An empty buffer of the guest, taken and not yet filled.
    room: Option<Chain>,
}

fn nonsense(what: Nonsense) -> Violation {
    Violation::Message(what.0)
}

impl Streams {
    pub(super) fn has_room(&self) -> bool {
        self.room.is_some()
    }

    /// Serves requests. Returns whether there is more to do at once.
    pub(super) fn serve_control(
        &mut self,
        port: &mut Port<'_>,
        backend: &mut dyn Backend,
    ) -> Result<bool, Violation> {
        for _ in 0..BATCH {
            let Some(chain) = port.next()? else {
                return Ok(false);
            };
            let header: Request =
                read(&chain, port).ok_or(Violation::Message("a request without a header"))?;
            let payload = payload(&chain, port, size_of::<Request>(), header.len)
                .filter(|_| chain.writable() == REPLY)
                .ok_or(Violation::Message(
                    "a request of another length than it says",
                ))?;
            let reply = backend.control(&header, payload).map_err(nonsense)?;
            chain.write(port.memory, 0, Abi(reply).as_slice());
            port.give_back(&chain, REPLY)?;
        }
        Ok(true)
    }

    /// Takes messages of the guest. Returns whether there is more to do at once.
    pub(super) fn serve_tx(
        &mut self,
        port: &mut Port<'_>,
        backend: &mut dyn Backend,
    ) -> Result<bool, Violation> {
        for _ in 0..BATCH {
            let Some(chain) = port.next()? else {
                return Ok(false);
            };
            let header: Stream = read(&chain, port)
                .ok_or(Violation::Message("a stream message without a header"))?;
            if chain.readable() - HEADER != header.len as usize || chain.writable() != 0 {
                return Err(Violation::Message(
                    "a stream message of another length than it says",
                ));
            }
            let data = Data::new(port.memory, &chain, HEADER);
            backend.send(&header, &data).map_err(nonsense)?;
            port.give_back(&chain, 0)?;
        }
        Ok(true)
    }

    /// Fills buffers of the guest. Returns whether there is more to do at once.
    pub(super) fn serve_rx(
        &mut self,
        port: &mut Port<'_>,
        backend: &mut dyn Backend,
    ) -> Result<bool, Violation> {
        for _ in 0..BATCH {
            if self.room.is_none() {
                self.room = port.next()?;
            }
            let Some(chain) = &self.room else {
                return Ok(false);
            };
            if chain.writable() < HEADER {
                return Err(Violation::Message(
                    "a buffer too short for a stream message",
                ));
            }
            if chain.readable() != 0 {
                return Err(Violation::Message(
                    "a buffer for stream messages that is not empty",
                ));
            }
            let room = Room::new(port.memory, chain, HEADER);
            let Some(header) = backend.receive(&room) else {
                return Ok(false);
            };
            let len = (header.len as usize).min(room.len());
            chain.write(port.memory, 0, Abi(header).as_slice());
            if let Some(chain) = self.room.take() {
                port.give_back(&chain, HEADER + len)?;
            }
        }
        Ok(true)
    }
}

/// The `len` bytes after the header, if that is all there is.
fn payload<'a>(chain: &Chain, port: &'a mut Port<'_>, header: usize, len: u32) -> Option<&'a [u8]> {
    let len = len as usize;
    if chain.readable().checked_sub(header)? != len {
        return None;
    }
    port.buffer.resize(len, 0);
    chain.read(port.memory, header, port.buffer);
    Some(port.buffer)
}
