//! Whether a program's dynamic linker and libraries are where they will be
//! looked for: beside the program by its run path, in `LD_LIBRARY_PATH`, in
//! the directories of `/etc/ld.so.conf`, and in those that glibc of Debian and
//! musl look in by default.

use std::collections::{BTreeSet, HashMap};

use super::Warning;
use super::elf::{self, Program, Read};
use crate::manifest::Manifest;
use crate::tree::{Content, InodeId, Tree, display};

const DEFAULT: [&str; 9] = [
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
    "/usr/local/lib",
    "/usr/local/lib/x86_64-linux-gnu",
    "/usr/local/lib64",
];

/// Most bytes of a linker's configuration file that are read.
const MAX_CONFIG: u64 = 64 << 10;

/// The libraries of a tree.
pub(super) struct Libraries<'a> {
    tree: &'a Tree,
    /// Directories for all programs, in no order that matters.
    search: Vec<Vec<u8>>,
    /// Files read so far; nothing where it is no library for x86-64.
    read: HashMap<InodeId, Option<Program>>,
}

impl<'a> Libraries<'a> {
    pub(super) fn new(tree: &'a Tree, manifest: &Manifest) -> Self {
        let mut search: Vec<Vec<u8>> = DEFAULT.iter().map(|dir| dir.as_bytes().to_vec()).collect();
        if let Some(path) = manifest.env().get("LD_LIBRARY_PATH") {
            search.extend(path.split([':', ';']).map(|dir| dir.as_bytes().to_vec()));
        }
        configured(tree, &mut search);
        Self {
            tree,
            search,
            read: HashMap::new(),
        }
    }

    /// Checks a program and all that it needs. Libraries by themselves are not
    /// checked: they may be found by way of what loads them.
    pub(super) fn check(&mut self, path: &[u8], program: &Program, warnings: &mut Vec<Warning>) {
        let Some(interpreter) = &program.interpreter else {
            return;
        };
        if self.tree.resolve(interpreter).is_err() {
            warnings.push(Warning::InterpreterMissing {
                path: display(path),
                interpreter: display(interpreter),
            });
        }
        // The run path of a program counts for its libraries too (DT_RPATH).
        let inherited = expand(&program.search, path);
        let mut seen = BTreeSet::new();
        let mut todo = vec![(path.to_vec(), program.clone())];
        while let Some((by, object)) = todo.pop() {
            let own = expand(&object.search, &by);
            for name in &object.needed {
                if !seen.insert(name.clone()) {
                    continue;
                }
                let Some((found, id)) = self.find(name, &own, &inherited) else {
                    warnings.push(Warning::LibraryMissing {
                        path: display(path),
                        library: display(name),
                        needed_by: display(&by),
                    });
                    continue;
                };
                if let Some(library) = self.library(id) {
                    todo.push((found, library));
                }
            }
        }
    }

    fn find(
        &self,
        name: &[u8],
        own: &[Vec<u8>],
        inherited: &[Vec<u8>],
    ) -> Option<(Vec<u8>, InodeId)> {
        let file = |path: Vec<u8>| {
            let id = self.tree.resolve(&path).ok()?;
            matches!(self.tree.inode(id).content, Content::File(_)).then_some((path, id))
        };
        if name.contains(&b'/') {
            return file(name.to_vec());
        }
        let directories = own.iter().chain(inherited).chain(&self.search);
        directories
            .map(|dir| [dir, &b"/"[..], name].concat())
            .find_map(file)
    }

    fn library(&mut self, id: InodeId) -> Option<Program> {
        let Content::File(source) = &self.tree.inode(id).content else {
            return None;
        };
        let read = || match elf::read(source) {
            Ok(Read::Elf(program)) => Some(program),
            _ => None,
        };
        self.read.entry(id).or_insert_with(read).clone()
    }
}

/// Run paths with `$ORIGIN` replaced by the directory of the file.
fn expand(search: &[Vec<u8>], file: &[u8]) -> Vec<Vec<u8>> {
    let slash = file.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    let origin = &file[..slash];
    let replaced = |path: &[u8]| {
        let rest = path
            .strip_prefix(b"$ORIGIN")
            .or_else(|| path.strip_prefix(b"${ORIGIN}"));
        rest.map_or_else(|| path.to_vec(), |rest| [origin, rest].concat())
    };
    search.iter().map(|path| replaced(path)).collect()
}

/// The directories that `/etc/ld.so.conf` and `/etc/ld.so.conf.d` name, and
/// those of musl's `/etc/ld-musl-x86_64.path`.
fn configured(tree: &Tree, search: &mut Vec<Vec<u8>>) {
    let mut files = vec![
        tree.resolve(b"/etc/ld.so.conf").ok(),
        tree.resolve(b"/etc/ld-musl-x86_64.path").ok(),
    ];
    if let Ok(dir) = tree.resolve(b"/etc/ld.so.conf.d") {
        let names = tree.inode(dir).entries().into_iter().flatten();
        files.extend(
            names
                .filter(|(name, _)| name.ends_with(b".conf"))
                .map(|(name, _)| tree.resolve_from(b"/etc/ld.so.conf.d", name).ok()),
        );
    }
    for id in files.into_iter().flatten() {
        let Content::File(source) = &tree.inode(id).content else {
            continue;
        };
        let Ok(text) = source.read_to_vec(MAX_CONFIG) else {
            continue;
        };
        let directories = text
            .split(|byte| matches!(byte, b'\n' | b':' | b' ' | b'\t'))
            .filter(|dir| dir.starts_with(b"/"));
        search.extend(directories.map(<[u8]>::to_vec));
    }
}
