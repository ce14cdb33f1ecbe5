//! Looking for damage.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use unicell_service::spec::ServiceId;
use unicell_service::tree::Source;

use crate::error::{Result, StoreError, at};
use crate::index::Record;
use crate::store::Store;

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// It is not there.
    Missing,
    /// Its bytes are not those that were put.
    Changed,
    /// The host cannot read it.
    Unreadable(String),
    /// Nothing knows it.
    Unknown,
}

/// A damaged file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub damage: Damage,
    /// The services that need it.
    pub services: BTreeSet<ServiceId>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.damage {
            Damage::Missing => write!(f, "{path} is missing")?,
            Damage::Changed => write!(f, "{path} has been changed")?,
            Damage::Unreadable(why) => write!(f, "{path} cannot be read: {why}")?,
            Damage::Unknown => write!(f, "{path} is not known to the index")?,
        }
        for (at, id) in self.services.iter().enumerate() {
            let word = if at == 0 { "; needed by" } else { "," };
            write!(f, "{word} {id}")?;
        }
        Ok(())
    }
}

/// What a check has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Services looked at.
    pub services: u64,
    /// Contents of files looked at.
    pub files: u64,
    /// Bytes read.
    pub bytes: u64,
    /// All damage.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether there is no damage.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }
}

type Users = HashMap<blake3::Hash, BTreeSet<ServiceId>>;

impl Store {
    /// Reads all of the store and compares it with its hashes. Nothing is put
    /// or removed meanwhile.
    pub fn check(&self) -> Result<Report> {
        let _writing = self.writing();
        let mut report = Report::default();
        if !self.0.index.is_sound()? {
            report.add(self.0.disk.index(), Damage::Changed, BTreeSet::new());
        }
        let services = self.list()?;
        let mut users = Users::new();
        for (id, record) in &services {
            self.check_service(*id, record, &mut users, &mut report)?;
        }
        let files = self.0.index.files()?;
        for hash in files
            .keys()
            .chain(users.keys().filter(|hash| !files.contains_key(hash)))
        {
            let needed = users.get(hash).cloned().unwrap_or_default();
            report.files += 1;
            report.file(self.0.disk.file(hash), *hash, needed);
        }
        self.check_unknown(&services, &files, &mut report)?;
        Ok(report)
    }

    fn check_service(
        &self,
        id: ServiceId,
        record: &Record,
        users: &mut Users,
        report: &mut Report,
    ) -> Result<()> {
        report.services += 1;
        let disk = &self.0.disk;
        let specification = blake3::Hash::from_bytes(record.specification.1);
        let before = report.findings.len();
        report.file(disk.service(id), specification, [id].into());
        if let Some((_, hash)) = record.image {
            let hash = blake3::Hash::from_bytes(hash);
            report.file(disk.box_image(id), hash, [id].into());
        }
        if report.findings[before..]
            .iter()
            .any(|finding| finding.path == disk.service(id))
        {
            return Ok(());
        }
        self.specification(id, record)?
            .visit_contents(&mut |source| {
                if let Some(hash) = source.known_hash().filter(|_| !source.is_empty()) {
                    users.entry(hash).or_default().insert(id);
                }
                Ok::<(), StoreError>(())
            })
    }

    /// Files that the index does not know, which an opening would have swept.
    fn check_unknown(
        &self,
        services: &std::collections::BTreeMap<ServiceId, Record>,
        files: &HashMap<blake3::Hash, u64>,
        report: &mut Report,
    ) -> Result<()> {
        let disk = &self.0.disk;
        let is_service = |name: &str| name.parse().is_ok_and(|id| services.contains_key(&id));
        report.unknown(&disk.services(), &is_service)?;
        report.unknown(&disk.boxes(), &is_service)?;
        for first in 0..=u8::MAX {
            let first = format!("{first:02x}");
            report.unknown(&disk.files().join(&first), &|rest| {
                let hash = blake3::Hash::from_hex(format!("{first}{rest}"));
                hash.is_ok_and(|hash| files.contains_key(&hash))
            })?;
        }
        Ok(())
    }
}

impl Report {
    fn add(&mut self, path: PathBuf, damage: Damage, services: BTreeSet<ServiceId>) {
        self.findings.push(Finding {
            path,
            damage,
            services,
        });
    }

    /// Compares a file with its hash.
    fn file(&mut self, path: PathBuf, expected: blake3::Hash, services: BTreeSet<ServiceId>) {
        let len = path.symlink_metadata().map(|found| found.len());
        let hash = len.and_then(|len| {
            self.bytes += len;
            Source::path(path.clone(), len).hash()
        });
        match hash {
            Ok(hash) if hash == expected => {}
            Ok(_) => self.add(path, Damage::Changed, services),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.add(path, Damage::Missing, services);
            }
            Err(error) => self.add(path, Damage::Unreadable(error.to_string()), services),
        }
    }

    fn unknown(&mut self, directory: &Path, is_known: &dyn Fn(&str) -> bool) -> Result<()> {
        for entry in fs::read_dir(directory).map_err(at(directory))? {
            let entry = entry.map_err(at(directory))?;
            if !entry.file_name().to_str().is_some_and(is_known) {
                self.add(entry.path(), Damage::Unknown, BTreeSet::new());
            }
        }
        Ok(())
    }
}
