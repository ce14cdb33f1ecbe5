//! Names over an image that `mkfs.erofs` writes. Content needs frames, which the host has not.

extern crate std;

use std::path::Path;
use std::process::Command;
use std::string::String;
use std::vec::Vec;
use std::{format, fs, vec};

use alloc::sync::Arc;

use super::{Node, Tree};
use crate::errno::Errno;
use crate::fs::erofs::Image;
use crate::fs::file::File;
use crate::fs::inode::{Change, FileSystem, Inode, New, Replace};
use crate::fs::stat::{Device, Kind};

static FILES: FileSystem = FileSystem {
    name: "test",
    magic: 0,
    device: 1,
    in_memory: true,
};

fn new(kind: Kind) -> New<'static> {
    New {
        kind,
        permissions: 0o644,
        uid: 0,
        gid: 0,
        rdev: Device::default(),
        target: b"",
    }
}

/// A tree over an image with `d/{a,b,c}`, `d/sub/x` and `other` with the same inode as `d/a`.
fn tree() -> Arc<Node> {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("d/sub")).unwrap();
    for name in ["a", "b", "c", "sub/x"] {
        fs::write(dir.path().join("d").join(name), name).unwrap();
    }
    fs::hard_link(dir.path().join("d/a"), dir.path().join("other")).unwrap();
    tree_of(dir.path())
}

/// A tree over an image of a directory.
fn tree_of(dir: &Path) -> Arc<Node> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let made = Command::new("mkfs.erofs")
        .arg(file.path())
        .arg(dir)
        .output();
    assert!(
        made.expect("mkfs.erofs (package erofs-utils) is needed")
            .status
            .success()
    );
    let image: &'static [u8] = fs::read(file.path()).unwrap().leak();
    Tree::over(Image::new(image).unwrap(), &FILES).unwrap()
}

fn at(root: &Arc<Node>, path: &str) -> Result<Arc<Node>, Errno> {
    path.split('/')
        .try_fold(root.clone(), |node, name| node.child(name.as_bytes()))
}

fn names(directory: &Arc<Node>) -> Vec<String> {
    let mut names = Vec::new();
    directory
        .entries(2, &mut |entry| {
            names.push(String::from_utf8(entry.name.to_vec()).unwrap());
            true
        })
        .unwrap();
    names
}

#[test]
fn removed_names_of_the_image_stay_away() {
    let root = tree();
    let d = at(&root, "d").unwrap();
    d.unlink_child(b"b", false).unwrap();
    assert!(matches!(d.child(b"b"), Err(Errno::ENOENT)));
    assert_eq!(names(&d), ["a", "c", "sub"]);
    let b = d.make_child(b"b", &new(Kind::Regular)).unwrap();
    assert_eq!(
        (b.size(), names(&d)),
        (0, vec!["a".into(), "c".into(), "sub".into(), "b".into()])
    );
    d.unlink_child(b"b", false).unwrap();
    assert_eq!(names(&d), ["a", "c", "sub"]);
}

#[test]
fn changes_outlive_the_last_user_and_reach_every_name() {
    let root = tree();
    at(&root, "d/a")
        .unwrap()
        .change(&Change {
            uid: Some(7),
            ..Change::default()
        })
        .unwrap();
    assert_eq!(Inode::stat(&*at(&root, "other").unwrap()).uid, 7);
    // A directory that nobody uses any more still knows what was added.
    at(&root, "d/sub")
        .unwrap()
        .make_child(b"y", &new(Kind::Regular))
        .unwrap();
    assert_eq!(names(&at(&root, "d/sub").unwrap()), ["x", "y"]);
}

#[test]
fn what_was_only_looked_at_is_forgotten() {
    let root = tree();
    drop(at(&root, "d/sub/x").unwrap());
    assert_eq!(root.tree.nodes.lock().len(), 1);
    let x = at(&root, "d/sub/x").unwrap();
    // The file alone: its directories are found again when they are needed.
    assert_eq!(root.tree.nodes.lock().len(), 2);
    assert!(Arc::ptr_eq(&x, &at(&root, "d/sub/x").unwrap()));
}

#[test]
fn a_path_deeper_than_the_stack_is_left() {
    /// Less than one frame for each directory.
    const STACK: usize = 64 << 10;
    let dir = tempfile::tempdir().unwrap();
    let path = vec!["d"; 1900].join("/");
    fs::create_dir_all(dir.path().join(&path)).unwrap();
    let root = tree_of(dir.path());
    let walk = move || drop(at(&root, &path).unwrap());
    std::thread::Builder::new()
        .stack_size(STACK)
        .spawn(walk)
        .unwrap()
        .join()
        .unwrap();
}

#[test]
fn directories_of_the_image_move_with_everything_in_them() {
    let root = tree();
    root.rename_child(b"d", &root, b"e", Replace::Yes).unwrap();
    assert_eq!(names(&at(&root, "e/sub").unwrap()), ["x"]);
    assert!(at(&root, "d").is_err());
    let (parent, name) = Inode::parent(&*at(&root, "e").unwrap()).unwrap();
    assert_eq!((parent.stat().ino, name), (root.ino, b"e".to_vec()));
}

#[test]
fn a_directory_does_not_move_into_itself() {
    let root = tree();
    let sub = at(&root, "d/sub").unwrap();
    let into = |replace| root.rename_child(b"d", &sub, b"d", replace);
    assert_eq!(into(Replace::Yes), Err(Errno::EINVAL));
    let d = at(&root, "d").unwrap();
    assert_eq!(
        d.rename_child(b"sub", &root, b"d", Replace::Yes),
        Err(Errno::ENOTEMPTY)
    );
    assert_eq!(
        d.rename_child(b"sub", &root, b"d", Replace::Exchange),
        Err(Errno::EINVAL)
    );
}

#[test]
fn link_counts_follow_names() {
    let root = tree();
    let links = |path: &str| Inode::stat(&*at(&root, path).unwrap()).nlink;
    assert_eq!((links("d"), links("d/a")), (3, 2));
    let d = at(&root, "d").unwrap();
    d.link_child(b"third", at(&root, "other").unwrap()).unwrap();
    root.unlink_child(b"other", false).unwrap();
    assert_eq!(links("d/a"), 2);
    d.rename_child(b"sub", &root, b"sub", Replace::Yes).unwrap();
    assert_eq!(links("d"), 2);
    at(&root, "sub").unwrap().unlink_child(b"x", false).unwrap();
    root.unlink_child(b"sub", true).unwrap();
    let a = at(&root, "d/a").unwrap();
    d.unlink_child(b"a", false).unwrap();
    d.unlink_child(b"third", false).unwrap();
    assert_eq!(Inode::stat(&*a).nlink, 0);
}

#[test]
fn names_come_once_each_while_others_come_and_go() {
    let root = tree();
    let d = at(&root, "d").unwrap();
    for number in 0..20 {
        d.make_child(format!("new-{number}").as_bytes(), &new(Kind::Regular))
            .unwrap();
    }
    let (mut seen, mut position) = (Vec::new(), 0);
    loop {
        let mut found = None;
        d.entries(position, &mut |entry| {
            found = Some((entry.next, entry.name.to_vec()));
            false
        })
        .unwrap();
        let Some((next, name)) = found else { break };
        position = next;
        if name.starts_with(b"new-1") {
            d.unlink_child(&name, false).unwrap();
        }
        seen.push(name);
    }
    assert_eq!(seen.len(), 2 + 4 + 20);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 2 + 4 + 20);
}

#[test]
fn a_removed_directory_takes_no_more_names() {
    let root = tree();
    let gone = root.make_child(b"gone", &new(Kind::Directory)).unwrap();
    root.unlink_child(b"gone", true).unwrap();
    assert!(matches!(
        gone.make_child(b"x", &new(Kind::Regular)),
        Err(Errno::ENOENT)
    ));
    assert!(Inode::parent(&*gone).is_some_and(|(up, _)| up.stat().ino == root.ino));
    assert!(names(&gone).is_empty());
}

#[test]
fn trees_do_not_mix() {
    let (one, other) = (tree(), tree());
    let foreign: Arc<dyn Inode> = at(&other, "d/a").unwrap();
    assert_eq!(one.clone().link(b"x", foreign), Err(Errno::EXDEV));
    assert_eq!(
        Inode::rename(one, b"d", other, b"e", Replace::Yes),
        Err(Errno::EXDEV)
    );
}
