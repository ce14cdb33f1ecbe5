//! The user's cache: the process of an instance, unpacked; records of verified packages; packages
//! made for one run. Everything in it can be deleted at any time.

use std::env;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, Mode, OFlags};

/// The directory, mode 0700 and our own.
pub(crate) struct Cache {
    root: PathBuf,
}

impl Cache {
    /// Opens it, and makes it if it is not there. `None` if the host has no place for it, or it
    /// belongs to somebody else: then nothing is kept.
    pub(crate) fn open() -> Option<Self> {
        let base = env::var_os("XDG_CACHE_HOME").filter(|base| !base.is_empty());
        let base = base.map(PathBuf::from).filter(|base| base.is_absolute());
        let base = base.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")))?;
        let root = base.join("unicell");
        let is_ours = |found: &std::fs::Metadata| {
            found.is_dir()
                && found.uid() == rustix::process::geteuid().as_raw()
                && found.mode() & 0o77 == 0
        };
        if !root.symlink_metadata().is_ok_and(|found| is_ours(&found)) {
            std::fs::DirBuilder::new()
                .mode(0o700)
                .recursive(true)
                .create(&root)
                .ok()?;
            root.symlink_metadata().ok().filter(is_ours)?;
        }
        Some(Self { root })
    }

    /// A directory of the cache.
    fn directory(&self, name: &str) -> Option<PathBuf> {
        let path = self.root.join(name);
        if !path.exists() {
            std::fs::DirBuilder::new().mode(0o700).create(&path).ok()?;
        }
        Some(path)
    }

    /// Where records of verified packages are kept.
    pub(crate) fn records(&self) -> Option<PathBuf> {
        self.directory("verified")
    }

    /// Where files without a name may be made.
    pub(crate) fn temporary(&self) -> &Path {
        &self.root
    }

    /// A file without a name, for a package that is needed once.
    pub(crate) fn nameless_file(&self) -> io::Result<File> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        Ok(rustix::fs::open(&self.root, flags, Mode::RUSR | Mode::WUSR)?.into())
    }

    /// The file with these bytes, known by their hash. Others of the same name prefix are from
    /// other versions of unicell.
    fn executable(&self, hash: &str, bytes: &[u8]) -> Option<File> {
        let path = self
            .directory("bin")?
            .join(format!("unicell-vmm-{}", &hash[..16]));
        if let Some(file) = open_executable(&path, bytes.len()) {
            return Some(file);
        }
        let temporary = path.with_extension(std::process::id().to_string());
        let written =
            write_executable(&temporary, bytes).and_then(|()| std::fs::rename(&temporary, &path));
        if written.is_err() {
            // What is left over is of no use; that it cannot be removed does not matter.
            let _ = std::fs::remove_file(&temporary);
            return None;
        }
        open_executable(&path, bytes.len())
    }
}

/// The file, if it is whole: it is renamed into place when it is, and only we can write there.
fn open_executable(path: &Path, len: usize) -> Option<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
    let found = file.metadata().ok()?;
    (found.is_file() && found.len() == len as u64).then_some(file)
}

fn write_executable(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o700)
        .open(path)?;
    file.write_all(bytes)
}

/// A descriptor of a file with these bytes that can be executed: from the cache, so that all
/// instances share one copy in memory, or else a copy of our own.
pub(crate) fn executable(cache: Option<&Cache>, hash: &str, bytes: &[u8]) -> io::Result<OwnedFd> {
    if let Some(file) = cache.and_then(|cache| cache.executable(hash, bytes)) {
        return Ok(file.into());
    }
    let copy = rustix::fs::memfd_create("unicell-vmm", MemfdFlags::CLOEXEC)?;
    let mut file = File::from(copy);
    file.write_all(bytes)?;
    // A descriptor that can be written cannot be executed.
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
    Ok(rustix::fs::open(
        path,
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )?)
}
