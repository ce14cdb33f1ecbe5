//! Where a key is kept: a file of its owner's alone, in PKCS#8's PEM form, which other programs
//! read too; beside it the history of the keys before it.
//!
//! Every change is by a whole new file that is renamed into place, so that at any moment there is a
//! key, and a history that leads to it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use rustix::fs::OFlags;
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use super::{Identity, NodeId, Succession};

/// The longest key file that is read.
const KEY_MAX: u64 = 4096;
/// The longest history that is read: some thousand keys.
const HISTORY_MAX: u64 = 1 << 20;

/// Why there is no key, or none that can be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is none.
    #[error("there is no key at {}", .0.display())]
    Missing(PathBuf),
    /// There is one already.
    #[error("there is a key at {} already", .0.display())]
    Exists(PathBuf),
    /// Others could read it.
    #[error("the key at {} can be read by others (mode {mode:o})", .path.display())]
    Exposed {
        /// Which.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error("the key at {} belongs to user {owner}", .path.display())]
    Foreign {
        /// Which.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// It is no key.
    #[error("{} holds no ed25519 key in PKCS#8's PEM form", .0.display())]
    NoKey(PathBuf),
    /// The history does not lead to the key.
    #[error("the history of keys at {} is damaged", .0.display())]
    History(PathBuf),
    /// The host failed.
    #[error("{}: {source}", .path.display())]
    Io {
        /// Of which file.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// The host has no randomness.
    #[error("the host gives no randomness: {0}")]
    Random(rustix::io::Errno),
}

/// The file of a node's key.
#[derive(Clone, Debug)]
pub struct KeyFile {
    path: PathBuf,
}

/// An error about a file.
fn at(path: &Path) -> impl FnOnce(io::Error) -> KeyError {
    let path = path.to_owned();
    move |source| KeyError::Io { path, source }
}

impl KeyFile {
    /// The key at this path, whether it is there or not.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a new key. Its directory is made, with mode 0700, if it is not there.
    ///
    /// # Errors
    ///
    /// There is one already, or the host failed.
    pub fn create(&self) -> Result<Identity, KeyError> {
        let identity = random()?;
        self.keep(&identity)?;
        Ok(identity)
    }

    /// Takes over a key from another file, such as a backup.
    ///
    /// # Errors
    ///
    /// There is one already, the other is none, or the host failed.
    pub fn restore(&self, backup: &Path) -> Result<Identity, KeyError> {
        let identity = Self::new(backup.to_owned()).load()?;
        self.keep(&identity)?;
        Ok(identity)
    }

    /// Reads the key.
    ///
    /// # Errors
    ///
    /// There is none, it is none, or others than its owner could have read it.
    pub fn load(&self) -> Result<Identity, KeyError> {
        let path = &self.path;
        let flags = OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits() as i32)
            .open(path);
        let file = match file {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(KeyError::Missing(path.clone()));
            }
            file => file.map_err(at(path))?,
        };
        let found = file.metadata().map_err(at(path))?;
        let (path, mode) = (path.clone(), found.mode() & 0o7777);
        if found.uid() != rustix::process::geteuid().as_raw() {
            let owner = found.uid();
            return Err(KeyError::Foreign { path, owner });
        }
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed { path, mode });
        }
        let mut text = Zeroizing::new(String::new());
        let read = file.take(KEY_MAX).read_to_string(&mut text);
        let key = read
            .ok()
            .and_then(|_| SigningKey::from_pkcs8_pem(&text).ok());
        key.map(Identity).ok_or(KeyError::NoKey(path))
    }

    /// Copies the key to a new file with the same permissions.
    ///
    /// # Errors
    ///
    /// There is no key, there is such a file already, or the host failed.
    pub fn back_up(&self, to: &Path) -> Result<NodeId, KeyError> {
        let identity = self.load()?;
        Self::new(to.to_owned()).keep(&identity)?;
        Ok(identity.id())
    }

    /// The keys before this one, the oldest first, each of which has signed the next.
    ///
    /// # Errors
    ///
    /// There is no key, or the history does not lead to it.
    pub fn history(&self) -> Result<Vec<Succession>, KeyError> {
        self.history_of(self.load()?.id())
    }

    fn history_of(&self, id: NodeId) -> Result<Vec<Succession>, KeyError> {
        let path = self.beside("history");
        let text = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            file => {
                let file = file.map_err(at(&path))?;
                let mut text = String::new();
                file.take(HISTORY_MAX)
                    .read_to_string(&mut text)
                    .map_err(at(&path))?;
                text
            }
        };
        let damaged = || KeyError::History(path.clone());
        let lines = text.lines().map(serde_json::from_str);
        let mut history: Vec<Succession> =
            lines.collect::<Result<_, _>>().map_err(|_| damaged())?;
        // A rotation that was cut off has named a key that never came to be used.
        history.pop_if(|last| last.new != id && last.old == id);
        match history.first() {
            Some(first) if !Succession::leads(&history, first.old, id) => Err(damaged()),
            _ => Ok(history),
        }
    }

    /// Puts a new key in the place of this one. The old one signs it, and stays beside it under the
    /// name that is returned.
    ///
    /// # Errors
    ///
    /// There is no key, or the host failed: then the old one is still in its place.
    pub fn rotate(&self) -> Result<(Succession, PathBuf), KeyError> {
        let old = self.load()?;
        let mut history = self.history_of(old.id())?;
        let new = random()?;
        let succession = Succession::sign(&old, new.id());
        history.push(succession);
        let file = self.written(&text(&new)?)?;
        // First what makes the new key good, then the key.
        self.write_history(&history)?;
        let kept = self.beside(&old.id().to_string()[..16]);
        if !kept.exists() {
            fs::hard_link(&self.path, &kept).map_err(at(&kept))?;
        }
        file.persist(&self.path)
            .map_err(|error| at(&self.path)(error.error))?;
        self.settle()?;
        Ok((succession, kept))
    }

    fn write_history(&self, history: &[Succession]) -> Result<(), KeyError> {
        let path = self.beside("history");
        let mut text = String::new();
        for link in history {
            let line = serde_json::to_string(link).map_err(io::Error::other);
            text.push_str(&line.map_err(at(&path))?);
            text.push('\n');
        }
        let file = self.written(text.as_bytes())?;
        file.persist(&path)
            .map_err(|error| at(&path)(error.error))?;
        self.settle()
    }

    fn directory(&self) -> &Path {
        match self.path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        }
    }

    /// A file whose name is this one's with something added.
    fn beside(&self, what: &str) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".");
        name.push(what);
        self.path.with_file_name(name)
    }

    /// Writes a key where there is none.
    fn keep(&self, identity: &Identity) -> Result<(), KeyError> {
        use std::os::unix::fs::DirBuilderExt;
        let directory = self.directory();
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory);
        made.map_err(at(directory))?;
        let file = self.written(&text(identity)?)?;
        match file.persist_noclobber(&self.path) {
            Ok(_) => self.settle(),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                Err(KeyError::Exists(self.path.clone()))
            }
            Err(error) => Err(at(&self.path)(error.error)),
        }
    }

    /// A file without its name yet, its owner's alone, on disk.
    fn written(&self, bytes: &[u8]) -> Result<NamedTempFile, KeyError> {
        let directory = self.directory();
        let mut file = NamedTempFile::new_in(directory).map_err(at(directory))?;
        file.write_all(bytes)
            .and_then(|()| file.as_file().sync_all())
            .map_err(at(&self.path))?;
        Ok(file)
    }

    /// Has the directory's names on disk.
    fn settle(&self) -> Result<(), KeyError> {
        let directory = self.directory();
        File::open(directory)
            .and_then(|directory| directory.sync_all())
            .map_err(at(directory))
    }
}

fn random() -> Result<Identity, KeyError> {
    let mut seed = Zeroizing::new([0; 32]);
    // Up to 256 bytes come whole (getrandom(2)).
    let flags = rustix::rand::GetRandomFlags::empty();
    rustix::rand::getrandom(&mut seed[..], flags).map_err(KeyError::Random)?;
    Ok(Identity(SigningKey::from_bytes(&seed)))
}

fn text(identity: &Identity) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let text = identity.0.to_pkcs8_pem(LineEnding::LF);
    let text = text.map_err(|error| KeyError::Io {
        path: PathBuf::new(),
        source: io::Error::other(error),
    })?;
    Ok(Zeroizing::new(text.as_bytes().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn key() -> (tempfile::TempDir, KeyFile) {
        let directory = tempfile::tempdir().unwrap();
        let file = KeyFile::new(directory.path().join("state/node.key"));
        (directory, file)
    }

    #[test]
    fn a_key_is_its_owners_alone_and_made_once() {
        let (_directory, file) = key();
        assert!(matches!(file.load(), Err(KeyError::Missing(_))));
        let id = file.create().unwrap().id();
        assert_eq!(file.load().unwrap().id(), id);
        assert_eq!(
            fs::metadata(file.path()).unwrap().mode() & 0o7777,
            0o600,
            "the file"
        );
        let directory = file.path().parent().unwrap();
        assert_eq!(fs::metadata(directory).unwrap().mode() & 0o7777, 0o700);
        assert!(matches!(file.create(), Err(KeyError::Exists(_))));
        assert_eq!(file.load().unwrap().id(), id);
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let (_directory, file) = key();
        file.create().unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(
            file.load(),
            Err(KeyError::Exposed { mode: 0o640, .. })
        ));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let (_directory, file) = key();
        file.create().unwrap();
        fs::write(file.path(), "-----BEGIN PRIVATE KEY-----\nAAAA\n").unwrap();
        assert!(matches!(file.load(), Err(KeyError::NoKey(_))));
    }

    #[test]
    fn a_backup_is_the_same_key_and_can_be_restored() {
        let (directory, file) = key();
        let id = file.create().unwrap().id();
        let backup = directory.path().join("backup");
        assert_eq!(file.back_up(&backup).unwrap(), id);
        assert_eq!(fs::metadata(&backup).unwrap().mode() & 0o7777, 0o600);
        assert!(matches!(file.back_up(&backup), Err(KeyError::Exists(_))));
        let other = KeyFile::new(directory.path().join("other/node.key"));
        assert_eq!(other.restore(&backup).unwrap().id(), id);
    }

    #[test]
    fn a_rotated_key_is_signed_by_the_old_one_which_is_kept() {
        let (_directory, file) = key();
        let first = file.create().unwrap().id();
        let (link, kept) = file.rotate().unwrap();
        assert!(link.is_true());
        assert_eq!((link.old, link.new), (first, file.load().unwrap().id()));
        assert_eq!(KeyFile::new(kept).load().unwrap().id(), first);
        file.rotate().unwrap();
        let last = file.load().unwrap().id();
        let history = file.history().unwrap();
        assert_eq!(history.len(), 2);
        assert!(Succession::leads(&history, first, last));
    }

    #[test]
    fn a_rotation_that_was_cut_off_leaves_the_old_key_in_its_place() {
        let (_directory, file) = key();
        let id = file.create().unwrap().id();
        // As far as the history, and no further.
        let never = Succession::sign(&file.load().unwrap(), random().unwrap().id());
        file.write_history(&[never]).unwrap();
        assert_eq!(file.load().unwrap().id(), id);
        assert_eq!(file.history().unwrap(), []);
        file.rotate().unwrap();
        assert_eq!(file.history().unwrap().len(), 1);
    }

    #[test]
    fn a_history_that_leads_elsewhere_is_refused() {
        let (_directory, file) = key();
        file.create().unwrap();
        file.rotate().unwrap();
        let forged = Succession::sign(&random().unwrap(), random().unwrap().id());
        file.write_history(&[forged]).unwrap();
        assert!(matches!(file.history(), Err(KeyError::History(_))));
    }
}
