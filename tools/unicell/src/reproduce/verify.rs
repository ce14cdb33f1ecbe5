//! `unicell verify` and `unicell replay`: a run again, by its transcript.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use unicell_guest_abi::boot::flags;
use unicell_netstack::identity::NodeId;
use unicell_netstack::receipt::{self, Claim, Digest, Receipt};
use unicell_service::package::Package;
use unicell_vmm::reproducible::{
    Baseline, Configuration, ConfigurationError, Level, Log, Reproduction, transcript,
};
use unicell_vmm::{Outcome, monotonic_ns};

use super::Host;
use super::receipt::{digest, end, output};
use crate::cache::Cache;
use crate::exit_code::Code;
use crate::failure::{Failure, Result};
use crate::instance::{self, Start};
use crate::run;

/// Which run.
#[derive(Args)]
pub(crate) struct Which {
    /// The receipt
    #[arg(value_name = "RECEIPT")]
    receipt: PathBuf,
    /// The box, if it is not where the receipt was made
    #[arg(long = "box", value_name = "BOX")]
    source: Option<PathBuf>,
    /// The transcript, if it is not beside the receipt
    #[arg(long, value_name = "FILE")]
    transcript: Option<PathBuf>,
}

#[derive(Args)]
#[command(after_help = "\
Exit codes: 0 the same; 213 different; 214 not comparable, as another class of CPU or another
kernel made the receipt; 215 receipt, transcript or service are not what was signed.

Examples:
  unicell run box --receipt r.json
  unicell verify r.json --nonce \"what you asked for\" --signed-by NODE")]
pub(crate) struct VerifyArguments {
    #[command(flatten)]
    which: Which,
    /// The node that must have signed
    #[arg(long, value_name = "ID")]
    signed_by: Option<NodeId>,
    /// The nonce that must be in it
    #[arg(long, value_name = "TEXT")]
    nonce: Option<String>,
}

#[derive(Args)]
#[command(after_help = "\
The program is run again with the input of the transcript; what it prints is shown.

Example:
  unicell replay r.json --trace

Exit codes: the program's own; 213 if it went another way; 214 and 215 as of `unicell verify`.")]
pub(crate) struct ReplayArguments {
    #[command(flatten)]
    which: Which,
    /// Show each system call with its arguments and result on standard error
    #[arg(long)]
    trace: bool,
}

/// Something is not what was signed.
fn untrue(what: impl std::fmt::Display) -> Failure {
    Failure::new(Code::Untrue, what)
}

fn not_comparable(why: impl std::fmt::Display) -> Failure {
    Failure::new(Code::NotComparable, format!("not comparable: {why}"))
}

/// What a receipt says that its configuration does not. A class of a baseline begins with its name.
fn contradiction(claim: &Claim, configuration: &Configuration) -> Option<String> {
    let says = |said: &str, is: &str| {
        Some(format!(
            "the receipt says {said}, and the configuration {is}"
        ))
    };
    let (class, cpu) = (&claim.cpu_class, configuration.cpu);
    let named = |baseline: &Baseline| class.starts_with(baseline.name());
    if Baseline::ALL.into_iter().find(named) != cpu {
        let is = cpu.map_or("the host's own processor", Baseline::name);
        return says(&format!("CPU class {class}"), is);
    }
    let (said, is) = (claim.limits.memory, configuration.memory);
    if said != is {
        return says(&format!("{said} bytes of memory"), &is.to_string());
    }
    // A level that was lowered promises nothing, and is not compared.
    let (said, is) = (&*claim.level, configuration.level.name());
    if said != Level::D0.name() && said != is {
        return says(&format!("level {said}"), is);
    }
    None
}

/// A run that can be repeated: everything is what the receipt says.
struct Past {
    receipt: Receipt,
    transcript: File,
    configuration: Configuration,
    seed: [u8; 32],
    package: Package,
}

fn read(path: &Path, most: u64) -> Result<(File, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut read = || {
        let file = File::open(path)?;
        (&file).take(most + 1).read_to_end(&mut bytes)?;
        Ok::<_, io::Error>(file)
    };
    let file = read();
    let file = file
        .map_err(|error| Failure::failed(format!("{} cannot be read: {error}", path.display())))?;
    Ok((file, bytes))
}

impl Past {
    fn open(which: &Which, cache: Option<&Cache>) -> Result<Self> {
        let (_, text) = read(&which.receipt, receipt::MAX as u64)?;
        let named = |error| untrue(format!("{}: {error}", which.receipt.display()));
        let receipt = receipt::parse(&text).map_err(named)?;
        receipt.check().map_err(named)?;
        let path = which.transcript(&receipt)?;
        let (_, bytes) = read(&path, transcript::MAX)?;
        if digest(&bytes) != receipt.claim.transcript {
            return Err(untrue(format!(
                "{} is not the transcript that was signed",
                path.display()
            )));
        }
        let named = |what: &str| untrue(format!("{}: {what}", path.display()));
        let parsed = transcript::parse(&bytes).map_err(|error| named(&error.to_string()))?;
        if digest(&parsed.configuration) != receipt.claim.configuration {
            return Err(named("its configuration is not the one that was signed"));
        }
        let configuration = match Configuration::decode(&parsed.configuration) {
            Ok(configuration) => configuration,
            Err(other @ ConfigurationError::Version(_)) => return Err(not_comparable(other)),
            Err(nonsense) => return Err(named(&nonsense.to_string())),
        };
        if let Some(contradiction) = contradiction(&receipt.claim, &configuration) {
            return Err(untrue(contradiction));
        }
        let package = which.package(&receipt, cache)?;
        let service = *package.id().as_bytes();
        if service != receipt.claim.service.0 {
            return Err(untrue(format!(
                "{} is another service than was run: its id is {}",
                package.path().display(),
                package.id()
            )));
        }
        let seed = configuration.seed(&service).map_err(Failure::internal)?;
        Ok(Self {
            transcript: copy(&bytes)?,
            receipt,
            configuration,
            seed,
            package,
        })
    }

    /// Runs it again; what it prints is lost if `quietly`.
    fn run(&self, trace: bool, quietly: bool, cache: Option<&Cache>) -> Result<Outcome> {
        let process = instance::spawn(cache).map_err(Failure::internal)?;
        let log = self.transcript.try_clone().map_err(Failure::internal)?;
        let start = Start {
            package: &self.package,
            memory: self.configuration.memory,
            init: self.configuration.init.clone(),
            terminal: None,
            window: self.configuration.window,
            flags: if trace { flags::TRACE } else { 0 },
            log: run::log(None)?,
            timeout: None,
            since: monotonic_ns(),
            seed: Some(self.seed),
            reproduction: Reproduction {
                log: Some(Log::Replay(OwnedFd::from(log))),
                ..self.configuration.terms()
            },
            outside: if quietly {
                instance::Outside::Nobody
            } else {
                instance::Outside::Watched
            },
        };
        instance::run(process, start)
    }
}

/// The bytes that were checked, in a file that nobody can change any more.
fn copy(bytes: &[u8]) -> Result<File> {
    use rustix::fs::MemfdFlags;
    use std::io::{Seek, Write};
    let write = || {
        let mut file = File::from(rustix::fs::memfd_create("transcript", MemfdFlags::CLOEXEC)?);
        file.write_all(bytes)?;
        file.rewind()?;
        Ok::<_, io::Error>(file)
    };
    write().map_err(Failure::internal)
}

impl Which {
    fn transcript(&self, receipt: &Receipt) -> Result<PathBuf> {
        if let Some(path) = &self.transcript {
            return Ok(path.clone());
        }
        // A name, and no way to anywhere else.
        let hint = receipt.hints.transcript.as_deref().map(Path::new);
        match hint.and_then(Path::file_name) {
            Some(name) => Ok(self.receipt.with_file_name(name)),
            None => Err(Failure::failed("the receipt names no transcript")
                .hint("name it with --transcript")),
        }
    }

    fn package(&self, receipt: &Receipt, cache: Option<&Cache>) -> Result<Package> {
        let hint = receipt.hints.source.as_ref().map(PathBuf::from);
        let source = self.source.clone().or(hint);
        let source = source.ok_or_else(|| {
            Failure::failed("the receipt names no box").hint("name it with --box")
        })?;
        // A box that is no package is packed again, as it was then: its id will tell.
        let overrides = serde_json::from_value(receipt.hints.overrides.clone());
        let (package, _) = run::open(&source, overrides.unwrap_or_default(), cache)?;
        Ok(package)
    }
}

/// Why a run of the receipt's cannot be compared with one here.
fn incomparable(past: &Past, host: &Host, kernel: Option<[u8; 32]>) -> Option<String> {
    let claim = &past.receipt.claim;
    if claim.level == Level::D0.name() {
        return Some("nothing was promised of it: its level is D0".into());
    }
    if past.configuration.level == Level::D2 && host.level < Level::D2 {
        return Some("its level is D2, which this host cannot give".into());
    }
    let cpu = past.configuration.cpu;
    if let Some(why) = host.offers.lacks(cpu) {
        return Some(format!("it was run on {}, and {why}", claim.cpu_class));
    }
    let class = host.class(cpu);
    if claim.cpu_class != class {
        return Some(format!(
            "it was run on a CPU of class {}, and this one is of class {class}",
            claim.cpu_class
        ));
    }
    if kernel.is_some_and(|kernel| kernel != claim.kernel.0) {
        return Some("it was run by another guest kernel than this one's".into());
    }
    None
}

/// Verifies a receipt.
pub(crate) fn verify(arguments: &VerifyArguments) -> Result<ExitCode> {
    let cache = Cache::open();
    let past = Past::open(&arguments.which, cache.as_ref())?;
    let Receipt { claim, node, .. } = &past.receipt;
    if arguments.signed_by.is_some_and(|wanted| wanted != *node) {
        return Err(untrue(format!("it was signed by another node, {node}")));
    }
    if arguments.nonce.is_some() && arguments.nonce != claim.nonce {
        return Err(untrue("its nonce is another"));
    }
    let host = Host::probe()?;
    if let Some(why) = incomparable(&past, &host, None) {
        return Err(not_comparable(why));
    }
    let outcome = past.run(false, true, cache.as_ref())?;
    let Some(recorded) = &outcome.recorded else {
        instance::exit_code(&outcome)?;
        return Err(Failure::internal("the run kept no record"));
    };
    if let Some(why) = incomparable(&past, &host, Some(recorded.kernel)) {
        return Err(not_comparable(why));
    }
    let other = other_build(claim.vmm);
    match difference(&past.receipt, &outcome) {
        None => {
            anstream::println!(
                "same: node {node} has run service {} as it says",
                claim.service
            );
            if let Some(other) = other {
                anstream::println!("({other}, which made no difference)");
            }
            Ok(ExitCode::SUCCESS)
        }
        Some(how) => {
            let failure = Failure::new(Code::Different, format!("different: {how}"));
            Err(match other {
                Some(other) => failure.hint(format!("{other}, and one of the two may be at fault")),
                None => failure,
            })
        }
    }
}

/// That the VM was run by another build than ours. No program can tell one from another, so the two
/// are compared all the same; but whoever looks for the cause of a difference wants to know.
fn other_build(vmm: Digest) -> Option<String> {
    (vmm != instance::process_digest())
        .then(|| format!("the receipt was made by another build of the VMM than this one: {vmm}"))
}

/// The first difference between a run and what a receipt says of it.
fn difference(receipt: &Receipt, outcome: &Outcome) -> Option<String> {
    let recorded = outcome.recorded.as_ref()?;
    if let Some(difference) = &recorded.difference {
        return Some(difference.clone());
    }
    if end(outcome) != Some(receipt.claim.end) {
        return Some(format!(
            "it ended otherwise, as {outcome}, and in the receipt as {:?}",
            receipt.claim.end
        ));
    }
    let (ours, theirs) = (output(recorded), receipt.claim.output);
    (ours != theirs).then(|| {
        let what = if ours.stdout != theirs.stdout {
            "standard output"
        } else if ours.stderr != theirs.stderr {
            "standard error"
        } else {
            "what was sent on connections"
        };
        format!("the hash of {what} is another than in the receipt")
    })
}

/// Runs a receipt's program again, for somebody to look at.
pub(crate) fn replay(arguments: &ReplayArguments) -> Result<ExitCode> {
    let cache = Cache::open();
    let past = Past::open(&arguments.which, cache.as_ref())?;
    let outcome = past.run(arguments.trace, false, cache.as_ref())?;
    match difference(&past.receipt, &outcome) {
        None => instance::exit_code(&outcome),
        Some(how) => Err(Failure::new(Code::Different, format!("different: {how}"))),
    }
}
