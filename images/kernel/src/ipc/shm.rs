//! Shared memory segments (shmget(2)).
//!
//! A segment's pages are one object. Each `shmat` maps it by an [`Attachment`] of its own, which
//! the areas of address spaces hold: what forks, splits or ends holds it more or less often, so
//! that how often a segment is attached is how often its attachments are held.

use alloc::format;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use super::table::{Object, Table};
use super::{PRIVATE, Permissions, now};
use crate::errno::{Errno, Result};
use crate::memory::{PAGE_SIZE, Page};
use crate::mm::{AnonymousPages, Pages};
use crate::sync::Mutex;
use crate::task;

/// Segments, at most (SHMMNI).
pub const SEGMENTS_MAX: usize = 4096;
/// Bytes of a segment, and pages of all, at most: as good as no limit (SHMMAX, SHMALL).
pub const SIZE_MAX: u64 = u64::MAX - (1 << 24);
/// Bits of a mode: it goes when nobody has it attached any more; it is locked.
const DOOMED: u32 = 0o1000;
const LOCKED: u32 = 0o2000;

/// A segment.
pub struct Segment {
    /// Its number.
    pub id: i32,
    /// Bytes.
    pub size: u64,
    made_by: u32,
    pages: AnonymousPages,
    state: Mutex<State>,
}

struct State {
    permissions: Permissions,
    /// Seconds since 1970: last attached, detached, changed.
    times: [u64; 3],
    last_user: u32,
    attachments: Vec<Weak<Attachment>>,
}

const ATTACHED: usize = 0;
const DETACHED: usize = 1;
const CHANGED: usize = 2;

/// All segments.
pub static SEGMENTS: Table<Segment> = Table::new(SEGMENTS_MAX);

impl Object for Segment {
    fn id(&self) -> i32 {
        self.id
    }

    fn permissions(&self) -> Permissions {
        self.state.lock().permissions
    }

    /// Removes it, as soon as nobody has it attached.
    fn remove(&self) {
        let goes = {
            let mut state = self.state.lock();
            state.permissions.mode |= DOOMED;
            state.permissions.key = PRIVATE;
            state.attachments.is_empty()
        };
        if goes {
            SEGMENTS.remove(self.id);
        }
    }

    /// `struct shmid64_ds`.
    fn to_bytes(&self) -> Vec<u8> {
        let state = self.state.lock();
        let attached: usize = state.attachments.iter().map(Weak::strong_count).sum();
        let mut bytes = state.permissions.to_bytes(self.id);
        bytes.extend(self.size.to_ne_bytes());
        bytes.extend(state.times.iter().flat_map(|time| time.to_ne_bytes()));
        bytes.extend(self.made_by.to_ne_bytes());
        bytes.extend(state.last_user.to_ne_bytes());
        bytes.extend((attached as u64).to_ne_bytes());
        bytes.extend([0; 16]);
        bytes
    }
}

/// A segment, mapped by one `shmat`.
pub struct Attachment {
    segment: Arc<Segment>,
    writable: bool,
}

impl Pages for Attachment {
    fn page(&self, index: u64, write: bool) -> Result<Page> {
        if index >= self.segment.size.div_ceil(PAGE_SIZE) {
            return Err(Errno::EFAULT);
        }
        self.segment.pages.page(index, write)
    }

    fn is_resident(&self, index: u64) -> bool {
        self.segment.pages.is_resident(index)
    }

    fn may_be_written(&self) -> bool {
        self.writable
    }

    fn punch(&self, offset: u64, len: u64) -> Result<()> {
        self.segment.pages.punch(offset, len)
    }

    fn name(&self) -> Vec<u8> {
        let key = self.segment.permissions().key;
        format!("/SYSV{key:08x} (deleted)").into_bytes()
    }

    fn identity(&self) -> (u64, u64) {
        (1, self.segment.id as u64)
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        let segment = &self.segment;
        let goes = {
            let mut state = segment.state.lock();
            state.times[DETACHED] = now();
            state.attachments.retain(|one| one.strong_count() > 0);
            state.attachments.is_empty() && state.permissions.mode & DOOMED != 0
        };
        if goes {
            SEGMENTS.remove(segment.id);
        }
    }
}

/// The segment of a key, made if need be: shmget(2).
///
/// # Errors
///
/// As shmget(2).
pub fn get(key: i32, size: u64, flags: u32) -> Result<i32> {
    let fits = |segment: &Segment| {
        if size > segment.size {
            return Err(Errno::EINVAL);
        }
        Ok(())
    };
    SEGMENTS.get(key, flags, fits, |id| {
        if size == 0 || size > SIZE_MAX {
            return Err(Errno::EINVAL);
        }
        Ok(Segment {
            id,
            size,
            made_by: task::process().id(),
            pages: AnonymousPages::default(),
            state: Mutex::new(State {
                permissions: Permissions::new(key, flags),
                times: [0, 0, now()],
                last_user: 0,
                attachments: Vec::new(),
            }),
        })
    })
}

/// How many segments there are, pages of all, and pages of them that there are so far.
#[must_use]
pub fn usage() -> (usize, u64, u64) {
    let all = SEGMENTS.all();
    let (mut pages, mut resident) = (0, 0);
    for segment in &all {
        pages += segment.size.div_ceil(PAGE_SIZE);
        resident += segment.pages.count() as u64;
    }
    (all.len(), pages, resident)
}

/// The attachment that something mapped is, if it is one, and its size in bytes.
#[must_use]
pub fn attachment_of(pages: &Arc<dyn Pages>) -> Option<Arc<Attachment>> {
    let all = SEGMENTS.all();
    let mut all = all
        .iter()
        .flat_map(|segment| segment.state.lock().attachments.clone());
    let found = all.find(|one| core::ptr::addr_eq(one.as_ptr(), Arc::as_ptr(pages)));
    found?.upgrade()
}

impl Attachment {
    /// The segment.
    #[must_use]
    pub fn segment(&self) -> &Segment {
        &self.segment
    }
}

impl Segment {
    /// One more attachment, to be mapped, and perhaps written.
    #[must_use]
    pub fn attach(self: &Arc<Self>, writable: bool) -> Arc<Attachment> {
        let attachment = Arc::new(Attachment {
            segment: self.clone(),
            writable,
        });
        let mut state = self.state.lock();
        state.times[ATTACHED] = now();
        state.last_user = task::process().id();
        state.attachments.push(Arc::downgrade(&attachment));
        attachment
    }

    /// Notes that the running process has detached it.
    pub fn detached(&self) {
        let mut state = self.state.lock();
        state.times[DETACHED] = now();
        state.last_user = task::process().id();
    }

    /// Gives it another owner and other permissions.
    pub fn change(&self, uid: u32, gid: u32, mode: u32) {
        let mut state = self.state.lock();
        state.permissions.change(uid, gid, mode);
        state.times[CHANGED] = now();
    }

    /// Locks it in memory, where it always is.
    pub fn lock(&self, locked: bool) {
        let mode = &mut self.state.lock().permissions.mode;
        *mode = if locked {
            *mode | LOCKED
        } else {
            *mode & !LOCKED
        };
    }
}
