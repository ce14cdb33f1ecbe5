//! What a handler is told about a signal: siginfo_t, 128 bytes.

use crate::memory::plain::bytes;

/// si_code: sent by the kernel.
pub const SI_KERNEL: i32 = 0x80;
/// si_code: sent by kill(2).
pub(super) const SI_USER: i32 = 0;
/// si_code: a timer has expired.
const SI_TIMER: i32 = -2;

/// si_code: a message has come into an empty queue.
const SI_MESGQ: i32 = -3;

/// Offset of what depends on the kind of signal.
const FIELDS: usize = 16;

/// A signal with what is known about it.
#[derive(Clone, Copy)]
pub struct Info([u8; 128]);

impl Info {
    /// A signal with a code and nothing else.
    #[must_use]
    pub fn new(signal: u32, code: i32) -> Self {
        let mut info = Self([0; 128]);
        info.put(0, signal);
        info.put(8, code as u32);
        info
    }

    /// Sent by the kernel.
    #[must_use]
    pub fn from_kernel(signal: u32) -> Self {
        Self::new(signal, SI_KERNEL)
    }

    /// Sent by a process.
    #[must_use]
    pub fn from_process(signal: u32, code: i32, sender: u32, uid: u32) -> Self {
        let mut info = Self::new(signal, code);
        info.put(FIELDS, sender);
        info.put(FIELDS + 4, uid);
        info
    }

    /// A fault at an address.
    #[must_use]
    pub fn fault(signal: u32, code: i32, address: u64) -> Self {
        let mut info = Self::new(signal, code);
        info.0[FIELDS..FIELDS + 8].copy_from_slice(bytes(&address));
        info
    }

    /// A change in a child.
    #[must_use]
    pub fn child(signal: u32, code: i32, child: u32, uid: u32, status: u32) -> Self {
        let mut info = Self::from_process(signal, code, child, uid);
        info.put(FIELDS + 8, status);
        info
    }

    /// A timer of timer_create: its number, overruns and value.
    #[must_use]
    pub fn timer(signal: u32, timer: u32, overrun: u32, value: u64) -> Self {
        let mut info = Self::new(signal, SI_TIMER);
        info.put(FIELDS, timer);
        info.put(FIELDS + 4, overrun);
        info.0[FIELDS + 8..FIELDS + 16].copy_from_slice(bytes(&value));
        info
    }

    /// A message has come into a queue: who has sent it, and a value.
    #[must_use]
    pub fn message(signal: u32, sender: u32, uid: u32, value: u64) -> Self {
        let mut info = Self::from_process(signal, SI_MESGQ, sender, uid);
        info.0[FIELDS + 8..FIELDS + 16].copy_from_slice(bytes(&value));
        info
    }

    /// As a program gives it (sigqueue), for a certain signal.
    #[must_use]
    pub fn from_bytes(signal: u32, from: [u8; 128]) -> Self {
        let mut info = Self(from);
        info.put(0, signal);
        info
    }

    fn put(&mut self, at: usize, value: u32) {
        self.0[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    fn get(&self, at: usize) -> u32 {
        u32::from_le_bytes([self.0[at], self.0[at + 1], self.0[at + 2], self.0[at + 3]])
    }

    /// Whether a timer of timer_create has sent it; the sender is then the timer's number.
    #[must_use]
    pub fn is_of_timer(&self) -> bool {
        self.code() == SI_TIMER
    }

    /// Tells how often its timer expired meanwhile.
    pub fn set_overrun(&mut self, overrun: u32) {
        self.put(FIELDS + 4, overrun);
    }

    /// The signal.
    #[must_use]
    pub fn signal(&self) -> u32 {
        self.get(0)
    }

    /// si_code.
    #[must_use]
    pub fn code(&self) -> i32 {
        self.get(8) as i32
    }

    /// The sender's number, or the child's.
    #[must_use]
    pub fn sender(&self) -> u32 {
        self.get(FIELDS)
    }

    /// The sender's user.
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.get(FIELDS + 4)
    }

    /// A child's status.
    #[must_use]
    pub fn status(&self) -> u32 {
        self.get(FIELDS + 8)
    }

    /// The faulting address, for a fault.
    #[must_use]
    pub fn address(&self) -> u64 {
        u64::from(self.get(FIELDS + 4)) << 32 | u64::from(self.get(FIELDS))
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 128] {
        &self.0
    }
}
