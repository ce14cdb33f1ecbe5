//! Names of Unix sockets: paths, abstract names, none.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;

use linux_raw_sys::net;

use super::End;
use crate::errno::{Errno, Result};
use crate::fs::inode::New;
use crate::fs::path::{Found, Walk};
use crate::fs::stat::Device;
use crate::fs::tree::Node;
use crate::fs::{Kind, permission};
use crate::net::{RawAddress, family};
use crate::sync::Mutex;
use crate::task;

/// Bytes of the family, before the name.
const FAMILY: usize = 2;
/// Bytes of a name, at most.
const NAME_MAX: usize = 108;
/// Abstract names that the kernel makes up are five hexadecimal digits.
const AUTOMATIC_END: u32 = 1 << 20;

/// A name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    /// A path, as it was given.
    Path(Vec<u8>),
    /// A name in a space of its own.
    Abstract(Vec<u8>),
}

/// Who has which abstract name, for each kind of socket.
type Holders = BTreeMap<(u32, Vec<u8>), Weak<End>>;

static ABSTRACT: Mutex<Holders> = Mutex::new(BTreeMap::new());

impl Name {
    /// The name in an address; none if it is empty.
    ///
    /// # Errors
    ///
    /// EINVAL if it is no address of this family.
    pub(super) fn parse(address: &[u8]) -> Result<Option<Self>> {
        if family(address) != Some(net::AF_UNIX) || address.len() > FAMILY + NAME_MAX {
            return Err(Errno::EINVAL);
        }
        Ok(match &address[FAMILY..] {
            [] => None,
            [0, name @ ..] => Some(Self::Abstract(name.to_vec())),
            path => {
                let end = path.iter().position(|byte| *byte == 0);
                Some(Self::Path(path[..end.unwrap_or(path.len())].to_vec()))
            }
        })
    }

    /// The address, as programs see it.
    pub(super) fn address(name: Option<&Self>) -> RawAddress {
        let mut address = (net::AF_UNIX as u16).to_ne_bytes().to_vec();
        match name {
            None => {}
            Some(Self::Path(path)) => {
                address.extend_from_slice(path);
                address.push(0);
            }
            Some(Self::Abstract(name)) => {
                address.push(0);
                address.extend_from_slice(name);
            }
        }
        address
    }

    /// As `/proc/net/unix` shows it.
    pub(super) fn shown(&self) -> Vec<u8> {
        match self {
            Self::Path(path) => path.clone(),
            Self::Abstract(name) => {
                let shown = name
                    .iter()
                    .map(|byte| if *byte == 0 { b'@' } else { *byte });
                core::iter::once(b'@').chain(shown).collect()
            }
        }
    }

    /// Gives this name to a socket.
    ///
    /// # Errors
    ///
    /// EADDRINUSE if something has it, and what making a path fails with.
    pub(super) fn give(&self, to: &Arc<End>) -> Result<()> {
        match self {
            Self::Path(path) => give_path(path, to),
            Self::Abstract(name) => give_abstract(name, to),
        }
    }

    /// A name that nothing had, given to a socket.
    ///
    /// # Errors
    ///
    /// ENOSPC if there is none left.
    pub(super) fn give_any(to: &Arc<End>) -> Result<Self> {
        let mut random = [0; 4];
        crate::random::fill(&mut random);
        let first = u32::from_ne_bytes(random);
        for step in 0..AUTOMATIC_END {
            let number = first.wrapping_add(step) % AUTOMATIC_END;
            let name = format!("{number:05x}").into_bytes();
            if give_abstract(&name, to).is_ok() {
                return Ok(Self::Abstract(name));
            }
        }
        Err(Errno::ENOSPC)
    }

    /// Takes the name away from a socket, if it is the one that has it (connections that it has
    /// accepted only show it). A path stays, leading nowhere.
    pub(super) fn forget(&self, end: &End) {
        let Self::Abstract(name) = self else { return };
        let mut names = ABSTRACT.lock();
        let key = (end.kind(), name.clone());
        let has_it = |holder: &Weak<End>| core::ptr::eq(holder.as_ptr(), end);
        if names.get(&key).is_some_and(has_it) {
            names.remove(&key);
        }
    }

    /// The socket with this name, for one of a kind.
    ///
    /// # Errors
    ///
    /// ECONNREFUSED if there is none, EPROTOTYPE if it is of another kind, and what finding a path
    /// fails with.
    pub(super) fn find(&self, kind: u32) -> Result<Arc<End>> {
        match self {
            Self::Path(path) => find_path(path, kind),
            Self::Abstract(name) => {
                let found = ABSTRACT.lock().get(&(kind, name.clone())).cloned();
                found
                    .and_then(|end| end.upgrade())
                    .ok_or(Errno::ECONNREFUSED)
            }
        }
    }
}

fn walk(path: &[u8], follow: bool) -> Result<Found> {
    let process = task::process();
    let who = process.credentials();
    let walk = Walk {
        root: process.context().root(),
        who: &who,
        resolve: 0,
    };
    walk.walk(process.context().directory(), path, follow)
}

fn give_path(path: &[u8], to: &Arc<End>) -> Result<()> {
    let found = walk(path, false)?;
    if found.location.is_some() {
        return Err(Errno::EADDRINUSE);
    }
    if found.slash {
        return Err(Errno::ENOENT);
    }
    let process = task::process();
    let who = process.credentials();
    permission::add(&*found.directory, &who)?;
    let new = New {
        kind: Kind::Socket,
        permissions: 0o777 & !process.context().umask(),
        uid: who.fsuid,
        gid: who.fsgid,
        rdev: Device::default(),
        target: b"",
    };
    let made = found.directory.create(&found.name, &new)?;
    let any: Arc<dyn Any + Send + Sync> = made;
    let node = any.downcast::<Node>().map_err(|_| Errno::EPERM)?;
    let bound: Weak<End> = Arc::downgrade(to);
    node.bind(bound);
    Ok(())
}

fn find_path(path: &[u8], kind: u32) -> Result<Arc<End>> {
    let inode = walk(path, true)?.existing()?.inode;
    let who = task::process().credentials();
    permission::check_inode(&*inode, permission::WRITE, &who)?;
    let any: Arc<dyn Any + Send + Sync> = inode;
    let node = any.downcast::<Node>().map_err(|_| Errno::ECONNREFUSED)?;
    let bound = node.bound().ok_or(Errno::ECONNREFUSED)?;
    let end = bound.downcast::<End>().map_err(|_| Errno::ECONNREFUSED)?;
    if end.kind() == kind {
        Ok(end)
    } else {
        Err(Errno::EPROTOTYPE)
    }
}

fn give_abstract(name: &[u8], to: &Arc<End>) -> Result<()> {
    let mut names = ABSTRACT.lock();
    let key = (to.kind(), name.to_vec());
    if names.get(&key).is_some_and(|end| end.strong_count() > 0) {
        return Err(Errno::EADDRINUSE);
    }
    names.insert(key, Arc::downgrade(to));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(name: &[u8]) -> Vec<u8> {
        [&(net::AF_UNIX as u16).to_ne_bytes()[..], name].concat()
    }

    #[test]
    fn addresses_come_back() {
        for name in [&b""[..], b"/tmp/socket\0", b"\0abstract\0\0"] {
            let parsed = Name::parse(&address(name)).unwrap();
            assert_eq!(Name::address(parsed.as_ref()), address(name));
        }
    }

    #[test]
    fn a_path_ends_at_its_nul_or_with_the_address() {
        let path = Name::Path(b"ab".to_vec());
        for name in [&b"ab"[..], b"ab\0", b"ab\0cd"] {
            assert_eq!(Name::parse(&address(name)), Ok(Some(path.clone())));
        }
        assert_eq!(Name::parse(&address(&[b'x'; 109])), Err(Errno::EINVAL));
        assert_eq!(Name::parse(&[2, 0, b'x']), Err(Errno::EINVAL));
        assert_eq!(Name::parse(&[1]), Err(Errno::EINVAL));
    }
}
