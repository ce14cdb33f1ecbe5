//! The content of a regular file: pages in memory over what the image has.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use linux_raw_sys::general as linux;

use crate::errno::{Errno, Result};
use crate::fs::budget;
use crate::fs::erofs::{self, Image, Run};
use crate::memory::{Frame, PAGE_SIZE, Page, image};

/// The content that the image has, and how to get at it.
#[derive(Clone, Copy)]
pub(super) struct Lower<'a> {
    pub(super) image: &'a Image,
    pub(super) inode: &'a erofs::Inode,
}

/// A piece of content, to be copied once nothing is locked.
pub(super) enum Piece {
    /// Bytes of a frame, from this offset in it.
    Frame(Frame, usize, usize),
    /// Bytes of the image.
    Image(&'static [u8]),
    /// Zeros.
    Zeros(u64),
}

/// A page of the file's own.
enum Own {
    /// Zeros, which hide a page of the image.
    Zeros,
    /// Zeros, with room for what will be written.
    Reserved(Frame),
    /// What was written.
    Written(Frame),
}

/// Content. A page that is not in `pages` is the image's up to `lower_len`, and zeros from there.
pub(super) struct Data {
    pub(super) size: u64,
    lower_len: u64,
    pages: BTreeMap<u64, Own>,
    pub(super) frames: u64,
    /// F_SEAL_*.
    pub(super) seals: u32,
    /// Shared mappings through which it can be written.
    pub(super) writable_mappings: usize,
    /// Whether a page of it was ever mapped.
    mapped: bool,
}

impl Data {
    /// Content as the image has it.
    pub(super) fn of_lower(size: u64) -> Self {
        // As for all files that were not made to be sealed.
        let seals = linux::F_SEAL_SEAL;
        Self {
            size,
            lower_len: size,
            pages: BTreeMap::new(),
            frames: 0,
            seals,
            writable_mappings: 0,
            mapped: false,
        }
    }

    /// No content.
    pub(super) fn empty() -> Self {
        Self::of_lower(0)
    }

    /// Units of 512 bytes that it takes, here or in the image.
    pub(super) fn blocks(&self) -> u64 {
        let of_image = self.lower_len.div_ceil(PAGE_SIZE);
        let over_image = self.pages.range(..of_image).count() as u64;
        (of_image - over_image + self.frames) * (PAGE_SIZE / 512)
    }

    /// The content at an offset, at most `max` bytes; none at the end of the file.
    pub(super) fn piece(
        &self,
        lower: Option<Lower<'_>>,
        offset: u64,
        max: usize,
    ) -> Result<Option<Piece>> {
        let left = self.size.saturating_sub(offset).min(max as u64);
        if left == 0 {
            return Ok(None);
        }
        let (index, in_page) = (offset / PAGE_SIZE, offset % PAGE_SIZE);
        let in_this_page = left.min(PAGE_SIZE - in_page);
        let next = match self.pages.range(index..).next() {
            Some((at, Own::Written(frame))) if *at == index => {
                let (from, len) = (in_page as usize, in_this_page as usize);
                return Ok(Some(Piece::Frame(frame.clone(), from, len)));
            }
            Some((at, _)) if *at == index => return Ok(Some(Piece::Zeros(in_this_page))),
            Some((at, _)) => (at * PAGE_SIZE - offset).min(left),
            None => left,
        };
        let Some(lower) = lower.filter(|_| offset < self.lower_len) else {
            return Ok(Some(Piece::Zeros(next)));
        };
        let len = next.min(self.lower_len - offset);
        Ok(Some(match lower.image.data(lower.inode, offset)? {
            Run::Bytes(_, bytes) => Piece::Image(&bytes[..bytes.len().min(len as usize)]),
            Run::Zeros(run) => Piece::Zeros(run.min(len)),
        }))
    }

    /// A page of the file to be mapped; with `write`, the one that all writers share.
    pub(super) fn page(
        &mut self,
        lower: Option<Lower<'_>>,
        index: u64,
        write: bool,
    ) -> Result<Page> {
        if index >= self.size.div_ceil(PAGE_SIZE) {
            return Err(Errno::EFAULT);
        }
        self.mapped = true;
        if !write
            && !self.pages.contains_key(&index)
            && let Some(lower) = lower
            && let Some(page) = self.image_page(lower, index * PAGE_SIZE)?
        {
            return Ok(page);
        }
        self.frame(lower, index, false).map(Page::Ram)
    }

    /// Whether mappings may show pages of it.
    pub(super) fn is_mapped(&self) -> bool {
        self.mapped
    }

    /// The page that mappings may show now, and that they must not when it is replaced.
    pub(super) fn shown(&self, lower: Option<Lower<'_>>, index: u64) -> Option<Page> {
        match (self.pages.get(&index), lower) {
            _ if !self.mapped => None,
            (Some(Own::Written(frame)), _) => Some(Page::Ram(frame.clone())),
            (None, Some(lower)) => self.image_page(lower, index * PAGE_SIZE).ok().flatten(),
            _ => None,
        }
    }

    /// The page of the image with the content at an offset, if it has exactly that.
    fn image_page(&self, lower: Lower<'_>, offset: u64) -> Result<Option<Page>> {
        if offset >= self.lower_len {
            return Ok(None);
        }
        let Run::Bytes(at, bytes) = lower.image.data(lower.inode, offset)? else {
            return Ok(None);
        };
        let Some(address) = image::page_address(at) else {
            return Ok(None);
        };
        let len = (self.lower_len - offset).min(PAGE_SIZE) as usize;
        // What follows the end of the file in its last page must read as zeros.
        let whole = bytes.len() >= len && image::page(address)[len..].iter().all(|byte| *byte == 0);
        Ok(whole.then_some(Page::Image(address)))
    }

    /// The file's own frame for a page, made if there is none. If it is about to be overwritten
    /// as a whole, a new one's content is undefined.
    pub(super) fn frame(
        &mut self,
        lower: Option<Lower<'_>>,
        index: u64,
        overwritten: bool,
    ) -> Result<Frame> {
        let hidden = match self.pages.get_mut(&index) {
            Some(Own::Written(frame)) => return Ok(frame.clone()),
            Some(own @ Own::Reserved(_)) => {
                let Own::Reserved(frame) = core::mem::replace(own, Own::Zeros) else {
                    unreachable!("matched just now")
                };
                *own = Own::Written(frame.clone());
                return Ok(frame);
            }
            Some(Own::Zeros) => true,
            None => false,
        };
        budget::take_page()?;
        let frame = self.fill(lower.filter(|_| !hidden), index * PAGE_SIZE, overwritten);
        let frame = frame.inspect_err(|_| budget::give_pages(1))?;
        self.frames += 1;
        self.pages.insert(index, Own::Written(frame.clone()));
        Ok(frame)
    }

    fn fill(&self, lower: Option<Lower<'_>>, offset: u64, overwritten: bool) -> Result<Frame> {
        if overwritten && (lower.is_none() || offset >= self.lower_len) {
            return Frame::uninitialised();
        }
        let frame = Frame::zeroed()?;
        let Some(lower) = lower else { return Ok(frame) };
        let end = self.lower_len.min(offset + PAGE_SIZE);
        let mut at = offset;
        while at < end {
            match lower.image.data(lower.inode, at)? {
                Run::Bytes(_, bytes) => {
                    let bytes = &bytes[..bytes.len().min((end - at) as usize)];
                    frame.write((at - offset) as usize, bytes);
                    at += bytes.len() as u64;
                }
                Run::Zeros(len) => at += len,
            }
        }
        Ok(frame)
    }

    /// Cuts or extends.
    pub(super) fn resize(&mut self, size: u64) {
        if size <= self.size {
            self.lower_len = self.lower_len.min(size);
            let gone = self.pages.split_off(&size.div_ceil(PAGE_SIZE));
            self.forget(gone.into_values());
            let within = (size % PAGE_SIZE) as usize;
            if within > 0
                && let Some(Own::Written(frame)) = self.pages.get(&(size / PAGE_SIZE))
            {
                frame.zero(within, PAGE_SIZE as usize - within);
            }
        }
        self.size = size;
    }

    fn forget(&mut self, pages: impl Iterator<Item = Own>) {
        let has_frame = |own: &Own| !matches!(own, Own::Zeros);
        let count = pages.filter(has_frame).count() as u64;
        self.frames -= count;
        budget::give_pages(count);
    }

    /// Makes a range read as zeros; whole pages of it are given back.
    /// Returns the pages that mappings must no longer show.
    pub(super) fn punch(
        &mut self,
        lower: Option<Lower<'_>>,
        start: u64,
        end: u64,
    ) -> Result<Vec<(u64, Page)>> {
        let mut shown = Vec::new();
        let mut at = start;
        while at < end {
            let (index, within) = (at / PAGE_SIZE, at % PAGE_SIZE);
            let len = (PAGE_SIZE - within).min(end - at);
            let of_lower = lower.is_some() && at < self.lower_len;
            if !of_lower && !self.pages.contains_key(&index) {
                // Zeros already, up to the next page that there is.
                let Some((next, _)) = self.pages.range(index..).next() else {
                    break;
                };
                at = next * PAGE_SIZE;
                continue;
            }
            if let Some(page) = self.shown(lower, index) {
                let stays = len < PAGE_SIZE && matches!(page, Page::Ram(_));
                shown.extend((!stays).then_some((index, page)));
            }
            if len < PAGE_SIZE {
                if !matches!(self.pages.get(&index), Some(Own::Reserved(_))) {
                    self.frame(lower, index, false)?
                        .zero(within as usize, len as usize);
                }
            } else {
                let gone = self.pages.remove(&index);
                self.forget(gone.into_iter());
                if of_lower {
                    self.pages.insert(index, Own::Zeros);
                }
            }
            at += len;
        }
        Ok(shown)
    }

    /// Makes sure that writing a range will not lack memory.
    pub(super) fn reserve(&mut self, lower: Option<Lower<'_>>, start: u64, end: u64) -> Result<()> {
        let (first, last) = (start / PAGE_SIZE, end.div_ceil(PAGE_SIZE));
        if last - first > budget::limit() {
            return Err(Errno::ENOSPC);
        }
        for index in first..last {
            let of_image = lower.is_some() && index * PAGE_SIZE < self.lower_len;
            let there = match self.pages.get(&index) {
                Some(Own::Zeros) => false,
                Some(_) => true,
                None => of_image,
            };
            if there {
                continue;
            }
            budget::take_page()?;
            let frame = Frame::zeroed().inspect_err(|_| budget::give_pages(1))?;
            self.frames += 1;
            self.pages.insert(index, Own::Reserved(frame));
        }
        Ok(())
    }

    /// Where data is next (or, if not `data`, a hole) from an offset on. The end is a hole.
    pub(super) fn next(&self, from: u64, data: bool) -> Option<u64> {
        let of_image = self.lower_len.div_ceil(PAGE_SIZE);
        let has_data = |index: u64| match self.pages.get(&index) {
            Some(own) => matches!(own, Own::Written(_)),
            None => index < of_image,
        };
        let mut index = from / PAGE_SIZE;
        while index * PAGE_SIZE < self.size {
            if has_data(index) == data {
                return Some((index * PAGE_SIZE).max(from));
            }
            // Nothing begins or ends between two pages of the file's own beyond the image.
            let next = self.pages.range(index + 1..).next().map(|(at, _)| *at);
            index = match next {
                _ if !data || index < of_image => index + 1,
                Some(next) => next,
                None => break,
            };
        }
        (!data && from < self.size).then_some(self.size)
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        budget::give_pages(self.frames);
    }
}
