//! The kernel's heap: dlmalloc over runs of frames.
#![allow(unsafe_code)]

use core::alloc::{GlobalAlloc, Layout};
use core::ptr;

use dlmalloc::{Allocator, Dlmalloc};
use unicell_guest_abi::exit::ExitKind;
use unicell_guest_abi::layout::{DIRECT_MAP, PAGE_SIZE};

use super::frames;
use crate::device::platform;
use crate::sync::Mutex;

/// Frames as dlmalloc's source of memory.
struct Runs;

// SAFETY: each run is fresh, page-aligned and not used by anyone else until it is freed.
unsafe impl Allocator for Runs {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        let pages = (size as u64).div_ceil(PAGE_SIZE);
        match frames::take_run(pages) {
            Some(gpa) => (frames::pointer(gpa), (pages * PAGE_SIZE) as usize, 0),
            None => (ptr::null_mut(), 0, 0),
        }
    }

    fn remap(&self, _: *mut u8, _: usize, _: usize, _: bool) -> *mut u8 {
        ptr::null_mut()
    }

    fn free_part(&self, ptr: *mut u8, oldsize: usize, newsize: usize) -> bool {
        self.free(ptr.wrapping_add(newsize), oldsize - newsize)
    }

    fn free(&self, ptr: *mut u8, size: usize) -> bool {
        frames::give_back_run(ptr as u64 - DIRECT_MAP, size as u64 / PAGE_SIZE);
        true
    }

    fn can_release_part(&self, _: u32) -> bool {
        true
    }

    fn allocates_zeros(&self) -> bool {
        false
    }

    fn page_size(&self) -> usize {
        PAGE_SIZE as usize
    }
}

struct Heap(Mutex<Dlmalloc<Runs>>);

#[global_allocator]
static HEAP: Heap = Heap(Mutex::new(Dlmalloc::new_with_allocator(Runs)));

/// A kernel that cannot allocate cannot keep a promise to the program either: the instance ends,
/// and says why.
fn or_end(pointer: *mut u8) -> *mut u8 {
    if pointer.is_null() {
        platform::end(
            ExitKind::OutOfMemory,
            0,
            format_args!("no memory left for the kernel's heap"),
        );
    }
    pointer
}

// SAFETY: dlmalloc keeps the contract of an allocator; the mutex lets one caller in at a time.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's layout is valid.
        or_end(unsafe { self.0.lock().malloc(layout.size(), layout.align()) })
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: the caller's pointer came from `alloc` with this layout.
        unsafe { self.0.lock().free(ptr, layout.size(), layout.align()) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's pointer came from `alloc` with this layout.
        or_end(unsafe {
            self.0
                .lock()
                .realloc(ptr, layout.size(), layout.align(), size)
        })
    }
}
