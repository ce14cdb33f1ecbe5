//! Scripts for the guest of `guest.rs`.

use unicell_guest_abi::device::{AVAIL_OFFSET, QUEUE_NOTIFY, USED_OFFSET, ring_gpa};
use unicell_guest_abi::exit::{ExitKind, encode};
use unicell_guest_abi::layout::{DEVICE_VA, DIRECT_MAP, PAGE_SIZE, TABLES_GPA};
use unicell_guest_abi::platform;

/// Where a script keeps messages: well above what the VMM has put into RAM.
pub const SCRATCH: u64 = 4 << 20;

/// Where [`Script::map_low`] maps: an address of the program's half.
pub const LOW: u64 = 0x40_0000_0000;

/// The kernel's view of a guest-physical address.
pub const fn va(gpa: u64) -> u64 {
    DIRECT_MAP + gpa
}

/// Descriptor flags.
pub const NEXT: u16 = 1;
pub const WRITE: u16 = 2;
pub const INDIRECT: u16 = 4;

/// A script under construction.
#[derive(Clone, Default)]
pub struct Script {
    steps: Vec<[u64; 3]>,
    published: [u16; 4],
}

macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident = $op:literal;)*) => {
        $($(#[$doc])* pub fn $name(self, a: u64, b: u64) -> Self { self.step($op, a, b) })*
    };
}

impl Script {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn step(mut self, op: u64, a: u64, b: u64) -> Self {
        self.steps.push([op, a, b]);
        self
    }

    steps! {
        store8 = 0;
        store16 = 1;
        store32 = 2;
        store64 = 3;
        expect32 = 6;
        expect64 = 7;
        spin_until16 = 8;
        park_until16 = 9;
        add16 = 10;
        /// `*a = *b`, 64 bits.
        copy64 = 13;
        /// Parks until `*a == *b`, 16 bits.
        park_until_equal16 = 24;
        /// `*a -= 1`, 64 bits, and goes to step `b` unless it is zero.
        repeat = 25;
    }

    pub fn load8(self, a: u64) -> Self {
        self.step(4, a, 0)
    }

    pub fn load16(self, a: u64) -> Self {
        self.step(5, a, 0)
    }

    /// Where the next step will lie, for [`Script::go_to`].
    pub fn here(&self) -> u64 {
        self.steps.len() as u64 * 24
    }

    pub fn go_to(self, here: u64) -> Self {
        self.step(11, here, 0)
    }

    pub fn spin(self) -> Self {
        self.step(12, 0, 0)
    }

    pub fn undefined(self) -> Self {
        self.step(14, 0, 0)
    }

    pub fn privileged(self) -> Self {
        self.step(15, 0, 0)
    }

    pub fn jump(self, va: u64) -> Self {
        self.step(16, va, 0)
    }

    pub fn time_stamp(self, va: u64) -> Self {
        self.step(17, va, 0)
    }

    pub fn floating_point_state(self, va: u64) -> Self {
        self.step(18, va, 0)
    }

    pub fn interrupt_32(self) -> Self {
        self.step(19, 0, 0)
    }

    pub fn interrupt_128(self) -> Self {
        self.step(20, 0, 0)
    }

    pub fn breakpoint(self) -> Self {
        self.step(21, 0, 0)
    }

    pub fn halt(self) -> Self {
        self.step(22, 0, 0)
    }

    pub fn out(self) -> Self {
        self.step(23, 0, 0)
    }

    /// Stores bytes, eight at a time.
    pub fn bytes(mut self, gpa: u64, bytes: &[u8]) -> Self {
        for (index, chunk) in bytes.chunks(8).enumerate() {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self = self.store64(va(gpa) + 8 * index as u64, u64::from_le_bytes(word));
        }
        self
    }

    pub fn descriptor(
        self,
        queue: usize,
        index: u16,
        gpa: u64,
        len: u32,
        flags: u16,
        next: u16,
    ) -> Self {
        let at = va(ring_gpa(queue)) + 16 * u64::from(index);
        let second = u64::from(len) | u64::from(flags) << 32 | u64::from(next) << 48;
        self.store64(at, gpa).store64(at + 8, second)
    }

    /// Offers the chain that begins at `head` and rings the doorbell.
    pub fn offer(mut self, queue: usize, head: u16) -> Self {
        let ring = va(ring_gpa(queue)) + AVAIL_OFFSET;
        let slot = u64::from(self.published[queue] % 64);
        self.published[queue] += 1;
        let index = self.published[queue].into();
        self.store16(ring + 4 + 2 * slot, head.into())
            .store16(ring + 2, index)
            .ring(queue)
    }

    pub fn ring(self, queue: usize) -> Self {
        self.store32(DEVICE_VA + QUEUE_NOTIFY, queue as u64)
    }

    /// Where the device says how many chains of a queue it has used.
    pub fn used_index(queue: usize) -> u64 {
        va(ring_gpa(queue)) + USED_OFFSET + 2
    }

    /// Sleeps until the device has used everything that was offered.
    pub fn park_until_used(self, queue: usize) -> Self {
        let index = self.published[queue].into();
        let used_event = va(ring_gpa(queue)) + AVAIL_OFFSET + 4 + 2 * 64;
        self.store16(used_event, index - 1)
            .park_until16(Self::used_index(queue), index)
    }

    /// Prints text on a console channel, by descriptors 0 and 1, and waits until it is printed.
    pub fn print(self, channel: u32, text: &[u8]) -> Self {
        self.offer_text(channel, text).park_until_used(3)
    }

    /// Offers text to a console channel, by descriptors 0 and 1.
    pub fn offer_text(self, channel: u32, text: &[u8]) -> Self {
        let mut message = channel.to_le_bytes().to_vec();
        message.extend((text.len() as u32).to_le_bytes());
        message.extend(text);
        let status = SCRATCH + message.len().next_multiple_of(8) as u64;
        self.bytes(SCRATCH, &message)
            .descriptor(3, 0, SCRATCH, message.len() as u32, NEXT, 1)
            .descriptor(3, 1, status, 4, WRITE, 0)
            .store32(va(status), 0xffff_ffff)
            .offer(3, 0)
    }

    pub fn platform(self, register: u64, value: u64) -> Self {
        self.store64(DEVICE_VA + platform::REGISTERS + register, value)
    }

    pub fn park(self, deadline: u64) -> Self {
        self.platform(platform::PARK, deadline)
    }

    pub fn exit(self, status: u32) -> Self {
        self.platform(platform::EXIT, encode(ExitKind::Exited, status))
    }

    /// Maps the page at `gpa` at [`LOW`] in the program's half, for ring 3 to do anything with.
    pub fn map_low(self, gpa: u64) -> Self {
        let table = |n: u64| SCRATCH + 0x10_0000 + n * PAGE_SIZE;
        let index = |level: u64| (LOW >> (12 + 9 * (level - 1)) & 511) * 8;
        let all = 0x67;
        self.store64(va(TABLES_GPA) + index(4), table(0) | all)
            .store64(va(table(0)) + index(3), table(1) | all)
            .store64(va(table(1)) + index(2), table(2) | all)
            .store64(va(table(2)) + index(1), gpa | all)
    }

    /// The init block.
    pub fn block(&self) -> Vec<u8> {
        self.steps
            .iter()
            .flatten()
            .flat_map(|word| word.to_le_bytes())
            .collect()
    }
}
