//! Message queues (msgget(2)).
//!
//! A message goes straight to the first of those who wait for one like it, so that nobody who comes
//! later takes it from them.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::table::{Object, Table};
use super::{Permissions, READ, WRITE, now};
use crate::errno::{Errno, Result};
use crate::memory::frames;
use crate::sync::Mutex;
use crate::task::{self, Line, WaitQueue};

/// Queues, at most (MSGMNI).
pub const QUEUES_MAX: usize = 32_000;
/// Bytes of a message, at most (MSGMAX).
pub const MESSAGE_MAX: usize = 8192;
/// Bytes of a new queue's messages, at most (MSGMNB).
pub const QUEUE_SIZE: u64 = 16_384;

/// All queues.
pub static QUEUES: Table<Queue> = Table::new(QUEUES_MAX);

/// A queue of messages.
pub struct Queue {
    id: i32,
    state: Mutex<State>,
    /// Woken when there may be room for another message.
    room: WaitQueue,
}

struct State {
    permissions: Permissions,
    /// Seconds since 1970: last sent, received, changed.
    times: [u64; 3],
    /// Bytes of the messages, and how many there may be.
    bytes: u64,
    most: u64,
    last_sender: u32,
    last_receiver: u32,
    messages: VecDeque<Message>,
    /// Who waits for a message.
    pending: Line<Pending, Result<Message>>,
    removed: bool,
}

const SENT: usize = 0;
const RECEIVED: usize = 1;
const CHANGED: usize = 2;

/// A message.
pub struct Message {
    /// Its type, above 0.
    pub kind: i64,
    /// What it says.
    pub data: Vec<u8>,
}

/// Which message is wanted.
#[derive(Clone, Copy, Debug)]
pub enum Wanted {
    /// The first.
    Any,
    /// The first of this type.
    Kind(i64),
    /// The first of any other type.
    Except(i64),
    /// The first of the lowest type that is not above this one.
    Lowest(i64),
}

/// A wish for a message.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// Which.
    pub wanted: Wanted,
    /// Bytes there is room for; of a longer one the rest is lost, if it may be.
    pub room: usize,
    /// Whether it may be.
    pub truncate: bool,
}

struct Pending {
    wish: Wish,
    process: u32,
}

impl Object for Queue {
    fn id(&self) -> i32 {
        self.id
    }

    fn permissions(&self) -> Permissions {
        self.state.lock().permissions
    }

    /// Removes it and all messages. Who waits is told.
    fn remove(&self) {
        {
            let mut state = self.state.lock();
            state.removed = true;
            state.messages.clear();
            while let Some(pending) = state.pending.pop() {
                pending.answer(Err(Errno::EIDRM));
            }
        }
        self.room.wake_all();
        QUEUES.remove(self.id);
    }

    /// `struct msqid64_ds`.
    fn to_bytes(&self) -> Vec<u8> {
        let state = self.state.lock();
        let mut bytes = state.permissions.to_bytes(self.id);
        let count = state.messages.len() as u64;
        let numbers = [state.bytes, count, state.most];
        let words = state.times.iter().chain(&numbers);
        bytes.extend(words.flat_map(|word| word.to_ne_bytes()));
        bytes.extend(state.last_sender.to_ne_bytes());
        bytes.extend(state.last_receiver.to_ne_bytes());
        bytes.extend([0; 16]);
        bytes
    }
}

/// The queue of a key, made if need be: msgget(2).
///
/// # Errors
///
/// As msgget(2).
pub fn get(key: i32, flags: u32) -> Result<i32> {
    QUEUES.get(
        key,
        flags,
        |_| Ok(()),
        |id| {
            Ok(Queue {
                id,
                state: Mutex::new(State {
                    permissions: Permissions::new(key, flags),
                    times: [0, 0, now()],
                    bytes: 0,
                    most: QUEUE_SIZE,
                    last_sender: 0,
                    last_receiver: 0,
                    messages: VecDeque::new(),
                    pending: Line::default(),
                    removed: false,
                }),
                room: WaitQueue::new(),
            })
        },
    )
}

/// Messages in all queues, and bytes of them.
#[must_use]
pub fn usage() -> (usize, u64) {
    let add = |(messages, bytes): (usize, u64), queue: Arc<Queue>| {
        let state = queue.state.lock();
        (messages + state.messages.len(), bytes + state.bytes)
    };
    QUEUES.all().into_iter().fold((0, 0), add)
}

impl Wish {
    fn admits(&self, kind: i64) -> bool {
        match self.wanted {
            Wanted::Any => true,
            Wanted::Kind(wanted) => kind == wanted,
            Wanted::Except(unwanted) => kind != unwanted,
            Wanted::Lowest(most) => kind <= most,
        }
    }

    /// E2BIG if a message is longer than there is room for.
    fn check(&self, message: &Message) -> Result<()> {
        if message.data.len() > self.room && !self.truncate {
            return Err(Errno::E2BIG);
        }
        Ok(())
    }
}

impl Queue {
    /// Sends a message, when there is room: msgsnd(2).
    ///
    /// # Errors
    ///
    /// As msgsnd(2).
    pub fn send(&self, message: Message, wait: bool) -> Result<()> {
        let mut message = Some(message);
        let attempt = || {
            let sent = self.attempt_send(&mut message);
            (sent != Err(Errno::EAGAIN) || !wait).then_some(sent)
        };
        let sent = task::wait(&[&self.room], None, attempt);
        sent.map_err(|_| Errno::RESTART_UNHANDLED)?
    }

    /// EAGAIN if there is no room.
    fn attempt_send(&self, message: &mut Option<Message>) -> Result<()> {
        let mut state = self.state.lock();
        if state.removed {
            return Err(Errno::EIDRM);
        }
        state.permissions.check(WRITE)?;
        let len = message.as_ref().map_or(0, |message| message.data.len()) as u64;
        let count = state.messages.len() as u64;
        if len + state.bytes > state.most || count + 1 > state.most {
            return Err(Errno::EAGAIN);
        }
        if frames::is_scarce() {
            return Err(Errno::ENOMEM);
        }
        let Some(message) = message.take() else {
            return Ok(());
        };
        state.last_sender = task::process().id();
        state.times[SENT] = now();
        if let Some(message) = state.hand_over(message) {
            state.bytes += len;
            state.messages.push_back(message);
        }
        Ok(())
    }

    /// Receives a message, when there is one: msgrcv(2).
    ///
    /// # Errors
    ///
    /// As msgrcv(2).
    pub fn receive(&self, wish: Wish, wait: bool) -> Result<Message> {
        let ticket = {
            let mut state = self.state.lock();
            if state.removed {
                return Err(Errno::EIDRM);
            }
            state.permissions.check(READ)?;
            if let Some(at) = state.find(wish) {
                wish.check(&state.messages[at])?;
                let message = state.messages.remove(at).ok_or(Errno::ENOMSG)?;
                state.bytes -= message.data.len() as u64;
                state.received(task::process().id());
                self.room.wake_all();
                return Ok(message);
            }
            if !wait {
                return Err(Errno::ENOMSG);
            }
            state.pending.join(Pending {
                wish,
                process: task::process().id(),
            })
        };
        let answered = ticket.wait(None, |ticket| self.state.lock().pending.leave(ticket));
        answered.unwrap_or(Err(Errno::RESTART_UNHANDLED))
    }

    /// Gives it another owner, other permissions, and room for so many bytes.
    pub fn change(&self, uid: u32, gid: u32, mode: u32, most: u64) {
        let mut state = self.state.lock();
        state.permissions.change(uid, gid, mode);
        state.most = most;
        state.times[CHANGED] = now();
        self.room.wake_all();
    }
}

impl State {
    /// The place of the message that is wanted.
    fn find(&self, wish: Wish) -> Option<usize> {
        let kinds = self.messages.iter().map(|message| message.kind).enumerate();
        let mut fitting = kinds.filter(|(_, kind)| wish.admits(*kind));
        match wish.wanted {
            // Of several, the first.
            Wanted::Lowest(_) => fitting.min_by_key(|(_, kind)| *kind),
            _ => fitting.next(),
        }
        .map(|(at, _)| at)
    }

    /// Gives a message to the first who waits for one like it; returns it if nobody does. Those for
    /// whom it is too long are told so.
    fn hand_over(&mut self, message: Message) -> Option<Message> {
        let admits = |pending: &Pending| pending.wish.admits(message.kind);
        while let Some(pending) = self.pending.take_first(admits) {
            match pending.wish.wish.check(&message) {
                Err(errno) => {
                    pending.answer(Err(errno));
                }
                Ok(()) => {
                    self.received(pending.wish.process);
                    pending.answer(Ok(message));
                    return None;
                }
            }
        }
        Some(message)
    }

    fn received(&mut self, by: u32) {
        self.last_receiver = by;
        self.times[RECEIVED] = now();
    }
}
