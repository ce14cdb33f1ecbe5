//! What outlives the node's process: the key of its tokens, revocations,
//! network policies, and what runs, so that the next life can clean up after
//! one that was killed.
//!
//! One thread writes; what comes while it commits is committed together. A
//! life has a number, and incarnations are counted within it, so that none
//! comes twice whatever happens to the node.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;

use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use unicell_database::Meaning;
use unicell_gateway_api::id::{Incarnation, InstanceId, ServiceId};
use unicell_gateway_api::instance::Owner;
use unicell_gateway_api::network::NetworkPolicy;
use unicell_gateway_api::run::Traces;

use crate::token::{RevocationName, RootKey};

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const RUNNING: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("running");
const REVOKED: TableDefinition<'_, &[u8], ()> = TableDefinition::new("revoked");
const NETWORKS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("networks");

/// The record cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file.
    #[error("the node's record cannot be opened: {0}")]
    Open(#[from] io::Error),
    /// Another process has it open.
    #[error("the node's record {0} is used by another process")]
    Busy(PathBuf),
    /// It does not hold what was written to it.
    #[error("the node's record {0} is damaged")]
    Damaged(PathBuf),
    /// The database.
    #[error("the node's record: {0}")]
    Database(Box<redb::Error>),
    /// An entry does not mean anything to this version.
    #[error("the node's record has an entry in {table} that cannot be understood: {reason}")]
    Entry {
        /// Where.
        table: &'static str,
        /// Why.
        reason: String,
    },
    /// The host gave no randomness.
    #[error("the host gave no randomness for a key: {0}")]
    Random(#[from] getrandom::Error),
    /// The thread that writes is gone.
    #[error("the node's record is closed")]
    Closed,
}

unicell_database::from_redb!(RecordError::Database);

/// An instance, as the record knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remnant {
    /// Its id, by which the runner named what it made for it.
    pub id: InstanceId,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// Of which service it was.
    pub service: ServiceId,
    /// Who had started it.
    pub owner: Owner,
    /// When, milliseconds since 1970.
    pub started_ms: u64,
    /// What was made for it on the host. Nothing, if the node was killed
    /// between deciding and having started it.
    pub traces: Traces,
    /// Ports of the host that led to its slots.
    pub published: Vec<SocketAddr>,
}

/// What the last life left.
#[derive(Debug)]
pub struct LastLife {
    /// Instances that were running when it ended.
    pub remnants: Vec<Remnant>,
    /// Revoked tokens.
    pub(crate) revoked: BTreeSet<RevocationName>,
    /// Policies that were set through the API, by name.
    pub(crate) networks: BTreeMap<String, NetworkPolicy>,
    pub(crate) key: RootKey,
    /// The number of this life; the first is 1.
    pub(crate) life: u32,
}

enum Change {
    Running(Box<Remnant>),
    Forget(InstanceId),
    Revoke(RevocationName),
    Network(String, Option<Box<NetworkPolicy>>),
}

type Written = oneshot::Sender<Result<(), RecordError>>;

/// The record of this life.
#[derive(Debug)]
pub struct Record {
    changes: Option<mpsc::Sender<(Change, Written)>>,
    writer: Option<JoinHandle<()>>,
}

impl Record {
    /// Opens the record, or begins one, and compares all of it with its checksums. Only one process
    /// can have it open.
    ///
    /// # Errors
    ///
    /// It cannot be opened, is damaged, or makes no sense. What makes no sense
    /// is not dropped: an instance could be overlooked by that.
    ///
    /// # Panics
    ///
    /// At some damage: the database does. [`Record::examine`] finds out whether.
    pub fn open(path: &Path) -> Result<(Self, LastLife), RecordError> {
        Self::live(path, whole_database)
    }

    /// As [`Record::open`], of a record that [`Record::examine`] has just found whole: it is not
    /// compared again.
    ///
    /// # Errors
    ///
    /// As of [`Record::open`].
    pub fn open_examined(path: &Path) -> Result<(Self, LastLife), RecordError> {
        Self::live(path, database)
    }

    fn live(
        path: &Path,
        open: fn(&Path) -> Result<Database, RecordError>,
    ) -> Result<(Self, LastLife), RecordError> {
        if !path.exists() {
            begin(path)?;
        }
        let database = open(path)?;
        let last = begin_life(&database)?;
        let (changes, receiver) = mpsc::channel();
        let writer = std::thread::Builder::new()
            .name("record".to_owned())
            .spawn(move || write(&database, &receiver))?;
        let record = Self {
            changes: Some(changes),
            writer: Some(writer),
        };
        Ok((record, last))
    }

    /// Opens the record, if there is one, has all of it compared with its
    /// checksums, and closes it: for a process of its own, which may panic
    /// where the one that needs the record must not.
    ///
    /// # Errors
    ///
    /// As of [`Record::open`].
    pub fn examine(path: &Path) -> Result<(), RecordError> {
        if path.exists() {
            whole_database(path)?;
        }
        Ok(())
    }

    /// Writes that an instance runs, or is about to. The future ends when that
    /// is on the disk; the write does not wait for the future.
    pub(crate) fn running(
        &self,
        remnant: Remnant,
    ) -> impl Future<Output = Result<(), RecordError>> + use<> {
        self.change(Change::Running(Box::new(remnant)))
    }

    /// Writes that nothing is left of an instance.
    pub fn forget(&self, id: InstanceId) -> impl Future<Output = Result<(), RecordError>> + use<> {
        self.change(Change::Forget(id))
    }

    pub(crate) fn revoke(
        &self,
        name: RevocationName,
    ) -> impl Future<Output = Result<(), RecordError>> + use<> {
        self.change(Change::Revoke(name))
    }

    pub(crate) fn network(
        &self,
        name: String,
        policy: Option<NetworkPolicy>,
    ) -> impl Future<Output = Result<(), RecordError>> + use<> {
        self.change(Change::Network(name, policy.map(Box::new)))
    }

    fn change(&self, change: Change) -> impl Future<Output = Result<(), RecordError>> + use<> {
        let (written, result) = oneshot::channel();
        if let Some(changes) = &self.changes {
            // If the thread is gone, so is `written`, and the future says so.
            let _ = changes.send((change, written));
        }
        async { result.await.unwrap_or(Err(RecordError::Closed)) }
    }
}

impl Drop for Record {
    /// Waits until everything is written.
    fn drop(&mut self) {
        drop(self.changes.take());
        if let Some(writer) = self.writer.take() {
            // A panic there was told when it happened.
            let _ = writer.join();
        }
    }
}

/// Makes an empty record. It has its name when it is whole, so that one which
/// holds nothing has lost it.
fn begin(path: &Path) -> Result<(), RecordError> {
    let fresh = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true);
    // It holds the key of all tokens.
    let file = options.mode(0o600).open(&fresh)?;
    drop(Database::builder().create_file(file)?);
    Ok(fs::rename(&fresh, path)?)
}

/// What it means that the database cannot be used.
fn explain(error: DatabaseError, path: &Path) -> RecordError {
    match Meaning::of(&error) {
        Meaning::Busy => RecordError::Busy(path.to_owned()),
        Meaning::Damaged => RecordError::Damaged(path.to_owned()),
        Meaning::Other => error.into(),
    }
}

/// The database in a file. After an orderly end it believes what it finds there.
fn database(path: &Path) -> Result<Database, RecordError> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    if file.metadata()?.len() == 0 {
        return Err(RecordError::Damaged(path.to_owned()));
    }
    let opened = Database::builder().create_file(file);
    opened.map_err(|error| explain(error, path))
}

/// The database in a file, all of which is as it was written.
fn whole_database(path: &Path) -> Result<Database, RecordError> {
    let mut database = database(path)?;
    match unicell_database::is_whole(&mut database) {
        Ok(true) => Ok(database),
        Ok(false) => Err(RecordError::Damaged(path.to_owned())),
        Err(error) => Err(explain(error, path)),
    }
}

fn begin_life(database: &Database) -> Result<LastLife, RecordError> {
    let transaction = database.begin_write()?;
    let (key, life) = {
        let mut meta = transaction.open_table(META)?;
        let kept = |name: &'static str, bytes: &[u8]| RecordError::Entry {
            table: "meta",
            reason: format!("{name} has {} bytes", bytes.len()),
        };
        let key = match meta.get("root key")?.map(|value| value.value().to_vec()) {
            Some(bytes) => RootKey::from_bytes(
                bytes
                    .as_slice()
                    .try_into()
                    .map_err(|_| kept("the root key", &bytes))?,
            ),
            None => RootKey::random()?,
        };
        let life = match meta.get("life")?.map(|value| value.value().to_vec()) {
            Some(bytes) => u32::from_be_bytes(
                bytes
                    .as_slice()
                    .try_into()
                    .map_err(|_| kept("the number of the life", &bytes))?,
            ),
            None => 0,
        };
        // At one life a second this lasts for a century.
        let life = life.saturating_add(1);
        meta.insert("root key", key.bytes().as_slice())?;
        meta.insert("life", life.to_be_bytes().as_slice())?;
        transaction.open_table(RUNNING)?;
        transaction.open_table(REVOKED)?;
        transaction.open_table(NETWORKS)?;
        (key, life)
    };
    transaction.commit()?;

    let transaction = database.begin_read()?;
    let mut last = LastLife {
        remnants: Vec::new(),
        revoked: BTreeSet::new(),
        networks: BTreeMap::new(),
        key,
        life,
    };
    let entry = |table| move |reason: String| RecordError::Entry { table, reason };
    for row in transaction.open_table(RUNNING)?.iter()? {
        let remnant = serde_json::from_slice(row?.1.value())
            .map_err(|error| entry("running")(error.to_string()))?;
        last.remnants.push(remnant);
    }
    for row in transaction.open_table(REVOKED)?.iter()? {
        let name = row?.0.value().try_into();
        last.revoked
            .insert(name.map_err(|_| entry("revoked")("it is too short or too long".to_owned()))?);
    }
    for row in transaction.open_table(NETWORKS)?.iter()? {
        let (name, policy) = row?;
        let policy = serde_json::from_slice(policy.value())
            .map_err(|error| entry("networks")(error.to_string()))?;
        last.networks.insert(name.value().to_owned(), policy);
    }
    Ok(last)
}

/// Most changes that are committed together.
const BATCH: usize = 256;

fn write(database: &Database, changes: &mpsc::Receiver<(Change, Written)>) {
    while let Ok(first) = changes.recv() {
        let (batch, waiting): (Vec<_>, Vec<_>) = std::iter::once(first)
            .chain(changes.try_iter().take(BATCH - 1))
            .unzip();
        let result = commit(database, &batch);
        if let Err(error) = &result {
            tracing::error!(%error, "the node's record was not written");
        }
        for written in waiting {
            // Who does not wait does not want to know.
            let _ = written.send(match &result {
                Ok(()) => Ok(()),
                Err(_) => Err(RecordError::Closed),
            });
        }
    }
}

fn commit(database: &Database, batch: &[Change]) -> Result<(), RecordError> {
    let json = |table: &'static str, reason: serde_json::Error| RecordError::Entry {
        table,
        reason: reason.to_string(),
    };
    let transaction = database.begin_write()?;
    {
        let mut running = transaction.open_table(RUNNING)?;
        let mut revoked = transaction.open_table(REVOKED)?;
        let mut networks = transaction.open_table(NETWORKS)?;
        for change in batch {
            match change {
                Change::Running(remnant) => {
                    let value = serde_json::to_vec(remnant).map_err(|e| json("running", e))?;
                    running.insert(remnant.id.bytes().as_slice(), value.as_slice())?;
                }
                Change::Forget(id) => {
                    running.remove(id.bytes().as_slice())?;
                }
                Change::Revoke(name) => {
                    revoked.insert(name.as_slice(), ())?;
                }
                Change::Network(name, Some(policy)) => {
                    let value = serde_json::to_vec(policy).map_err(|e| json("networks", e))?;
                    networks.insert(name.as_str(), value.as_slice())?;
                }
                Change::Network(name, None) => {
                    networks.remove(name.as_str())?;
                }
            }
        }
    }
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remnant(number: u8) -> Remnant {
        Remnant {
            id: InstanceId::new([number; 6]),
            incarnation: Incarnation(number.into()),
            service: ServiceId::new([9; 32]),
            owner: Owner::Client("alice".to_owned()),
            started_ms: 1,
            traces: Traces {
                pid: Some(7),
                pid_start: Some(8),
                cgroups: vec!["/sys/fs/cgroup/unicell/x".into()],
                files: Vec::new(),
            },
            published: vec!["127.0.0.1:80".parse().unwrap()],
        }
    }

    #[tokio::test]
    async fn the_next_life_knows_what_the_last_one_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record");
        let (record, first) = Record::open(&path).unwrap();
        assert!(first.remnants.is_empty());
        record.running(remnant(1)).await.unwrap();
        record.running(remnant(2)).await.unwrap();
        record.forget(remnant(1).id).await.unwrap();
        record.revoke([3; 32]).await.unwrap();
        record
            .network("a".into(), Some(NetworkPolicy::default()))
            .await
            .unwrap();
        record
            .network("b".into(), Some(NetworkPolicy::default()))
            .await
            .unwrap();
        record.network("a".into(), None).await.unwrap();
        assert!(matches!(Record::open(&path), Err(RecordError::Busy(_))));
        // Not waited for: it is written all the same.
        drop(record.running(remnant(5)));
        drop(record);

        let (_record, second) = Record::open(&path).unwrap();
        assert_eq!(second.remnants, [remnant(2), remnant(5)]);
        assert!(second.revoked.contains(&[3; 32]));
        assert_eq!(second.networks.keys().collect::<Vec<_>>(), ["b"]);
        assert_eq!(second.key.bytes(), first.key.bytes());
        assert_eq!((first.life, second.life), (1, 2));
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_record_that_makes_no_sense_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record");
        {
            let database = Database::create(&path).unwrap();
            let transaction = database.begin_write().unwrap();
            transaction
                .open_table(RUNNING)
                .unwrap()
                .insert([1_u8].as_slice(), b"{}".as_slice())
                .unwrap();
            transaction.commit().unwrap();
        }
        assert!(matches!(
            Record::open(&path),
            Err(RecordError::Entry {
                table: "running",
                ..
            })
        ));
        std::fs::write(
            &path,
            b"something else entirely, and long enough to be looked at",
        )
        .unwrap();
        assert!(Record::open(&path).is_err());
    }

    /// Where the victim finds its record; a process without it is no victim.
    const VICTIM: &str = "UNICELL_RECORD_VICTIM";

    /// What the killed process does until then: it says what is written.
    #[tokio::test]
    async fn victim() {
        let Some(path) = std::env::var_os(VICTIM) else {
            return;
        };
        let (record, last) = Record::open(Path::new(&path)).unwrap();
        println!("\nlife {}", last.life);
        for number in (0..=u8::MAX).cycle() {
            // Several at once, of which some are committed together.
            drop(record.forget(remnant(number.wrapping_add(100)).id));
            drop(record.running(remnant(number)));
            let name = [last.life.to_be_bytes().as_slice(), &[number; 28]].concat();
            record.revoke(name.try_into().unwrap()).await.unwrap();
            println!("\nrevoked {number}");
        }
    }

    #[test]
    fn what_was_written_survives_a_kill_at_any_point() {
        use std::io::BufRead;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record");
        let mut revoked = BTreeSet::new();
        for round in 0..25 {
            let mut victim = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "record::tests::victim", "--nocapture"])
                .env(VICTIM, &path)
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            let lines = io::BufReader::new(victim.stdout.take().unwrap()).lines();
            let mut lines = lines.map_while(io::Result::ok);
            let life = lines.find_map(|line| line.strip_prefix("life ")?.parse().ok());
            let life: u32 = life.unwrap();
            let mut revoke = |line: String| {
                if let Some(number) = line.strip_prefix("revoked ") {
                    let number: u8 = number.parse().unwrap();
                    let name = [life.to_be_bytes().as_slice(), &[number; 28]].concat();
                    revoked.insert(RevocationName::try_from(name).unwrap());
                }
            };
            // Where it is then is a matter of chance, and any point will do.
            lines.by_ref().take(2 * round + 1).for_each(&mut revoke);
            victim.kill().unwrap();
            victim.wait().unwrap();
            lines.for_each(&mut revoke);
            let (_record, last) = Record::open(&path).unwrap();
            assert_eq!(last.life, life + 1, "round {round}");
            let lost: Vec<_> = revoked.difference(&last.revoked).collect();
            assert!(lost.is_empty(), "round {round}: {lost:?} is lost");
        }
    }

    /// Looks at a record as the process does that may die of it.
    fn examined(path: &Path) -> bool {
        std::panic::catch_unwind(|| Record::examine(path)).is_ok_and(|found| found.is_ok())
    }

    #[tokio::test]
    async fn a_damaged_record_is_found_or_says_what_it_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record");
        let (record, _) = Record::open(&path).unwrap();
        for number in 0..20 {
            record.running(remnant(number)).await.unwrap();
            record.revoke([number; 32]).await.unwrap();
        }
        // As a process leaves it that is killed, and as it is after an orderly end.
        let killed = fs::read(&path).unwrap();
        drop(record);
        let ended = fs::read(&path).unwrap();
        let mut found = 0;
        // What was written last before a kill cannot be told from what was cut off.
        for (whole, least) in [(killed, 19), (ended, 20)] {
            fs::write(&path, &whole).unwrap();
            assert!(examined(&path), "it is whole");
            let written = whole.chunks(4096).enumerate();
            let written = written.filter(|(_, page)| page.iter().any(|byte| *byte != 0));
            let pages: Vec<_> = written.map(|(number, _)| number * 4096).collect();
            for (number, &page) in pages.iter().enumerate() {
                let mut damaged = whole.clone();
                match number % 3 {
                    0 => damaged[page..][..4096].fill(0),
                    1 => damaged[page..][..4096].fill(0xa5),
                    _ => damaged[page + 577 * number % 4096] ^= 1 << (number % 8),
                }
                fs::write(&path, damaged).unwrap();
                if !examined(&path) {
                    found += 1;
                    continue;
                }
                let (_record, last) = Record::open(&path).unwrap();
                assert_eq!(last.remnants.len(), 20);
                assert!((least..=20).contains(&last.revoked.len()), "page {page}");
            }
            for len in [0, 100, 4096, whole.len() / 2, whole.len() - 1] {
                fs::write(&path, &whole[..len]).unwrap();
                assert!(!examined(&path), "cut at {len}");
            }
        }
        assert!(found > 2, "{found}: no damage was found at all");
        fs::write(&path, b"").unwrap();
        assert!(matches!(Record::open(&path), Err(RecordError::Damaged(_))));
    }
}
