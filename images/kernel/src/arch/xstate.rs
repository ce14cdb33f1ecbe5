//! Extended processor state: everything that XSAVE knows, of a size that CPUID tells.
//!
//! While the kernel runs, XMM registers are the kernel's and the program's are in its [`Frame`];
//! all else (x87, MXCSR, the upper halves of YMM and ZMM, masks, PKRU) stays in the processor
//! until another thread is switched to.
#![allow(unsafe_code)]

use alloc::alloc::{alloc_zeroed, dealloc};
use alloc::vec::Vec;
use core::alloc::Layout;
use core::arch::asm;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::Frame;
use crate::errno::{Errno, Result};
use unicell_guest_abi::boot::BootInfo;

static SIZE: AtomicUsize = AtomicUsize::new(0);
static MASK: AtomicU64 = AtomicU64::new(0);
static SHOWN_SIZE: AtomicUsize = AtomicUsize::new(0);
static SHOWN_MASK: AtomicU64 = AtomicU64::new(0);

/// Bytes of the legacy region and the header.
const STANDARD: usize = 576;
const CONTROL_WORD: usize = 0;
const MXCSR: usize = 24;
const XMM: usize = 160;
/// XSTATE_BV: which components are not in their initial state.
const COMPONENTS: usize = 512;
/// x87 and SSE.
const LEGACY: u64 = 3;

/// The leaf of CPUID that tells of extended state.
const LEAF: u32 = 0xd;

/// Takes what the VMM tells. Called once.
pub fn init(boot: &BootInfo) {
    let size = (boot.xstate_size as usize).max(STANDARD);
    MASK.store(boot.xstate_mask, Ordering::Relaxed);
    SIZE.store(size, Ordering::Relaxed);
    let (shown_mask, shown_size) = shown_by(boot).unwrap_or((boot.xstate_mask, size));
    SHOWN_MASK.store(shown_mask & boot.xstate_mask | LEGACY, Ordering::Relaxed);
    SHOWN_SIZE.store(shown_size.clamp(STANDARD, size), Ordering::Relaxed);
}

/// The components and the size of extended state that CPUID tells a program of a reproducible run.
fn shown_by(boot: &BootInfo) -> Option<(u64, usize)> {
    let count = (boot.cpuid_count as usize).min(boot.cpuid.len());
    let told = boot.cpuid[..count].iter();
    let leaf = told
        .clone()
        .find(|told| (told.leaf, told.part) == (LEAF, 0));
    let [low, size, _, high] = leaf.map_or([0; 4], |leaf| leaf.values);
    (count != 0).then_some((u64::from(low) | u64::from(high) << 32, size as usize))
}

/// Bytes of a saved state.
#[must_use]
pub fn size() -> usize {
    SIZE.load(Ordering::Relaxed)
}

/// The components that are on.
#[must_use]
pub fn mask() -> u64 {
    MASK.load(Ordering::Relaxed)
}

/// Bytes of a saved state that a program sees. Fewer than [`size`] where the processor has more than
/// the program is told: then all of it is kept from turn to turn, and so much is shown.
#[must_use]
pub fn shown_size() -> usize {
    SHOWN_SIZE.load(Ordering::Relaxed)
}

/// The components that a program sees.
#[must_use]
pub fn shown_mask() -> u64 {
    SHOWN_MASK.load(Ordering::Relaxed)
}

/// A saved state, in XSAVE's standard format.
pub struct State(NonNull<u8>);

// SAFETY: owns its memory.
unsafe impl Send for State {}
// SAFETY: shared references only read it; the processor writes it through exclusive ones.
unsafe impl Sync for State {}

impl State {
    fn layout() -> Layout {
        // A size and a power of two that always make a layout.
        Layout::from_size_align(size().next_multiple_of(64), 64).unwrap_or(Layout::new::<u8>())
    }

    /// The state in which a program starts.
    #[must_use]
    pub fn initial() -> Self {
        let layout = Self::layout();
        // SAFETY: the layout has a size. The heap never returns null (it ends the instance).
        let memory = unsafe { alloc_zeroed(layout) };
        let mut state = Self(NonNull::new(memory).unwrap_or(NonNull::dangling()));
        state.bytes_mut()[CONTROL_WORD..CONTROL_WORD + 2].copy_from_slice(&0x37f_u16.to_le_bytes());
        state.bytes_mut()[MXCSR..MXCSR + 4].copy_from_slice(&0x1f80_u32.to_le_bytes());
        state.set_components(LEGACY);
        state
    }

    /// The whole area.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `size` bytes were allocated and zeroed.
        unsafe { core::slice::from_raw_parts(self.0.as_ptr(), size()) }
    }

    /// What a program sees of it.
    #[must_use]
    pub fn shown(&self) -> Vec<u8> {
        let mut shown = Vec::from(&self.bytes()[..shown_size()]);
        let components = self.components() & shown_mask();
        shown[COMPONENTS..COMPONENTS + 8].copy_from_slice(&components.to_le_bytes());
        shown
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: `size` bytes were allocated and zeroed, and the borrow is exclusive.
        unsafe { core::slice::from_raw_parts_mut(self.0.as_ptr(), size()) }
    }

    fn components(&self) -> u64 {
        let mut word = [0; 8];
        word.copy_from_slice(&self.bytes()[COMPONENTS..COMPONENTS + 8]);
        u64::from_le_bytes(word)
    }

    fn set_components(&mut self, components: u64) {
        self.bytes_mut()[COMPONENTS..COMPONENTS + 8].copy_from_slice(&components.to_le_bytes());
    }

    /// Saves what the processor holds.
    pub fn save(&mut self) {
        let mask = mask();
        // SAFETY: the area is large enough, aligned to 64, and exclusively borrowed.
        unsafe {
            asm!("xsave64 [{}]", in(reg) self.0.as_ptr(), in("eax") mask as u32,
                in("edx") (mask >> 32) as u32, options(nostack, preserves_flags));
        }
    }

    /// Loads it into the processor.
    pub fn restore(&self) {
        let mask = mask();
        // SAFETY: the area is valid: saved by `save`, or checked by `set`. XMM registers are
        // declared as overwritten; nothing else of it is used by the kernel.
        unsafe {
            asm!("xrstor64 [{}]", in(reg) self.0.as_ptr(), in("eax") mask as u32,
                in("edx") (mask >> 32) as u32,
                out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _,
                out("xmm5") _, out("xmm6") _, out("xmm7") _, out("xmm8") _, out("xmm9") _,
                out("xmm10") _, out("xmm11") _, out("xmm12") _, out("xmm13") _, out("xmm14") _,
                out("xmm15") _, options(nostack, preserves_flags));
        }
    }

    /// Puts the program's XMM registers where they belong in the area.
    pub fn take_xmm(&mut self, frame: &Frame) {
        for (at, register) in frame.xmm.iter().enumerate() {
            let start = XMM + 16 * at;
            self.bytes_mut()[start..start + 16].copy_from_slice(&register.to_le_bytes());
        }
        let components = self.components();
        self.set_components(components | 2);
    }

    /// Puts XMM registers from the area where the program gets them from.
    pub fn give_xmm(&self, frame: &mut Frame) {
        let present = self.components() & 2 != 0;
        for (at, register) in frame.xmm.iter_mut().enumerate() {
            let mut bytes = [0; 16];
            if present {
                bytes.copy_from_slice(&self.bytes()[XMM + 16 * at..XMM + 16 * at + 16]);
            }
            *register = u128::from_le_bytes(bytes);
        }
    }

    /// Takes over a state that a program has written; `len` bytes of it are meaningful.
    ///
    /// # Errors
    ///
    /// EINVAL if the processor would not take it.
    pub fn set(&mut self, from: &[u8]) -> Result<()> {
        let len = from.len().min(size());
        if len < 512 {
            return Err(Errno::EINVAL);
        }
        let mut mxcsr = [0; 4];
        mxcsr.copy_from_slice(&from[MXCSR..MXCSR + 4]);
        // Reserved bits of MXCSR, of the header, and components that are off make XRSTOR fault.
        if u32::from_le_bytes(mxcsr) & !0xffff != 0 {
            return Err(Errno::EINVAL);
        }
        let size = size();
        self.bytes_mut()[..len].copy_from_slice(&from[..len]);
        self.bytes_mut()[len..size].fill(0);
        let components = if len >= STANDARD {
            self.components() & mask()
        } else {
            LEGACY
        };
        self.bytes_mut()[COMPONENTS..STANDARD].fill(0);
        self.set_components(components | LEGACY);
        Ok(())
    }
}

impl Clone for State {
    fn clone(&self) -> Self {
        let mut copy = Self::initial();
        copy.bytes_mut().copy_from_slice(self.bytes());
        copy
    }
}

impl Drop for State {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, which depends on nothing that changes.
        unsafe { dealloc(self.0.as_ptr(), Self::layout()) }
    }
}
