//! The memory of another process: read and written by way of its own page tables.

use unicell_guest_abi::layout::PAGE_SIZE;

use super::Space;
use crate::errno::{Errno, Result};
use crate::memory::Page;
use crate::memory::paging::Entry;
use crate::memory::user::Access;

impl Space {
    /// Reads from a space that need not be the one that is seen.
    ///
    /// # Errors
    ///
    /// EFAULT if some of it is not readable.
    pub fn read(&self, address: u64, into: &mut [u8]) -> Result<()> {
        let mut done = 0;
        while done < into.len() {
            let at = address.checked_add(done as u64).ok_or(Errno::EFAULT)?;
            let len = (into.len() - done).min((PAGE_SIZE - at % PAGE_SIZE) as usize);
            self.fault(at, Access::Read).map_err(|_| Errno::EFAULT)?;
            let entry = self.inner.lock().tables.entry(at);
            let page = entry.map(Entry::page).ok_or(Errno::EFAULT)?;
            let size = match &page {
                Page::Ram(frame) => frame.size(),
                Page::Image(_) => PAGE_SIZE as usize,
            };
            page.read(at as usize & (size - 1), &mut into[done..done + len]);
            done += len;
        }
        Ok(())
    }

    /// Writes a word of a space that is not the one that is seen. What cannot be written is left.
    pub fn write_word(&self, address: u64, word: u32) {
        let in_page = (address % PAGE_SIZE) as usize;
        if self.fault(address, Access::Write).is_err() || in_page > PAGE_SIZE as usize - 4 {
            return;
        }
        let entry = self.inner.lock().tables.entry(address);
        if let Some(Page::Ram(frame)) = entry.map(Entry::page) {
            let in_frame = (address as usize) & (frame.size() - 1);
            frame.write(in_frame, &word.to_le_bytes());
        }
    }
}
