//! POSIX message queues (mq_overview(7)), as open files.
//!
//! A message goes straight to the first who waits for one, and the message of the first who waits
//! for room comes in as soon as another is taken: nobody who comes later is first.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_raw_sys::general as linux;

use super::anonymous;
use super::file::{Events, File};
use super::permission;
use super::stat::{Kind, Stat};
use crate::errno::{Errno, Result};
use crate::io::Sink;
use crate::memory::frames;
use crate::net::Protocol;
use crate::signal::{self, Info};
use crate::sync::Mutex;
use crate::task::{self, Credentials, Line, WaitQueue, numbers};

/// One above the highest priority (MQ_PRIO_MAX).
pub const PRIORITIES: u32 = 32_768;
/// Messages of a queue and bytes of a message, where nobody says how many, and at most: for
/// everybody, and for who may lift limits.
pub const USUAL: Shape = Shape {
    messages: 10,
    size: 8192,
};
const HARD: Shape = Shape {
    messages: 65_536,
    size: 16 << 20,
};
/// Queues, at most, but for who may lift limits.
const QUEUES_MAX: usize = 256;
/// What Linux needs for a message and for a priority, beside what the message says.
const OVERHEAD: u64 = 48;
/// Bytes of a name, at most.
const NAME_MAX: usize = 255;
/// Bytes that reading a queue gives.
const STATUS_SIZE: u64 = 80;

/// By name.
static QUEUES: Mutex<BTreeMap<Vec<u8>, Arc<Queue>>> = Mutex::new(BTreeMap::new());
/// Bytes that the queues of each user may come to.
static USED: Mutex<BTreeMap<u32, u64>> = Mutex::new(BTreeMap::new());

/// How many messages a queue takes, and of how many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Messages.
    pub messages: u64,
    /// Bytes of each.
    pub size: u64,
}

/// A queue of messages.
pub struct Queue {
    name: Vec<u8>,
    ino: u64,
    permissions: u32,
    uid: u32,
    gid: u32,
    /// What it takes.
    pub shape: Shape,
    /// Whose limit its bytes count for, and how many they are.
    paid: (u32, u64),
    state: Mutex<State>,
    changed: WaitQueue,
}

#[derive(Default)]
struct State {
    /// By priority.
    messages: BTreeMap<u32, VecDeque<Vec<u8>>>,
    count: u64,
    /// Bytes of all.
    bytes: u64,
    /// Who waits for a message, and who for room for one.
    receivers: Line<(), Message>,
    senders: Line<Message, ()>,
    watcher: Option<Watcher>,
}

/// A message and its priority.
pub struct Message {
    /// The higher, the sooner.
    pub priority: u32,
    /// What it says.
    pub data: Vec<u8>,
}

/// Who is told when a message comes into the empty queue, once.
struct Watcher {
    process: u32,
    how: Notice,
}

/// How somebody is told.
pub enum Notice {
    /// Not at all.
    None,
    /// By a signal with a value.
    Signal(u32, u64),
    /// By a datagram of these bytes to a netlink socket, where a thread of libc waits.
    Datagram(Arc<dyn Protocol>, Vec<u8>),
}

/// The last of a datagram's bytes: a message came; nobody is told any more.
const CAME: u8 = 1;
const REMOVED: u8 = 2;

fn check_name(name: &[u8]) -> Result<()> {
    match name {
        b"" => Err(Errno::ENOENT),
        b"." | b".." => Err(Errno::EACCES),
        name if name.contains(&b'/') => Err(Errno::EACCES),
        name if name.len() > NAME_MAX => Err(Errno::ENAMETOOLONG),
        _ => Ok(()),
    }
}

/// The queue of a name, opened with `flags` (O_*); made, with these permissions, if that was asked
/// for.
///
/// # Errors
///
/// As mq_open(2).
pub fn open(name: &[u8], flags: u32, permissions: u32, shape: Option<Shape>) -> Result<Arc<Queue>> {
    check_name(name)?;
    let who = task::process().credentials();
    let mut queues = QUEUES.lock();
    if let Some(queue) = queues.get(name) {
        if flags & (linux::O_CREAT | linux::O_EXCL) == linux::O_CREAT | linux::O_EXCL {
            return Err(Errno::EEXIST);
        }
        let wanted = match flags & linux::O_ACCMODE {
            linux::O_RDONLY => permission::READ,
            linux::O_WRONLY => permission::WRITE,
            linux::O_RDWR => permission::READ | permission::WRITE,
            _ => return Err(Errno::EINVAL),
        };
        permission::check(&queue.stat(), wanted, &who)?;
        return Ok(Arc::clone(queue));
    }
    if flags & linux::O_CREAT == 0 {
        return Err(Errno::ENOENT);
    }
    if queues.len() >= QUEUES_MAX && !who.can(linux::CAP_SYS_RESOURCE) {
        return Err(Errno::ENOSPC);
    }
    if frames::is_scarce() {
        return Err(Errno::ENOMEM);
    }
    let shape = shape.unwrap_or(USUAL);
    shape.check(&who)?;
    let queue = Arc::new(Queue {
        name: name.to_vec(),
        ino: anonymous::new_ino(),
        permissions,
        uid: who.fsuid,
        gid: who.fsgid,
        shape,
        paid: pay(who.uid, shape.bytes())?,
        state: Mutex::default(),
        changed: WaitQueue::new(),
    });
    queues.insert(name.to_vec(), Arc::clone(&queue));
    Ok(queue)
}

/// Removes a name. Who has the queue open keeps it.
///
/// # Errors
///
/// As mq_unlink(2).
pub fn unlink(name: &[u8]) -> Result<()> {
    check_name(name)?;
    let mut queues = QUEUES.lock();
    let queue = queues.get(name).ok_or(Errno::ENOENT)?;
    let who = task::process().credentials();
    // As in a directory of root's where each may remove what is its own.
    if who.fsuid != queue.uid && who.fsuid != 0 && !who.can(linux::CAP_FOWNER) {
        return Err(Errno::EPERM);
    }
    let removed = queues.remove(name);
    drop(queues);
    drop(removed);
    Ok(())
}

/// Lets a user have so many bytes of queues more.
fn pay(user: u32, bytes: u64) -> Result<(u32, u64)> {
    let limit = task::process().limits.lock().of(linux::RLIMIT_MSGQUEUE).0;
    let mut used = USED.lock();
    let used = used.entry(user).or_default();
    let sum = used.saturating_add(bytes);
    if sum > limit {
        return Err(Errno::EMFILE);
    }
    *used = sum;
    Ok((user, bytes))
}

impl Shape {
    fn check(self, who: &Credentials) -> Result<()> {
        let most = if who.can(linux::CAP_SYS_RESOURCE) {
            HARD
        } else {
            USUAL
        };
        if !(1..=most.messages).contains(&self.messages) || !(1..=most.size).contains(&self.size) {
            return Err(Errno::EINVAL);
        }
        Ok(())
    }

    /// Bytes that it may come to, as Linux counts them.
    fn bytes(self) -> u64 {
        let priorities = self.messages.min(PRIORITIES.into());
        self.messages * (self.size + OVERHEAD) + priorities * OVERHEAD
    }
}

impl Queue {
    /// Sends a message, when there is room: mq_timedsend(2).
    ///
    /// # Errors
    ///
    /// As mq_timedsend(2).
    pub fn send(&self, message: Message, nonblocking: bool, deadline: Option<u64>) -> Result<()> {
        let ticket = {
            let mut state = self.state.lock();
            if frames::is_scarce() {
                return Err(Errno::ENOMEM);
            }
            if state.count < self.shape.messages {
                self.put(&mut state, message);
                return Ok(());
            }
            if nonblocking {
                return Err(Errno::EAGAIN);
            }
            state.senders.join(message)
        };
        ticket.wait(deadline, |ticket| self.state.lock().senders.leave(ticket))
    }

    fn put(&self, state: &mut State, message: Message) {
        if let Some(receiver) = state.receivers.pop() {
            receiver.answer(message);
        } else {
            state.keep(message);
            if state.count == 1
                && let Some(watcher) = state.watcher.take()
            {
                watcher.tell();
            }
        }
        self.changed.wake_all();
    }

    /// Takes the oldest of the most urgent messages, when there is one: mq_timedreceive(2).
    ///
    /// # Errors
    ///
    /// As mq_timedreceive(2).
    pub fn receive(&self, nonblocking: bool, deadline: Option<u64>) -> Result<Message> {
        let ticket = {
            let mut state = self.state.lock();
            if let Some(message) = state.take() {
                if let Some(sender) = state.senders.pop() {
                    state.keep(sender.answer(()));
                }
                self.changed.wake_all();
                return Ok(message);
            }
            if nonblocking {
                return Err(Errno::EAGAIN);
            }
            state.receivers.join(())
        };
        ticket.wait(deadline, |ticket| self.state.lock().receivers.leave(ticket))
    }

    /// Has the running process told of the next message that comes into the empty queue.
    ///
    /// # Errors
    ///
    /// EBUSY if another is to be told.
    pub fn watch(&self, how: Notice) -> Result<()> {
        let mut state = self.state.lock();
        let held = |watcher: &Watcher| numbers::by_id(watcher.process).is_some();
        if state.watcher.as_ref().is_some_and(held) {
            return Err(Errno::EBUSY);
        }
        let process = task::process().id();
        state.watcher = Some(Watcher { process, how });
        Ok(())
    }

    /// Has the running process told of nothing any more.
    pub fn unwatch(&self) {
        let process = task::process().id();
        let mut state = self.state.lock();
        if let Some(watcher) = state.watcher.take_if(|watcher| watcher.process == process)
            && let Notice::Datagram(socket, cookie) = &watcher.how
        {
            socket.notice(ended_by(cookie, REMOVED));
        }
    }

    /// Messages that are there.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.state.lock().count
    }

    fn status(&self) -> String {
        let state = self.state.lock();
        let (how, signal, process) = match &state.watcher {
            None => (0, 0, 0),
            Some(watcher) => match watcher.how {
                Notice::Signal(signal, _) => (0, signal, watcher.process),
                Notice::None => (1, 0, watcher.process),
                Notice::Datagram(..) => (2, 0, watcher.process),
            },
        };
        let bytes = state.bytes;
        format!("QSIZE:{bytes:<10} NOTIFY:{how:<5} SIGNO:{signal:<5} NOTIFY_PID:{process:<6}\n")
    }
}

fn ended_by(cookie: &[u8], last: u8) -> Vec<u8> {
    let mut bytes = cookie.to_vec();
    if let Some(end) = bytes.last_mut() {
        *end = last;
    }
    bytes
}

impl Watcher {
    /// A message of the running process has come.
    fn tell(self) {
        match self.how {
            Notice::None => {}
            Notice::Signal(signal, value) => {
                let sender = task::process();
                let uid = sender.credentials.lock().uid;
                if let Some(process) = numbers::by_id(self.process) {
                    // A full queue of signals is the process' own matter.
                    let told = Info::message(signal, sender.id(), uid, value);
                    let _ = signal::send_to_process(&process, told);
                }
            }
            Notice::Datagram(socket, cookie) => socket.notice(ended_by(&cookie, CAME)),
        }
    }
}

impl State {
    fn keep(&mut self, message: Message) {
        self.count += 1;
        self.bytes += message.data.len() as u64;
        let alike = self.messages.entry(message.priority).or_default();
        alike.push_back(message.data);
    }

    fn take(&mut self) -> Option<Message> {
        let mut most_urgent = self.messages.last_entry()?;
        let priority = *most_urgent.key();
        let data = most_urgent.get_mut().pop_front()?;
        if most_urgent.get().is_empty() {
            most_urgent.remove();
        }
        self.count -= 1;
        self.bytes -= data.len() as u64;
        Some(Message { priority, data })
    }
}

impl File for Queue {
    fn stat(&self) -> Stat {
        Stat {
            uid: self.uid,
            gid: self.gid,
            size: STATUS_SIZE,
            ..anonymous::stat(self.ino, Kind::Regular.mode() | self.permissions)
        }
    }

    fn is_seekable(&self) -> bool {
        true
    }

    fn size(&self) -> u64 {
        STATUS_SIZE
    }

    fn read(&self, offset: u64, sink: &mut Sink<'_>) -> Result<usize> {
        let status = self.status();
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        sink.write(status.as_bytes().get(from..).unwrap_or_default())
    }

    fn poll(&self) -> Events {
        let count = self.count();
        let mut events = Events::empty();
        events.set(Events::READ, count > 0);
        events.set(Events::WRITE, count < self.shape.messages);
        events
    }

    fn queue(&self) -> Option<&WaitQueue> {
        Some(&self.changed)
    }

    fn descriptor_closed(&self) {
        self.unwatch();
    }

    fn name(&self) -> Vec<u8> {
        [b"/", &self.name[..]].concat()
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let (user, bytes) = self.paid;
        let mut used = USED.lock();
        if let Some(left) = used.get_mut(&user) {
            *left -= bytes;
            if *left == 0 {
                used.remove(&user);
            }
        }
    }
}
