//! Where a process stands: root, working directory, mask.

use alloc::sync::Arc;

use super::inode::Inode;
use super::mount;
use super::path::Walk;
use super::stat::Kind;
use crate::errno::{Errno, Result};
use crate::sync::Mutex;
use crate::task::Credentials;

/// Root, working directory and mask. Threads share one; a fork has its own.
pub struct FsContext {
    inner: Mutex<Inner>,
}

#[derive(Clone)]
struct Inner {
    /// None for the root of everything.
    root: Option<Arc<dyn Inode>>,
    directory: Option<Arc<dyn Inode>>,
    umask: u32,
}

impl FsContext {
    /// At the root of everything; holds nothing.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            inner: Mutex::new(Inner {
                root: None,
                directory: None,
                umask: 0o022,
            }),
        }
    }

    /// Where its absolute paths begin.
    #[must_use]
    pub fn root(&self) -> Arc<dyn Inode> {
        self.inner.lock().root.clone().unwrap_or_else(mount::root)
    }

    /// Where its relative paths begin.
    #[must_use]
    pub fn directory(&self) -> Arc<dyn Inode> {
        self.inner
            .lock()
            .directory
            .clone()
            .unwrap_or_else(mount::root)
    }

    /// Changes where absolute paths begin.
    pub fn set_root(&self, root: Arc<dyn Inode>) {
        let old = self.inner.lock().root.replace(root);
        drop(old);
    }

    /// Changes where relative paths begin.
    pub fn set_directory(&self, directory: Arc<dyn Inode>) {
        let old = self.inner.lock().directory.replace(directory);
        drop(old);
    }

    /// Permissions that new files do not get.
    #[must_use]
    pub fn umask(&self) -> u32 {
        self.inner.lock().umask
    }

    /// Changes the mask; returns the old one.
    pub fn set_umask(&self, umask: u32) -> u32 {
        core::mem::replace(&mut self.inner.lock().umask, umask & 0o777)
    }

    /// Changes where relative paths begin, by path and as the superuser: for the first program.
    ///
    /// # Errors
    ///
    /// ENOENT, ENOTDIR, ELOOP.
    pub fn change_directory(&self, path: &[u8]) -> Result<()> {
        let who = Credentials::default();
        let walk = Walk {
            root: self.root(),
            who: &who,
            resolve: 0,
        };
        let location = walk.walk(self.directory(), path, true)?.existing()?;
        if location.inode.kind() != Kind::Directory {
            return Err(Errno::ENOTDIR);
        }
        self.set_directory(location.inode);
        Ok(())
    }

    /// A copy, as a fork gets it.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self {
            inner: Mutex::new(self.inner.lock().clone()),
        }
    }
}
