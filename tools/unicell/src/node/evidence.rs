//! What the runs of instances can be proven by: their transcripts, and receipts of them.
//!
//! An instance's process writes its transcript into a pipe, for it may write to no file. What comes
//! out of it is hashed and kept in a file without a name in the node's state, which is gone when
//! nobody remembers the instance, or with the node. It is as long as the instance may write over its
//! box; if it becomes longer, the run goes on, and nothing can be proven of it. Those of instances
//! that have ended are bounded together: the oldest go first.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;
use unicell_gateway_api::id::ServiceId;
use unicell_gateway_api::instance::{Cpu, Determinism};
use unicell_gateway_api::run::{Evidence, Kept, RunError};
use unicell_gateway_api::{Code, Problem};
use unicell_netstack::identity::KeyFile;
use unicell_netstack::receipt::{Claim, Digest, Hints, Receipt};
use unicell_vmm::Outcome;
use unicell_vmm::link::Start;
use unicell_vmm::reproducible::{Configuration, Level, Log, Reproduction, transcript};

use crate::reproduce::{Begun, Host, check_nonce, digest, processor};

/// A transcript that is being written, which comes to its hash, or why it is not whole.
type Writing = JoinHandle<Result<Digest, String>>;

/// Bytes that are read of a transcript at once.
const CHUNK: usize = 64 << 10;

/// Where the evidence of a node's runs is kept, and what signs it.
pub(super) struct Archive {
    state: PathBuf,
    key: KeyFile,
    /// What this host can give: found out when it is first needed.
    host: OnceCell<Host>,
    shelf: Arc<Shelf>,
}

impl Archive {
    /// In the state of a node, where its key is too. Of instances that have ended it keeps so many
    /// bytes.
    pub(super) fn new(state: &Path, bound: u64) -> Self {
        Self {
            state: state.to_owned(),
            key: KeyFile::new(state.join("node.key")),
            host: OnceCell::new(),
            shelf: Arc::new(Shelf::new(bound)),
        }
    }

    /// What is kept of instances that have ended.
    pub(super) fn kept(&self) -> Kept {
        self.shelf.kept()
    }

    /// Has an instance started so that its run can be repeated, and opens an account of it, for
    /// which there is so much room in bytes.
    pub(super) async fn open(
        &self,
        (determinism, cpu): (Determinism, Option<Cpu>),
        service: ServiceId,
        room: u64,
        start: &mut Start,
    ) -> Result<Arc<Account>, RunError> {
        let host = self.host().await?;
        let level = match determinism {
            Determinism::D0 => Level::D0,
            Determinism::D1 => Level::D1,
            Determinism::D2 => match host.lacks_d2() {
                None => Level::D2,
                Some(why) => return Err(RunError::Refused(why)),
            },
        };
        let service = service.bytes();
        let cpu = processor(level, cpu).map_err(RunError::Refused)?;
        if let Some(why) = host.offers.lacks(cpu) {
            return Err(RunError::Refused(why.to_string()));
        }
        let init = std::mem::take(&mut start.init);
        let terms = Reproduction {
            level,
            cpu,
            ..Reproduction::default()
        };
        let configuration = Configuration::new(&terms, start.ram, None, init);
        let encoded = configuration.encode().map_err(io::Error::other)?;
        let (file, log, writing) = self.transcribe(&encoded, room)?;
        start.seed = Some(configuration.seed(service).map_err(io::Error::other)?);
        start.init = configuration.init;
        start.reproduction = Reproduction { log, ..terms };
        let begun = Begun {
            service: Digest(*service),
            configuration: digest(&encoded),
            cpu_class: host.class(cpu),
            memory: start.ram,
        };
        Ok(Arc::new(Account {
            determinism,
            key: self.key.clone(),
            shelf: Arc::clone(&self.shelf),
            open: Mutex::new(Some((begun, writing, file))),
            closed: Mutex::new(Err("its account is not closed".to_owned())),
        }))
    }

    async fn host(&self) -> Result<&Host, RunError> {
        let probe = || async {
            let host = tokio::task::spawn_blocking(|| {
                Host::probe().map_err(|failure| failure.what().to_owned())
            });
            let host = host.await.map_err(|error| error.to_string());
            host.flatten().map_err(io::Error::other)
        };
        Ok(self.host.get_or_try_init(probe).await?)
    }

    /// Begins a transcript, and has the rest of it written as it comes.
    fn transcribe(
        &self,
        configuration: &[u8],
        room: u64,
    ) -> io::Result<(File, Option<Log>, Writing)> {
        let file = tempfile::tempfile_in(&self.state)?;
        let mut first = Vec::new();
        transcript::begin(configuration, &mut first)?;
        let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        let pipe = pipe::Receiver::from_owned_fd(ours)?;
        let to = tokio::fs::File::from_std(file.try_clone()?);
        let writing = tokio::spawn(write(first, pipe, to, room));
        Ok((file, Some(Log::Record(theirs)), writing))
    }
}

/// Writes down what was there first and what comes. Returns its hash, or why it is not whole.
async fn write(
    first: Vec<u8>,
    mut pipe: pipe::Receiver,
    mut file: tokio::fs::File,
    room: u64,
) -> Result<Digest, String> {
    let mut kept = Written::default();
    kept.take(&first, room, &mut file).await;
    let mut part = vec![0; CHUNK];
    loop {
        // To the end, whether or not it is kept: the instance waits for whoever reads.
        match pipe.read(&mut part).await {
            Ok(0) => break,
            Ok(count) => kept.take(&part[..count], room, &mut file).await,
            Err(error) => {
                kept.fails(format!("its transcript was lost: {error}"));
                break;
            }
        }
    }
    if let Err(error) = file.flush().await {
        kept.fails(format!("its transcript cannot be written: {error}"));
    }
    match kept.failure {
        None => Ok(Digest(*kept.hasher.finalize().as_bytes())),
        Some(failure) => {
            // What is not whole is of no use; it is gone with its file in any case.
            let _ = file.set_len(0).await;
            Err(failure)
        }
    }
}

/// What was written of a transcript.
#[derive(Default)]
struct Written {
    hasher: blake3::Hasher,
    failure: Option<String>,
}

impl Written {
    async fn take(&mut self, bytes: &[u8], room: u64, file: &mut tokio::fs::File) {
        if self.failure.is_some() {
            return;
        }
        self.hasher.update(bytes);
        if self.hasher.count() > room {
            self.fails(format!(
                "its transcript became longer than the {room} bytes that it may write"
            ));
        } else if let Err(error) = file.write_all(bytes).await {
            self.fails(format!("its transcript cannot be written: {error}"));
        }
    }

    fn fails(&mut self, why: String) {
        self.failure.get_or_insert(why);
    }
}

/// The account of one run.
pub(super) struct Account {
    determinism: Determinism,
    key: KeyFile,
    shelf: Arc<Shelf>,
    /// Until it is closed.
    open: Mutex<Option<(Begun, Writing, File)>>,
    /// What can be claimed and the transcript, or why nothing can be.
    closed: Mutex<Result<(Claim, Arc<File>), String>>,
}

impl Account {
    /// The level that the run was begun with. It holds to the end, or the instance is ended.
    pub(super) fn level(&self) -> Determinism {
        self.determinism
    }

    /// The run has ended so, if it is known how, and nothing of its process is left.
    pub(super) async fn close(self: &Arc<Self>, outcome: Option<&Outcome>) {
        let Some((begun, writing, file)) = self.open.lock().take() else {
            return;
        };
        let transcript = writing.await.map_err(|error| error.to_string()).flatten();
        let claim = match (outcome, transcript) {
            (Some(outcome), Ok(transcript)) => begun.claim(outcome, transcript),
            (_, Err(why)) => Err(why),
            (None, _) => Err("its process was lost".to_owned()),
        };
        let len = file.metadata().map_err(|error| error.to_string());
        let closed = claim.and_then(|claim| Ok((claim, len?.len())));
        match closed {
            Ok((claim, len)) => {
                *self.closed.lock() = Ok((claim, Arc::new(file)));
                self.shelf.put(self, len);
            }
            Err(why) => *self.closed.lock() = Err(why),
        }
    }

    fn closed(&self) -> Result<(Claim, Arc<File>), Problem> {
        self.closed
            .lock()
            .clone()
            .map_err(|why| Problem::new(Code::Conflict, format!("no receipt is given: {why}")))
    }
}

/// The accounts that are closed and can be proven, oldest first.
struct Shelf {
    bound: u64,
    accounts: Mutex<Accounts>,
}

#[derive(Default)]
struct Accounts {
    /// Each with the length of its transcript. Whoever remembers an instance holds its account.
    held: VecDeque<(Weak<Account>, u64)>,
    dropped: u64,
}

impl Accounts {
    /// Bytes of transcripts that are there.
    fn bytes(&mut self) -> u64 {
        self.held.retain(|(account, _)| account.strong_count() > 0);
        self.held.iter().map(|(_, len)| len).sum()
    }
}

impl Shelf {
    fn new(bound: u64) -> Self {
        Self {
            bound,
            accounts: Mutex::default(),
        }
    }

    /// Puts an account there, and drops the oldest that there is no room for with it.
    fn put(&self, account: &Arc<Account>, len: u64) {
        let mut accounts = self.accounts.lock();
        accounts.held.push_back((Arc::downgrade(account), len));
        let mut bytes = accounts.bytes();
        while bytes > self.bound
            && let Some((oldest, len)) = accounts.held.pop_front()
        {
            bytes -= len;
            accounts.dropped += 1;
            if let Some(oldest) = oldest.upgrade() {
                // Who reads the transcript right now reads it to its end.
                *oldest.closed.lock() = Err(format!(
                    "its transcript of {len} bytes was dropped, as the node keeps {} bytes of \
                     instances that have ended, the newest",
                    self.bound
                ));
            }
        }
    }

    fn kept(&self) -> Kept {
        let mut accounts = self.accounts.lock();
        Kept {
            bytes: accounts.bytes(),
            bound: self.bound,
            dropped: accounts.dropped,
        }
    }
}

impl Evidence for Account {
    fn receipt(&self, nonce: Option<String>) -> Result<String, Problem> {
        let refused = |why: String| Problem::new(Code::BadRequest, why);
        check_nonce(nonce.as_deref()).map_err(refused)?;
        let (claim, _) = self.closed()?;
        let claim = Claim { nonce, ..claim };
        let unsigned = |why: String| Problem::new(Code::Conflict, why);
        let key = self.key.load().map_err(|error| {
            unsigned(format!(
                "the node cannot sign: {error} (`unicell key create` makes a key)"
            ))
        })?;
        let receipt = Receipt::sign(claim, &key, Hints::default());
        let text = receipt.and_then(|receipt| receipt.to_json());
        text.map_err(|error| unsigned(error.to_string()))
    }

    fn transcript(&self) -> Result<File, Problem> {
        let (_, file) = self.closed()?;
        // Each reader has a place in it of its own.
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&*file));
        File::open(path).map_err(|error| Problem::new(Code::Internal, error))
    }
}
