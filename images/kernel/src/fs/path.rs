//! From a path to what it leads to.

use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_raw_sys::general as linux;

use super::inode::{Inode, Target, same};
use super::location::{Location, above};
use super::stat::Kind;
use super::{mount, permission, root};
use crate::errno::{Errno, Result};
use crate::task::Credentials;

/// Bytes of a path, at most, its NUL included.
pub const PATH_MAX: usize = linux::PATH_MAX as usize;
/// Bytes of a name, at most.
pub const NAME_MAX: usize = 255;
/// Symbolic links on one path, at most.
const LINKS_MAX: u32 = 40;

/// What the last component of a path was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// A name.
    Name,
    /// `.`
    Dot,
    /// `..`
    DotDot,
    /// Nothing: the path was `/`, or a link of `/proc` led away.
    Other,
}

/// Where a path ended.
pub struct Found {
    /// The directory that its last name is looked up in.
    pub directory: Arc<dyn Inode>,
    /// That name; empty unless `last` is [`Last::Name`].
    pub name: Vec<u8>,
    /// What kind of last component there was.
    pub last: Last,
    /// What has that name, if anything.
    pub location: Option<Location>,
    /// Whether slashes follow, so that only a directory may be meant.
    pub slash: bool,
}

impl Found {
    /// What was found.
    ///
    /// # Errors
    ///
    /// ENOENT if nothing.
    pub fn existing(self) -> Result<Location> {
        self.location.ok_or(Errno::ENOENT)
    }
}

/// A walk along a path: on whose behalf and under which restrictions.
pub struct Walk<'a> {
    /// Where absolute paths begin, and what `..` does not lead out of.
    pub root: Arc<dyn Inode>,
    /// Who must be allowed to search the directories on the way.
    pub who: &'a Credentials,
    /// RESOLVE_*, as openat2(2) has them.
    pub resolve: u32,
}

/// A path that is still to be walked.
struct Rest {
    bytes: Vec<u8>,
    at: usize,
}

impl Rest {
    fn skip_slashes(&mut self) {
        while self.bytes.get(self.at) == Some(&b'/') {
            self.at += 1;
        }
    }

    /// The next name, and whether more than slashes follow; none at the end.
    fn next(&mut self) -> Option<(Vec<u8>, bool)> {
        self.skip_slashes();
        let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
        let len = rest
            .iter()
            .position(|byte| *byte == b'/')
            .unwrap_or(rest.len());
        let name = rest[..len].to_vec();
        self.at += len;
        let more = self.bytes[self.at..].iter().any(|byte| *byte != b'/');
        Some((name, more))
    }

    fn ends_with_slash(&self) -> bool {
        self.bytes.last() == Some(&b'/')
    }

    /// Puts a link's target in place of the link.
    fn prepend(&mut self, mut target: Vec<u8>) {
        target.extend_from_slice(&self.bytes[self.at..]);
        *self = Self {
            bytes: target,
            at: 0,
        };
    }
}

impl Walk<'_> {
    /// Walks a path from `base`, following a link at its end if `follow`.
    ///
    /// # Errors
    ///
    /// ENOENT if a directory on the way is missing or the path is empty, ENOTDIR, EACCES, ELOOP,
    /// ENAMETOOLONG, EXDEV if it leads to where it is restricted not to lead.
    pub fn walk(&self, base: Arc<dyn Inode>, path: &[u8], follow: bool) -> Result<Found> {
        if path.is_empty() {
            return Err(Errno::ENOENT);
        }
        if path.len() >= PATH_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        let floor = if self.restricted() {
            base.clone()
        } else {
            self.root.clone()
        };
        let mut rest = Rest {
            bytes: path.to_vec(),
            at: 0,
        };
        let mut directory = self.start(base, path, &floor)?;
        let mut links = 0;
        let mut last = Last::Other;
        while let Some((name, more)) = rest.next() {
            if directory.kind() != Kind::Directory {
                return Err(Errno::ENOTDIR);
            }
            permission::search(&*directory, self.who)?;
            if name == b"." || name == b".." {
                last = if name.len() == 1 {
                    Last::Dot
                } else {
                    Last::DotDot
                };
                if last == Last::DotDot {
                    directory = self.up(directory, &floor)?;
                }
                continue;
            }
            if name.len() > NAME_MAX {
                return Err(Errno::ENAMETOOLONG);
            }
            root::complete(&directory, Some(&name))?;
            let slash = !more && rest.ends_with_slash();
            let inode = match directory.clone().lookup(&name) {
                Ok(inode) => inode,
                Err(Errno::ENOENT) if !more => {
                    return Ok(Found {
                        directory,
                        name,
                        last: Last::Name,
                        location: None,
                        slash,
                    });
                }
                Err(errno) => return Err(errno),
            };
            let kind = inode.kind();
            if kind == Kind::Symlink && (more || follow || slash) {
                links += 1;
                if links > LINKS_MAX || self.has(linux::RESOLVE_NO_SYMLINKS) {
                    return Err(Errno::ELOOP);
                }
                last = Last::Other;
                match inode.target()? {
                    Target::Path(target) if target.is_empty() => return Err(Errno::ENOENT),
                    Target::Path(target) => {
                        directory = self.start(directory, &target, &floor)?;
                        rest.prepend(target);
                    }
                    Target::Magic(location, _) => {
                        self.check_magic()?;
                        if !more {
                            return Self::at_end(directory, location, slash);
                        }
                        directory = location.inode;
                    }
                }
                continue;
            }
            let inode = match kind {
                Kind::Directory => self.cross(&inode)?,
                _ => inode,
            };
            if !more {
                let mut location = Location::of(inode);
                if kind != Kind::Directory {
                    location.name = Some((directory.clone(), name.clone()));
                }
                let mut found = Self::at_end(directory, location, slash)?;
                (found.name, found.last) = (name, Last::Name);
                return Ok(found);
            }
            (directory, last) = (inode, Last::Other);
        }
        // The path was made of slashes and dots.
        let mut found = Self::at_end(directory.clone(), Location::of(directory), true)?;
        found.last = last;
        Ok(found)
    }

    fn at_end(directory: Arc<dyn Inode>, location: Location, slash: bool) -> Result<Found> {
        if slash && location.inode.kind() != Kind::Directory {
            return Err(Errno::ENOTDIR);
        }
        let location = Some(location);
        Ok(Found {
            directory,
            name: Vec::new(),
            last: Last::Other,
            location,
            slash,
        })
    }

    fn has(&self, flag: u32) -> bool {
        self.resolve & flag != 0
    }

    /// Whether the walk must stay below where it began.
    fn restricted(&self) -> bool {
        self.has(linux::RESOLVE_BENEATH | linux::RESOLVE_IN_ROOT)
    }

    /// Where a path begins that stands in `directory`.
    fn start(
        &self,
        directory: Arc<dyn Inode>,
        path: &[u8],
        floor: &Arc<dyn Inode>,
    ) -> Result<Arc<dyn Inode>> {
        if path.first() != Some(&b'/') {
            return Ok(directory);
        }
        if self.has(linux::RESOLVE_BENEATH) {
            return Err(Errno::EXDEV);
        }
        Ok(floor.clone())
    }

    fn up(&self, directory: Arc<dyn Inode>, floor: &Arc<dyn Inode>) -> Result<Arc<dyn Inode>> {
        if same(&directory, floor) {
            let leaves = self.has(linux::RESOLVE_BENEATH);
            return if leaves {
                Err(Errno::EXDEV)
            } else {
                Ok(directory)
            };
        }
        if same(&directory, &self.root) {
            return Ok(directory);
        }
        if self.has(linux::RESOLVE_NO_XDEV) && mount::point(&directory).is_some() {
            return Err(Errno::EXDEV);
        }
        Ok(above(&directory).map_or(directory, |(parent, _)| parent))
    }

    fn cross(&self, inode: &Arc<dyn Inode>) -> Result<Arc<dyn Inode>> {
        let seen = mount::cross(inode.clone())?;
        if self.has(linux::RESOLVE_NO_XDEV) && !same(&seen, inode) {
            return Err(Errno::EXDEV);
        }
        Ok(seen)
    }

    fn check_magic(&self) -> Result<()> {
        if self.has(linux::RESOLVE_NO_MAGICLINKS) {
            return Err(Errno::ELOOP);
        }
        let away = self.restricted() || self.has(linux::RESOLVE_NO_XDEV);
        if away { Err(Errno::EXDEV) } else { Ok(()) }
    }
}
