//! The gateway device: virtio-mmio version 2 at [`crate::layout::DEVICE_GPA`].
//!
//! Split rings, VERSION_1 and EVENT_IDX, no indirect descriptors, no interrupts: the driver looks
//! at its used rings, and [`crate::platform::PARK`] returns when one of them has moved past the
//! event index that the driver set.
//!
//! The VMM hands the device over *running*: features are accepted, every queue is ready with
//! [`QUEUE_SIZE`] descriptors and its rings at [`ring_gpa`], the status is DRIVER_OK. A driver
//! that follows this page need not touch a configuration register, each of which costs an exit;
//! one that prefers to may reset the device and set it up by the book.
//!
//! Registers are 4-byte accesses with plain `mov`.

/// "virt", register 0x000.
pub const MAGIC: u32 = 0x7472_6976;
/// Register 0x004: virtio-mmio version 2.
pub const VERSION: u32 = 2;
/// Register 0x008. Virtio assigns no device this number; it is ours.
pub const DEVICE_ID: u32 = 0x5543;
/// Register 0x00c.
pub const VENDOR_ID: u32 = 0x4c43_4e55;
/// Register 0x050: write a queue's index to say that it has new buffers (an ioeventfd).
pub const QUEUE_NOTIFY: u64 = 0x050;

/// Features offered: VIRTIO_F_VERSION_1 (32) and VIRTIO_F_EVENT_IDX (29).
pub const FEATURES: u64 = 1 << 32 | 1 << 29;

/// Number of queues.
pub const QUEUES: usize = 4;
/// Requests of the driver, each a chain of readable descriptors with a request and writable ones
/// for the reply.
pub const CONTROL: usize = 0;
/// Stream messages from the guest.
pub const TX: usize = 1;
/// Empty buffers for stream messages to the guest.
pub const RX: usize = 2;
/// What the program prints, and the kernel's log.
pub const CONSOLE: usize = 3;

/// Descriptors in each queue, as handed over and at most.
pub const QUEUE_SIZE: u16 = 64;
/// Distance between the rings of two queues.
pub const RING_STRIDE: u64 = 0x800;
/// Offset of the driver's ring (avail) in a queue's memory; the descriptor table is at 0.
pub const AVAIL_OFFSET: u64 = 0x400;
/// Offset of the device's ring (used).
pub const USED_OFFSET: u64 = 0x500;

/// Where the rings of a queue lie at hand-over.
#[must_use]
pub const fn ring_gpa(queue: usize) -> u64 {
    crate::layout::RINGS_GPA + queue as u64 * RING_STRIDE
}

/// Bytes in one chain, at most; a longer one breaks the protocol.
pub const CHAIN_MAX: u32 = 128 << 10;

const _: () = {
    let size = QUEUE_SIZE as u64;
    assert!(size * 16 <= AVAIL_OFFSET);
    assert!(AVAIL_OFFSET + 6 + 2 * size <= USED_OFFSET);
    assert!(USED_OFFSET + 6 + 8 * size <= RING_STRIDE);
};
