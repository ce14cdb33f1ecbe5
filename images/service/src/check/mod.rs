//! What in a box will probably not work, or not as its author meant. Nothing
//! here stops a box from being packed; all of it is told.

mod elf;
mod libraries;
mod warning;

use elf::{Program, Read};
pub use warning::Warning;

use crate::manifest::Manifest;
use crate::tree::{Content, InodeId, Source, Tree, display};

/// Looks a tree over. The warnings come in the order of the tree, those about
/// the entrypoint first.
pub fn check(tree: &Tree, manifest: &Manifest) -> Vec<Warning> {
    let mut warnings = Vec::new();
    entrypoint(tree, manifest, &mut warnings);
    let mut libraries = libraries::Libraries::new(tree, manifest);
    let mut seen = vec![false; tree.capacity()];
    for (path, id) in tree.walk() {
        let inode = tree.inode(id);
        match &inode.content {
            Content::Symlink(target) if dangles(tree, target) => {
                warnings.push(Warning::DanglingLink {
                    path: display(&path),
                    target: display(target),
                });
            }
            Content::CharDevice(_) | Content::BlockDevice(_) => {
                warnings.push(Warning::Device {
                    path: display(&path),
                });
            }
            Content::File(source) => {
                let first = !std::mem::replace(&mut seen[id.index()], true);
                if inode.metadata.permissions & 0o6000 != 0 {
                    warnings.push(Warning::SetId {
                        path: display(&path),
                    });
                }
                if first && may_be_elf(tree, &path, id) {
                    file(&path, source, &mut libraries, &mut warnings);
                }
            }
            _ => {}
        }
    }
    warnings
}

/// Whether a link's target is absolute and leads to nothing.
fn dangles(tree: &Tree, target: &[u8]) -> bool {
    target.starts_with(b"/") && !provided(target) && tree.resolve(target).is_err()
}

/// Whether a path lies in a file system that the guest brings itself.
fn provided(target: &[u8]) -> bool {
    ["/proc", "/dev", "/sys"].iter().any(|dir| {
        let rest = target.strip_prefix(dir.as_bytes());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    })
}

/// Whether a file is worth opening: it may be executed, or is named as shared
/// libraries are.
fn may_be_elf(tree: &Tree, path: &[u8], id: InodeId) -> bool {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    tree.inode(id).metadata.permissions & 0o111 != 0 || name.windows(3).any(|part| part == b".so")
}

fn file(
    path: &[u8],
    source: &Source,
    libraries: &mut libraries::Libraries<'_>,
    warnings: &mut Vec<Warning>,
) {
    match elf::read(source) {
        Ok(Read::Elf(program)) => libraries.check(path, &program, warnings),
        Ok(Read::Foreign(machine)) => {
            warnings.push(Warning::Architecture {
                path: display(path),
                machine,
            });
        }
        Ok(Read::Broken) => warnings.push(Warning::BrokenElf {
            path: display(path),
        }),
        // A file that cannot be read fails the packing itself, with its name.
        Ok(Read::Script | Read::Other) | Err(_) => {}
    }
}

fn entrypoint(tree: &Tree, manifest: &Manifest, warnings: &mut Vec<Warning>) {
    let path = manifest.entrypoint().to_owned();
    let id = match tree.resolve(path.as_bytes()) {
        Ok(id) => id,
        Err(reason) => return warnings.push(Warning::EntrypointMissing { path, reason }),
    };
    let inode = tree.inode(id);
    let Content::File(source) = &inode.content else {
        return warnings.push(Warning::EntrypointNotFile { path });
    };
    if inode.metadata.permissions & 0o111 == 0 {
        warnings.push(Warning::EntrypointNotExecutable { path: path.clone() });
    }
    match elf::read(source) {
        Ok(Read::Elf(Program { runnable: true, .. }) | Read::Script) | Err(_) => {}
        // Told once, when the walk comes to it.
        Ok(Read::Foreign(_) | Read::Broken) => {}
        Ok(Read::Elf(_) | Read::Other) => warnings.push(Warning::EntrypointNotProgram { path }),
    }
    if tree.resolve(manifest.workdir().as_bytes()).is_err() {
        warnings.push(Warning::WorkdirMissing {
            path: manifest.workdir().to_owned(),
        });
    }
}
