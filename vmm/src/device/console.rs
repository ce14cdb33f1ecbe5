//! The console queue: text from the guest, by channel.
//!
//! Each channel goes at the pace of its reader: text for one that is blocked waits in the guest's
//! own buffers, and the other channels go on. At most as many texts wait as the queue has
//! descriptors.

use std::collections::VecDeque;

use unicell_guest_abi::message;
use virtio_queue::QueueT;

use super::chain::Chain;
use super::{BATCH, Port, Violation};
use crate::backend::{Backend, Channel, Written};
use crate::memory::Plain;

/// Bytes of the answer: 0 or an errno.
const STATUS: usize = 4;

/// A text that is not yet wholly delivered.
struct Text {
    chain: Chain,
    /// Of the chain's readable part, in bytes.
    done: usize,
    end: usize,
}

/// What waits to be delivered, by channel.
#[derive(Default)]
pub(super) struct Console {
    waiting: [VecDeque<Text>; Channel::ALL.len()],
}

impl Console {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.iter().all(VecDeque::is_empty)
    }

    /// Delivers what can be delivered. Returns whether there is more to do at once.
    pub(super) fn serve(
        &mut self,
        port: &mut Port<'_>,
        backend: &mut dyn Backend,
    ) -> Result<bool, Violation> {
        for channel in Channel::ALL {
            self.deliver(channel, port, backend)?;
        }
        for _ in 0..BATCH {
            let Some(chain) = port.next()? else {
                return Ok(false);
            };
            let (channel, text) = parse(chain, port)?;
            let all: usize = self.waiting.iter().map(VecDeque::len).sum();
            if all >= usize::from(port.queue.size()) {
                return Err(Violation::Message(
                    "console messages in descriptors that it has not got back",
                ));
            }
            let waiting = &mut self.waiting[channel as usize];
            waiting.push_back(text);
            // Behind a text that is blocked, nothing can be delivered either.
            if waiting.len() == 1 {
                self.deliver(channel, port, backend)?;
            }
        }
        Ok(true)
    }

    fn deliver(
        &mut self,
        channel: Channel,
        port: &mut Port<'_>,
        backend: &mut dyn Backend,
    ) -> Result<(), Violation> {
        let waiting = &mut self.waiting[channel as usize];
        while let Some(text) = waiting.front_mut() {
            let status = loop {
                if text.done == text.end {
                    break 0;
                }
                port.buffer.resize(text.end - text.done, 0);
                text.chain.read(port.memory, text.done, port.buffer);
                match backend.write(channel, port.buffer) {
                    Written::Bytes(count) => text.done = text.end.min(text.done + count),
                    Written::Blocked => return Ok(()),
                    Written::Failed(errno) => break errno,
                }
            };
            text.chain.write(port.memory, 0, &status.to_le_bytes());
            port.give_back(&text.chain, STATUS)?;
            waiting.pop_front();
        }
        Ok(())
    }
}

fn parse(chain: Chain, port: &Port<'_>) -> Result<(Channel, Text), Violation> {
    const HEADER: usize = size_of::<message::Console>();
    let header: message::Console =
        read(&chain, port).ok_or(Violation::Message("a console message without a header"))?;
    let Some(channel) = Channel::from_abi(header.channel) else {
        return Err(Violation::Message(
            "a console message on an unknown channel",
        ));
    };
    if chain.readable() - HEADER != header.len as usize || chain.writable() != STATUS {
        return Err(Violation::Message(
            "a console message of another length than it says",
        ));
    }
    let end = chain.readable();
    let text = Text {
        chain,
        done: HEADER,
        end,
    };
    Ok((channel, text))
}

/// The message header at the beginning of a chain.
pub(super) fn read<T: Plain + Send + Sync>(chain: &Chain, port: &Port<'_>) -> Option<T> {
    use crate::memory::Abi;
    use vm_memory::ByteValued;
    let mut header = Abi::<T>::zeroed();
    let bytes = header.as_mut_slice();
    (chain.read(port.memory, 0, bytes) == bytes.len()).then_some(header.0)
}
