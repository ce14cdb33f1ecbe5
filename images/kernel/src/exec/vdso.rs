//! The shared object by which programs read clocks without a system call.
//!
//! One frame serves every process: nobody can write to it but by a copy of their own.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::arch;
use crate::errno::{Errno, Result};
use crate::memory::{Frame, PAGE_SIZE, Page};
use crate::mm::{Pages, Place, Protection, Space, Traits};
use crate::sync::Mutex;

/// The page, once a program has been loaded.
static OBJECT: Mutex<Option<Arc<Object>>> = Mutex::new(None);

struct Object(Frame);

impl Pages for Object {
    fn page(&self, index: u64, write: bool) -> Result<Page> {
        if index != 0 || write {
            return Err(Errno::EFAULT);
        }
        Ok(Page::Ram(self.0.clone()))
    }

    fn name(&self) -> Vec<u8> {
        b"[vdso]".to_vec()
    }
}

fn object() -> Result<Arc<Object>> {
    let mut object = OBJECT.lock();
    if let Some(object) = &*object {
        return Ok(object.clone());
    }
    let frame = Frame::zeroed()?;
    frame.write(0, arch::vdso());
    let made = Arc::new(Object(frame));
    *object = Some(made.clone());
    Ok(made)
}

/// Maps the object; the address goes into the auxiliary vector as AT_SYSINFO_EHDR.
pub(super) fn map(space: &Space) -> Result<u64> {
    let protection = Protection {
        read: true,
        write: false,
        execute: true,
    };
    let object = (object()? as Arc<dyn Pages>, 0);
    let place = Place::Hint(0);
    space.map(
        place,
        PAGE_SIZE,
        protection,
        false,
        Some(object),
        Traits::default(),
    )
}
