//! The blocks of a directory: in each block first the entries of 12 bytes,
//! then their names, all sorted by the bytes of the names.

use std::collections::BTreeMap;

use super::BLOCK;
use super::format::FileType;
use crate::tree::{InodeId, Name};

const ENTRY: usize = 12;

/// A name in a directory and where it leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry<'a> {
    name: &'a [u8],
    /// The inode that is meant.
    pub(super) id: InodeId,
}

/// All entries of a directory, `.` and `..` in their place among the others.
pub(super) fn entries(
    names: &BTreeMap<Name, InodeId>,
    this: InodeId,
    parent: InodeId,
) -> Vec<Entry<'_>> {
    let mut all = Vec::with_capacity(names.len() + 2);
    all.push(Entry {
        name: b".",
        id: this,
    });
    all.push(Entry {
        name: b"..",
        id: parent,
    });
    all.extend(names.iter().map(|(name, id)| Entry { name, id: *id }));
    all.sort_unstable();
    all
}

/// How many of the first entries share a block, and the bytes they take.
fn fill(entries: &[Entry<'_>]) -> (usize, usize) {
    let mut used = 0;
    for (count, entry) in entries.iter().enumerate() {
        let with = used + ENTRY + entry.name.len();
        if with > BLOCK as usize {
            return (count, used);
        }
        used = with;
    }
    (entries.len(), used)
}

/// The size of a directory: whole blocks, and what is used of the last one.
pub(super) fn size(mut entries: &[Entry<'_>]) -> u64 {
    let mut size = 0;
    loop {
        let (count, used) = fill(entries);
        entries = &entries[count..];
        if entries.is_empty() {
            return size + used as u64;
        }
        size += BLOCK;
    }
}

/// The directory's bytes, [`size`] of them. `target` says the node id and the
/// type of an inode.
pub(super) fn encode(
    mut entries: &[Entry<'_>],
    target: impl Fn(InodeId) -> (u64, FileType),
) -> Vec<u8> {
    let mut out = Vec::with_capacity(size(entries) as usize);
    while !entries.is_empty() {
        out.resize(out.len().next_multiple_of(BLOCK as usize), 0);
        let (count, _) = fill(entries);
        let (block, rest) = entries.split_at(count);
        let mut name_at = count * ENTRY;
        for entry in block {
            let (nid, kind) = target(entry.id);
            out.extend_from_slice(&nid.to_le_bytes());
            out.extend_from_slice(&(name_at as u16).to_le_bytes());
            out.extend_from_slice(&[kind as u8, 0]);
            name_at += entry.name.len();
        }
        for entry in block {
            out.extend_from_slice(entry.name);
        }
        entries = rest;
    }
    out
}
