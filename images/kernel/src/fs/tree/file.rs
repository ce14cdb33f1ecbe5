//! A node that is open: reading and writing content, listing a directory.

use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_raw_sys::general as linux;

use super::data::Piece;
use super::node::Node;
use crate::errno::{Errno, Result};
use crate::fs::file::{DirEntry, File};
use crate::fs::inode::Inode;
use crate::fs::stat::{Kind, Stat, Timestamp};
use crate::fs::{copy, permission};
use crate::io::{Sink, Source};
use crate::memory::{Frame, PAGE_SIZE, Page};
use crate::mm::stale;
use crate::task;

/// One past the last byte that a file can have.
const SIZE_MAX: u64 = i64::MAX as u64;

impl Node {
    /// Checks that the seals allow it, given which forbid it.
    fn check_seals(&self, forbidding: u32) -> Result<()> {
        match self.data(|data| data.seals & forbidding)? {
            0 => Ok(()),
            _ => Err(Errno::EPERM),
        }
    }

    /// Lets seals be put on a new file, beginning with these.
    pub(in crate::fs) fn allow_seals(&self, seals: u32) {
        // It is a regular file, or there is nothing to be sealed.
        let _ = self.data(|data| data.seals = seals);
    }

    fn content_changed(&self) {
        let now = Timestamp::now();
        let lends = self.update(|state| {
            (state.mtime, state.ctime) = (now, now);
            self.kind == Kind::Regular && permission::lent(state.permissions) != 0
        });
        // Whoever changes a program must not have its owner's rights by that.
        if lends
            && !task::process()
                .credentials()
                .can(linux_raw_sys::general::CAP_FSETID)
        {
            self.update(|state| state.permissions &= !permission::lent(state.permissions));
        }
    }

    /// Cuts or extends a regular file.
    pub(super) fn resize(&self, size: u64) -> Result<()> {
        if size > SIZE_MAX {
            return Err(Errno::EFBIG);
        }
        let (old, seals) = self.data(|data| (data.size, data.seals))?;
        if size < old && seals & linux::F_SEAL_SHRINK != 0
            || size > old && seals & linux::F_SEAL_GROW != 0
        {
            return Err(Errno::EPERM);
        }
        self.content_changed();
        let last = size / PAGE_SIZE;
        let (mapped, shown) = self.data(|data| {
            let shown = data.shown(self.lower(), last);
            data.resize(size);
            (data.is_mapped(), shown)
        })?;
        if mapped && size < old {
            stale::cut(self.mapped_identity(), size.div_ceil(PAGE_SIZE));
            // What follows the new end in its page reads as zeros from now on.
            if let Some(page @ Page::Image(_)) = &shown {
                stale::replaced(self.mapped_identity(), last, page);
            }
            stale::commit();
        }
        Ok(())
    }

    /// As [`crate::mm::Pages::identity`] has it.
    fn mapped_identity(&self) -> (u64, u64) {
        let (device, ino) = Inode::identity(self);
        (device.into(), ino)
    }

    /// The file's own frame for a page. It may take the place of the image's page, which mappings
    /// show until [`stale::commit`].
    fn own_frame(&self, index: u64, overwritten: bool) -> Result<Frame> {
        let (frame, shown) = self.data(|data| {
            let shown = data.shown(self.lower(), index);
            (data.frame(self.lower(), index, overwritten), shown)
        })?;
        if let Some(page @ Page::Image(_)) = &shown {
            stale::replaced(self.mapped_identity(), index, page);
        }
        frame
    }

    /// Writes into the page at `offset`, no further. Returns how many bytes.
    fn write_page(&self, offset: u64, len: usize, source: &mut Source<'_>) -> Result<usize> {
        let (index, within) = (offset / PAGE_SIZE, (offset % PAGE_SIZE) as usize);
        let whole = len == PAGE_SIZE as usize;
        let frame = self.own_frame(index, whole)?;
        let written = copy::to_frame(&frame, within, len, source);
        if whole && written != Ok(len) {
            frame.zero(written.unwrap_or(0), len - written.unwrap_or(0));
        }
        let written = written?;
        let end = offset + written as u64;
        self.data(|data| data.size = data.size.max(end))?;
        Ok(written)
    }
}

impl File for Node {
    fn stat(&self) -> Stat {
        Inode::stat(self)
    }

    fn is_seekable(&self) -> bool {
        true
    }

    fn is_pollable(&self) -> bool {
        false
    }

    fn size(&self) -> u64 {
        self.data(|data| data.size).unwrap_or(0)
    }

    fn next(&self, from: u64, data: bool) -> Result<u64> {
        self.data(|content| content.next(from, data))?
            .filter(|_| from < File::size(self))
            .ok_or(Errno::ENXIO)
    }

    fn read(&self, offset: u64, sink: &mut Sink<'_>) -> Result<usize> {
        let before = sink.done();
        while sink.remaining() > 0 {
            let at = offset.saturating_add((sink.done() - before) as u64);
            let piece = self.data(|data| data.piece(self.lower(), at, sink.remaining()))?;
            let copied = match piece {
                Ok(None) => break,
                Ok(Some(Piece::Frame(frame, from, len))) => {
                    copy::from_frame(&frame, from, len, sink)
                }
                Ok(Some(Piece::Image(bytes))) => sink.write(bytes).map(drop),
                Ok(Some(Piece::Zeros(len))) => sink.zero(len as usize).map(drop),
                Err(errno) => Err(errno),
            };
            match copied {
                Ok(()) => {}
                Err(errno) if sink.done() == before => return Err(errno),
                Err(_) => break,
            }
        }
        if self.kind == Kind::Directory {
            Err(Errno::EISDIR)
        } else {
            Ok(sink.done() - before)
        }
    }

    fn write(&self, offset: u64, source: &mut Source<'_>) -> Result<usize> {
        let (size, seals) = self.data(|data| (data.size, data.seals))?;
        let offset = if offset == u64::MAX { size } else { offset };
        if source.remaining() == 0 {
            return Ok(0);
        }
        let room = SIZE_MAX
            .checked_sub(offset)
            .filter(|room| *room > 0)
            .ok_or(Errno::EFBIG)?;
        let grows = offset.saturating_add(source.remaining() as u64) > size;
        if seals & (linux::F_SEAL_WRITE | linux::F_SEAL_FUTURE_WRITE) != 0
            || grows && seals & linux::F_SEAL_GROW != 0
        {
            return Err(Errno::EPERM);
        }
        self.content_changed();
        let wanted = source
            .remaining()
            .min(usize::try_from(room).unwrap_or(usize::MAX));
        let mut written = 0;
        while written < wanted {
            let at = offset + written as u64;
            let len = (wanted - written).min((PAGE_SIZE - at % PAGE_SIZE) as usize);
            match self.write_page(at, len, source) {
                Ok(done) => {
                    written += done;
                    if done < len {
                        break;
                    }
                }
                Err(errno) if written == 0 => return Err(errno),
                Err(_) => break,
            }
        }
        stale::commit();
        Ok(written)
    }

    fn page(&self, index: u64, write: bool) -> Result<Page> {
        if write {
            self.content_changed();
        }
        let (page, shown) = self.data(|data| {
            let shown = data.shown(self.lower(), index);
            (data.page(self.lower(), index, write), shown)
        })?;
        let page = page?;
        if let (Page::Ram(_), Some(old @ Page::Image(_))) = (&page, &shown) {
            stale::replaced(self.mapped_identity(), index, old);
        }
        Ok(page)
    }

    fn is_mappable(&self) -> bool {
        self.kind == Kind::Regular
    }

    fn note_writable_mapping(&self, more: bool) {
        // What can be mapped has data.
        let _ = self.data(|data| {
            let count = data.writable_mappings;
            data.writable_mappings = if more { count + 1 } else { count - 1 };
        });
    }

    fn truncate(&self, size: u64) -> Result<()> {
        self.resize(size)
    }

    fn allocate(&self, mode: u32, offset: u64, len: u64) -> Result<()> {
        let end = offset
            .checked_add(len)
            .filter(|end| *end <= SIZE_MAX)
            .ok_or(Errno::EFBIG)?;
        // What tmpfs offers.
        let punches = mode == linux::FALLOC_FL_PUNCH_HOLE | linux::FALLOC_FL_KEEP_SIZE;
        if !punches && mode & !linux::FALLOC_FL_KEEP_SIZE != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        let grows = mode & linux::FALLOC_FL_KEEP_SIZE == 0 && end > self.data(|data| data.size)?;
        if punches {
            self.check_seals(linux::F_SEAL_WRITE | linux::F_SEAL_FUTURE_WRITE)?;
        }
        if grows {
            self.check_seals(linux::F_SEAL_GROW)?;
        }
        self.content_changed();
        let gone = self.data(|data| {
            let gone = if punches {
                data.punch(self.lower(), offset, end)?
            } else {
                data.reserve(self.lower(), offset, end)?;
                Vec::new()
            };
            if grows {
                data.resize(end);
            }
            Ok(gone)
        })??;
        for (index, page) in gone {
            stale::replaced(self.mapped_identity(), index, &page);
        }
        stale::commit();
        Ok(())
    }

    fn entries(&self, from: u64, each: &mut dyn FnMut(&DirEntry<'_>) -> bool) -> Result<()> {
        self.list(from, each)
    }

    fn reopen(self: Arc<Self>, _: u32) -> Result<Arc<dyn File>> {
        Ok(self)
    }

    fn seal(&self, add: u32) -> Result<u32> {
        self.data(|data| {
            if add != 0 && data.seals & linux::F_SEAL_SEAL != 0 {
                return Err(Errno::EPERM);
            }
            if add & linux::F_SEAL_WRITE != 0 && data.writable_mappings > 0 {
                return Err(Errno::EBUSY);
            }
            data.seals |= add;
            Ok(data.seals)
        })?
    }
}
