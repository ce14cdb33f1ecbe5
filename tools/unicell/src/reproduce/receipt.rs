//! `unicell run --receipt`: the transcript is written while the program runs, the receipt after it.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use clap::Args;
use unicell_guest_abi::exit::ExitKind;
use unicell_netstack::identity::Identity;
use unicell_netstack::receipt::{
    Claim, Digest, End as ReceiptEnd, Hints, Limits, NONCE_MAX, Output, Receipt, VERSION,
};
use unicell_service::manifest::Overrides;
use unicell_service::package::Package;
use unicell_vmm::reproducible::{Configuration, Log, Recorded, transcript};
use unicell_vmm::{End, Outcome};

use super::Host;
use crate::failure::{Failure, Result};
use crate::{instance, key};

/// Whether a receipt is wanted, and which.
#[derive(Args)]
pub(crate) struct Wish {
    /// Write a receipt that others can verify to this file, and the transcript of the program's
    /// input beside it
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// Name the receipt so that whoever asked for it knows it is for them
    #[arg(long, value_name = "TEXT", requires = "receipt")]
    nonce: Option<String>,
    #[command(flatten)]
    key: key::Which,
}

/// A receipt that is being made.
pub(crate) struct Receipting {
    path: PathBuf,
    nonce: Option<String>,
    identity: Identity,
    pub(crate) host: Host,
    transcript: Option<File>,
    configuration: Digest,
    cpu_class: String,
    overrides: serde_json::Value,
}

/// Where a receipt's transcript lies.
pub(crate) fn transcript_path(receipt: &Path) -> PathBuf {
    let mut name = receipt.as_os_str().to_owned();
    name.push(".transcript");
    name.into()
}

fn unwritable(path: &Path) -> impl FnOnce(io::Error) -> Failure {
    let path = path.display().to_string();
    move |error| Failure::failed(format!("{path} cannot be written: {error}"))
}

/// Refuses a nonce that no receipt can hold, with a sentence.
pub(crate) fn check_nonce(nonce: Option<&str>) -> Result<(), String> {
    match nonce {
        Some(nonce) if nonce.len() > NONCE_MAX => {
            Err(format!("a nonce has at most {NONCE_MAX} bytes"))
        }
        _ => Ok(()),
    }
}

impl Wish {
    /// Whatever could fail for want of a key or of KVM fails here, before anything runs.
    pub(crate) fn begin(&self, overrides: &Overrides) -> Result<Option<Receipting>> {
        let Some(path) = &self.receipt else {
            return Ok(None);
        };
        check_nonce(self.nonce.as_deref()).map_err(Failure::failed)?;
        Ok(Some(Receipting {
            path: path.clone(),
            nonce: self.nonce.clone(),
            identity: self
                .key
                .file()?
                .load()
                .map_err(|error| key::explain(&error))?,
            host: Host::probe()?,
            transcript: None,
            configuration: Digest([0; 32]),
            cpu_class: String::new(),
            overrides: serde_json::to_value(overrides).map_err(Failure::internal)?,
        }))
    }
}

impl Receipting {
    /// Begins the transcript; returns it for the process to go on with.
    pub(crate) fn transcribe(&mut self, configuration: &Configuration) -> Result<Log> {
        self.cpu_class = self.host.class(configuration.cpu);
        let configuration = &configuration.encode().map_err(Failure::internal)?;
        let path = transcript_path(&self.path);
        let begin = || {
            let mut file = File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(true)
                .open(&path)?;
            transcript::begin(configuration, &mut file)?;
            let log = OwnedFd::from(file.try_clone()?);
            Ok((file, log))
        };
        let (file, log) = begin().map_err(unwritable(&path))?;
        self.transcript = Some(file);
        self.configuration = digest(configuration);
        Ok(Log::Record(log))
    }

    /// Writes the receipt, if the run deserves one.
    pub(crate) fn finish(self, package: &Package, memory: u64, outcome: &Outcome) -> Result<()> {
        let path = transcript_path(&self.path);
        let transcript = match self.transcript {
            Some(mut file) => hash_file(&mut file),
            None => Err(io::Error::other("nothing was written")),
        };
        let begun = Begun {
            service: Digest(*package.id().as_bytes()),
            configuration: self.configuration,
            cpu_class: self.cpu_class,
            memory,
        };
        let claim = begun
            .claim(outcome, transcript.map_err(unwritable(&path))?)
            .map_err(|why| Failure::failed(format!("no receipt is given: {why}")))?;
        let claim = Claim {
            nonce: self.nonce,
            ..claim
        };
        let name = |path: &Path| Some(path.file_name()?.to_str()?.to_owned());
        let hints = Hints {
            transcript: name(&path),
            source: fs::canonicalize(package.path())
                .ok()
                .and_then(|path| path.to_str().map(str::to_owned)),
            overrides: self.overrides,
        };
        let receipt = Receipt::sign(claim, &self.identity, hints).map_err(Failure::internal)?;
        let text = receipt.to_json().map_err(Failure::internal)?;
        fs::write(&self.path, text).map_err(unwritable(&self.path))
    }
}

/// What is known of a run when it begins that its receipt will say.
#[derive(Clone)]
pub(crate) struct Begun {
    pub(crate) service: Digest,
    pub(crate) configuration: Digest,
    pub(crate) cpu_class: String,
    pub(crate) memory: u64,
}

impl Begun {
    /// What can be claimed of the run now that it has ended and this is its transcript; or why
    /// nothing can be, as a sentence.
    pub(crate) fn claim(self, outcome: &Outcome, transcript: Digest) -> Result<Claim, String> {
        let (Some(recorded), Some(end)) = (&outcome.recorded, end(outcome)) else {
            return Err(
                "the run did not end by itself, and another could end elsewhere".to_owned(),
            );
        };
        if let Some(why) = &recorded.failure {
            return Err(why.clone());
        }
        Ok(Claim {
            version: VERSION,
            service: self.service,
            configuration: self.configuration,
            transcript,
            output: output(recorded),
            end,
            level: outcome.level.name().to_owned(),
            cpu_class: self.cpu_class,
            kernel: Digest(recorded.kernel),
            vmm: instance::process_digest(),
            limits: Limits {
                memory: self.memory,
            },
            nonce: None,
        })
    }
}

/// What was put out, as a receipt has it.
pub(super) fn output(recorded: &Recorded) -> Output {
    Output {
        stdout: Digest(recorded.stdout),
        stderr: Digest(recorded.stderr),
        streams: Digest(recorded.streams),
    }
}

/// How a run ended, if it was the guest's own doing.
pub(super) fn end(outcome: &Outcome) -> Option<ReceiptEnd> {
    let End::Guest { kind, status } = outcome.end else {
        return None;
    };
    Some(match kind {
        ExitKind::Exited => ReceiptEnd::Exited(status as u8),
        ExitKind::Signaled => ReceiptEnd::Signaled(status as u8),
        _ => ReceiptEnd::Failed(instance::code(outcome.end) as u8),
    })
}

/// The hash of bytes, as a receipt has it.
pub(crate) fn digest(bytes: &[u8]) -> Digest {
    Digest(*blake3::hash(bytes).as_bytes())
}

fn hash_file(file: &mut File) -> io::Result<Digest> {
    file.rewind()?;
    let mut hasher = blake3::Hasher::new();
    let mut part = vec![0; 64 << 10];
    loop {
        match file.read(&mut part)? {
            0 => return Ok(Digest(*hasher.finalize().as_bytes())),
            count => hasher.update(&part[..count]),
        };
    }
}
