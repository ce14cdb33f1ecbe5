//! The platform page: two registers that exit to the VMM, and a page of shared memory.
//!
//! Registers are 8-byte stores with plain `mov`, at `DEVICE_GPA + REGISTERS + offset`.

/// Offset of the platform registers from [`crate::layout::DEVICE_GPA`].
pub const REGISTERS: u64 = 0x1000;
/// Write a deadline in nanoseconds of the monotonic clock ([`NEVER`] for none): the vCPU sleeps
/// until the device has used a buffer for which the driver asked to be notified, or until the
/// deadline. May return early.
pub const PARK: u64 = 0x00;
/// Write [`crate::exit::encode`] of how the instance ends. Does not return. Everything on the
/// console queue before this store is delivered first.
pub const EXIT: u64 = 0x08;
/// In a reproducible run, asks for input at this system call ([`Counters::syscalls`]): the device
/// may use one buffer for stream messages, and does so at no other moment. Write for how many
/// nanoseconds of the host to wait for it: 0 not to, [`NEVER`] until there is some.
pub const INPUT: u64 = 0x10;
/// No deadline.
pub const NEVER: u64 = u64::MAX;

/// Converts time stamp counts to time, as pvclock does. Host to guest.
///
/// `ns = mono_ns + (((rdtsc - tsc) as u128 * mult) >> 32)`, valid if `seq` was even and the same
/// before and after the read. Real time is `ns + realtime_offset`.
///
/// In a reproducible run `mult` is 0 and the page never changes: time begins at `mono_ns` and is
/// the guest's to count.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Clock {
    /// Odd while the host writes.
    pub seq: u32,
    /// Zero.
    pub reserved: u32,
    /// Guest time stamp counter at the moment of `mono_ns`.
    pub tsc: u64,
    /// Monotonic nanoseconds at `tsc`.
    pub mono_ns: u64,
    /// What to add to monotonic time to get nanoseconds since 1970.
    pub realtime_offset: i64,
    /// Nanoseconds for each count, times 2^32.
    pub mult: u64,
}

/// What the guest counts, for `--stats`. Guest to host, never trusted for billing.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Counters {
    /// Time stamp when the kernel began.
    pub kernel_start: u64,
    /// Time stamp just before the program's first instruction.
    pub program_start: u64,
    /// System calls served.
    pub syscalls: u64,
    /// Page faults of the program.
    pub page_faults: u64,
    /// Passages through the ring-0 gate.
    pub gates: u64,
    /// Switches between threads.
    pub switches: u64,
    /// Preemption interrupts taken.
    pub preemptions: u64,
    /// Pages of RAM in use.
    pub pages_used: u64,
    /// The most pages of RAM that were in use at once.
    pub pages_peak: u64,
}

/// Rows of the table at [`Shared::calls`].
pub const CALL_ROWS: usize = 512;
/// Bytes of a call's name.
pub const CALL_NAME: usize = 24;

/// What the guest has counted of one system call. Guest to host.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct CallCount {
    /// Its name, in ASCII, followed by zeros.
    pub name: [u8; CALL_NAME],
    /// How often it has returned.
    pub calls: u64,
    /// How often with an error.
    pub errors: u64,
    /// Nanoseconds of the processor that its callers spent in it.
    pub ns: u64,
}

impl CallCount {
    /// A call that was never made.
    pub const NONE: Self = Self {
        name: [0; CALL_NAME],
        calls: 0,
        errors: 0,
        ns: 0,
    };
}

/// The page at [`crate::layout::SHARED_GPA`]. Each side writes only its own fields.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Shared {
    /// Host to guest: the clock.
    pub clock: Clock,
    /// Host sets to 1, guest clears: leave the program and look around. Set instead of an
    /// injection when the vCPU is inside the kernel.
    pub preempt: u32,
    /// Guest to host: 1 while another thread is ready to run, so that time slices are wanted.
    pub contended: u32,
    /// Guest to host: the next deadline of a sleeping thread, monotonic ns, or [`NEVER`].
    pub deadline: u64,
    /// Zero; the guest's fields below start on a cache line of their own.
    pub reserved: [u64; 9],
    /// Guest to host.
    pub counters: Counters,
    /// Guest to host: the guest-physical address of [`CALL_ROWS`] times [`CallCount`], or 0 where
    /// nothing is counted. Rows of no call lie anywhere between the others.
    pub calls: u64,
}

const _: () = {
    use core::mem::offset_of;
    assert!(size_of::<Clock>() == 40);
    assert!(size_of::<CallCount>() == CALL_NAME + 24);
    assert!(offset_of!(Shared, preempt) == 40);
    assert!(offset_of!(Shared, contended) == 44);
    assert!(offset_of!(Shared, deadline) == 48);
    assert!(offset_of!(Shared, counters) == 128);
    assert!(size_of::<Shared>() == 128 + 72 + 8);
};
