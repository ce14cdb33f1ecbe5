//! The control queue: requests to the gateway, one at a time for each thread that makes one.

use alloc::vec::Vec;

use unicell_guest_abi::device::CONTROL;
use unicell_guest_abi::message::Reply;
use unicell_guest_abi::platform::NEVER;

use super::platform;
use super::ring::{Ring, SLOTS};
use crate::errno::{Errno, Result};
use crate::memory::{Frame, PAGE_SIZE};
use crate::reproducible;
use crate::sync::Mutex;
use crate::task::{self, WaitQueue};

const HEADER: usize = 16;
const REPLY: usize = PAGE_SIZE as usize - size_of::<Reply>();

struct State {
    ring: Ring,
    /// The pages of requests that the device has or has answered.
    pages: [Option<Frame>; SLOTS as usize],
    answered: u32,
}

static STATE: Mutex<State> = Mutex::new(State {
    ring: Ring::new(CONTROL),
    pages: [const { None }; SLOTS as usize],
    answered: 0,
});

static ANSWERS: WaitQueue = WaitQueue::new();

/// Takes answers and wakes who waits for them.
pub(super) fn poll() {
    let mut news = false;
    {
        let mut state = STATE.lock();
        while let Some((slot, _)) = state.ring.take_used() {
            state.answered |= 1 << slot;
            news = true;
        }
        if news {
            state.ring.want_news(true);
        }
    }
    if news {
        ANSWERS.wake_all();
    }
}

/// Waits for the answer without letting any other thread run.
fn wait_on_the_spot(slot: usize) {
    loop {
        poll();
        if STATE.lock().answered & 1 << slot != 0 {
            return;
        }
        platform::park(NEVER);
    }
}

/// Makes a request and waits for the answer: the bytes that may be sent on the stream.
///
/// # Errors
///
/// What the gateway answers; EAGAIN if too many requests are under way.
pub fn request(op: u32, stream: u32, credit: u32, payload: &[u8]) -> Result<u32> {
    let slot = {
        let mut state = STATE.lock();
        let free = state.pages.iter().position(Option::is_none);
        let slot = free.ok_or(Errno::EAGAIN)?;
        let page = Frame::uninitialised()?;
        let header: Vec<u8> = [op, stream, credit, payload.len() as u32]
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        page.write(0, &header);
        page.write(HEADER, payload);
        let readable = (page.address(), (HEADER + payload.len()) as u32);
        let writable = (page.address() + REPLY as u64, size_of::<Reply>() as u32);
        state.ring.add(slot as u16, &[readable], &[writable]);
        state.pages[slot] = Some(page);
        state.ring.want_news(true);
        state.ring.kick(1);
        slot
    };
    if reproducible::is_on() {
        wait_on_the_spot(slot);
    }
    // Not interruptible: the page is the device's until it has answered, which it always does.
    task::wait_uninterrupted(&[&ANSWERS], || {
        let mut state = STATE.lock();
        let done = state.answered & 1 << slot != 0;
        state.answered &= !(1 << slot);
        done.then_some(())
    });
    let page = STATE.lock().pages[slot].take().ok_or(Errno::EIO)?;
    let mut reply = [0; 8];
    page.read(REPLY, &mut reply);
    let word =
        |at: usize| u32::from_le_bytes([reply[at], reply[at + 1], reply[at + 2], reply[at + 3]]);
    match word(0) {
        0 => Ok(word(4)),
        errno => Err(Errno::new(errno as u16)),
    }
}
