//! Following a path through the tree as the guest will: links are resolved
//! inside the box, and `..` at the root stays at the root.

use std::collections::VecDeque;

use super::{Content, InodeId, Tree};

/// Most symbolic links followed in one path (`MAXSYMLINKS` of Linux).
pub const MAX_LINKS: usize = 40;

/// A path that leads to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// There is no such entry.
    #[error("there is no such entry")]
    NotFound,
    /// Something on the way is not a directory.
    #[error("something on the way is not a directory")]
    NotDirectory,
    /// Links in a circle.
    #[error("more than {MAX_LINKS} symbolic links are followed")]
    TooManyLinks,
}

/// Where a path led to.
struct Position {
    /// The directories from the root to here.
    parents: Vec<InodeId>,
    here: InodeId,
}

impl Tree {
    /// The inode that `path` means, taken from the root, all links followed.
    pub fn resolve(&self, path: &[u8]) -> Result<InodeId, ResolveError> {
        self.resolve_from(&[], path)
    }

    /// The inode that `path` means when it stands in the directory `base`
    /// (a path from the root).
    pub fn resolve_from(&self, base: &[u8], path: &[u8]) -> Result<InodeId, ResolveError> {
        let mut todo = VecDeque::new();
        if !path.starts_with(b"/") {
            prepend(&mut todo, base);
            todo.extend(path.split(|byte| *byte == b'/'));
        } else {
            prepend(&mut todo, path);
        }
        let mut links = 0;
        let mut at = Position {
            parents: Vec::new(),
            here: Self::ROOT,
        };
        while let Some(name) = todo.pop_front() {
            if matches!(self.inode(at.here).content, Content::Directory(_)) {
                match name {
                    b"" | b"." => continue,
                    b".." => {
                        at.here = at.parents.pop().unwrap_or(Self::ROOT);
                        continue;
                    }
                    _ => {}
                }
            } else {
                return Err(ResolveError::NotDirectory);
            }
            let child = self.child(at.here, name).ok_or(ResolveError::NotFound)?;
            if let Content::Symlink(target) = &self.inode(child).content {
                links += 1;
                if links > MAX_LINKS {
                    return Err(ResolveError::TooManyLinks);
                }
                if target.starts_with(b"/") {
                    at = Position {
                        parents: Vec::new(),
                        here: Self::ROOT,
                    };
                }
                prepend(&mut todo, target);
            } else {
                at.parents.push(at.here);
                at.here = child;
            }
        }
        Ok(at.here)
    }
}

fn prepend<'a>(todo: &mut VecDeque<&'a [u8]>, path: &'a [u8]) {
    for name in path.rsplit(|byte| *byte == b'/') {
        todo.push_front(name);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Inode, Limits, Metadata, Source};
    use super::*;

    fn tree() -> Tree {
        let meta = Metadata::default();
        let mut tree = Tree::new(meta, Limits::default());
        let usr = tree
            .add(Tree::ROOT, b"usr", Inode::directory(meta))
            .unwrap();
        let lib = tree.add(usr, b"lib", Inode::directory(meta)).unwrap();
        tree.add(
            lib,
            b"libc.so",
            Inode::new(meta, Content::File(Source::bytes(b"x"))),
        )
        .unwrap();
        let link = |target: &[u8]| Inode::new(meta, Content::Symlink(target.into()));
        tree.add(Tree::ROOT, b"lib", link(b"usr/lib")).unwrap();
        tree.add(lib, b"up", link(b"../../../../usr/lib/libc.so"))
            .unwrap();
        tree.add(lib, b"absolute", link(b"/lib/up")).unwrap();
        tree.add(Tree::ROOT, b"loop", link(b"loop")).unwrap();
        tree
    }

    #[test]
    fn links_are_followed_inside_the_box() {
        let tree = tree();
        let file = tree.resolve(b"/usr/lib/libc.so").unwrap();
        for path in [
            "/lib/libc.so",
            "/lib/up",
            "/lib/absolute",
            "lib/../lib/./libc.so",
        ] {
            assert_eq!(tree.resolve(path.as_bytes()), Ok(file), "{path}");
        }
        assert_eq!(tree.resolve_from(b"/usr", b"lib/up"), Ok(file));
        assert_eq!(tree.resolve_from(b"/nowhere", b"/lib/up"), Ok(file));
        assert_eq!(tree.resolve(b"/loop"), Err(ResolveError::TooManyLinks));
        assert_eq!(tree.resolve(b"/lib/none"), Err(ResolveError::NotFound));
        assert_eq!(
            tree.resolve(b"/lib/libc.so/x"),
            Err(ResolveError::NotDirectory)
        );
        assert_eq!(tree.resolve(b"/../.."), Ok(Tree::ROOT));
    }
}
