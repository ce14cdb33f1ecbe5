//! The processor: entry and exit, the ring-0 gate, extended state, switching between threads.

pub mod context;
pub mod cpu;
mod entry;
pub mod frame;
pub mod gate;
mod vdso;
pub mod xstate;

pub use context::Context;
pub use frame::Frame;

/// The address of the last page fault.
#[must_use]
pub fn fault_address() -> u64 {
    #[cfg(feature = "image")]
    return entry::fault_address();
    #[cfg(not(feature = "image"))]
    0
}

/// The vDSO: a shared object of one page.
#[must_use]
pub fn vdso() -> &'static [u8] {
    #[cfg(feature = "image")]
    return vdso::bytes();
    #[cfg(not(feature = "image"))]
    &[]
}

/// Ends the instance with a panic's message and the backtrace of its caller.
#[cfg(feature = "image")]
pub(crate) fn report_panic(info: &core::panic::PanicInfo<'_>) -> ! {
    use unicell_guest_abi::exit::{ExitKind, REPORT_FRAMES};
    let mut trace = [0; REPORT_FRAMES];
    let len = entry::backtrace(cpu::base_pointer(), &mut trace);
    crate::device::platform::end_with_frames(
        ExitKind::Panic,
        0,
        format_args!("{info}"),
        &trace[..len],
    )
}
