//! `/sys`, as far as programs look at it: CPUs, huge pages.

use alloc::vec;
use alloc::vec::Vec;

use super::generated::{Child, Item, Subject};
use super::process::item;
use crate::errno::Result;

/// What is in `/sys`.
pub(super) fn root(_: &Subject) -> Result<Vec<Item>> {
    Ok(vec![
        item(
            "devices",
            Child::Directory(|_| Ok(vec![item("system", Child::Directory(system))])),
        ),
        item(
            "fs",
            Child::Directory(|_| Ok(vec![item("cgroup", Child::Directory(|_| Ok(vec![])))])),
        ),
        item(
            "kernel",
            Child::Directory(|_| Ok(vec![item("mm", Child::Directory(memory))])),
        ),
    ])
}

fn system(_: &Subject) -> Result<Vec<Item>> {
    Ok(vec![item("cpu", Child::Directory(cpus))])
}

/// One CPU, numbered 0.
fn cpus(_: &Subject) -> Result<Vec<Item>> {
    let first: Child = Child::Text(|_| Ok(b"0\n".to_vec()));
    Ok(vec![
        item("cpu0", Child::Directory(|_| Ok(vec![]))),
        item("kernel_max", first),
        item("offline", Child::Text(|_| Ok(b"\n".to_vec()))),
        item("online", first),
        item("possible", first),
        item("present", first),
    ])
}

fn memory(_: &Subject) -> Result<Vec<Item>> {
    Ok(vec![item(
        "transparent_hugepage",
        Child::Directory(huge_pages),
    )])
}

fn huge_pages(_: &Subject) -> Result<Vec<Item>> {
    Ok(vec![
        item(
            "defrag",
            Child::Text(|_| Ok(b"always defer defer+madvise madvise [never]\n".to_vec())),
        ),
        item(
            "enabled",
            Child::Text(|_| Ok(b"always [madvise] never\n".to_vec())),
        ),
        item("hpage_pmd_size", Child::Text(|_| Ok(b"2097152\n".to_vec()))),
        item(
            "shmem_enabled",
            Child::Text(|_| Ok(b"always within_size advise [never] deny force\n".to_vec())),
        ),
    ])
}
