//! `unicell run`.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;

use unicell_guest_abi::boot::flags;
use unicell_guest_abi::init::{Furnishing, Init};
use unicell_guest_abi::layout;
use unicell_service::manifest::{Manifest, Overrides};
use unicell_service::package::{ManifestSource, OpenError, Package};
use unicell_vmm::monotonic_ns;
use unicell_vmm::reproducible::Configuration;

use crate::cache::Cache;
use crate::cli::{RunArguments, Trace};
use crate::exit_code::Code;
use crate::failure::{Failure, Result};
use crate::instance::{self, Outside, Start, UnfitMemory};
use crate::pack::{Bar, pack_source, show_warnings};
use crate::stats;
use crate::summary;
use crate::terminal::Terminal;

/// Runs a box and passes the program's exit status on.
pub(crate) fn run(arguments: &RunArguments) -> Result<ExitCode> {
    let since = monotonic_ns();
    let terminal = Terminal::wanted(arguments.interactive, arguments.tty)?;
    let cache = Cache::open();
    let overrides = arguments.overriding.overrides(&arguments.args);
    let mut receipting = arguments.wish.begin(&overrides)?;
    let host = receipting.as_ref().map(|receipting| &receipting.host);
    let process = instance::spawn(cache.as_ref()).map_err(Failure::internal)?;
    let mut terms = arguments.level.terms(host)?;
    let level = terms.level;
    let (package, manifest) = open(&arguments.source, overrides, cache.as_ref())?;
    let memory = memory(&manifest)?;
    let init = init_block(&manifest, terminal);
    let window = terminal.map(Terminal::window);
    let configuration = Configuration::new(&terms, memory, window, init);
    if let Some(receipting) = receipting.as_mut().filter(|_| level.is_reproducible()) {
        terms.log = Some(receipting.transcribe(&configuration)?);
    }
    let seed = configuration
        .seed(package.id().as_bytes())
        .map_err(Failure::internal)?;
    let start = Start {
        package: &package,
        memory,
        init: configuration.init,
        terminal,
        window,
        flags: boot_flags(arguments),
        log: self::log(arguments.crash_report.as_deref())?,
        timeout: arguments.timeout,
        since,
        seed: level.is_reproducible().then_some(seed),
        reproduction: terms,
        outside: Outside::Everything,
    };
    let outcome = instance::run(process, start)?;
    if arguments.trace == Some(Trace::Summary) {
        summary::show(&outcome.stats.calls);
    }
    if arguments.stats {
        stats::show(&outcome);
    }
    let code = instance::exit_code(&outcome);
    match receipting {
        // What has gone wrong with the run is the thing to be told.
        Some(receipting) if code.is_ok() => receipting.finish(&package, memory, &outcome).and(code),
        _ => code,
    }
}

fn boot_flags(arguments: &RunArguments) -> u32 {
    let mut wanted = 0;
    match arguments.trace {
        Some(Trace::Calls) => wanted |= flags::TRACE,
        Some(Trace::Summary) => wanted |= flags::COUNT_CALLS,
        None => {}
    }
    if arguments.crash_report.is_some() {
        wanted |= flags::CRASH_REPORTS;
    }
    wanted
}

/// Where the kernel's log goes: to standard error, or to the file of `--crash-report`.
pub(crate) fn log(report: Option<&Path>) -> Result<OwnedFd> {
    match report {
        Some(path) if path != Path::new("-") => {
            let file = File::create(path);
            let file = file.map_err(|error| {
                Failure::failed(format!("{} cannot be written: {error}", path.display()))
            })?;
            Ok(file.into())
        }
        _ => io::stderr()
            .as_fd()
            .try_clone_to_owned()
            .map_err(Failure::internal),
    }
}

/// A package as it is; anything else is packed first, into a file that nobody sees.
pub(crate) fn open(
    source: &Path,
    overrides: Overrides,
    cache: Option<&Cache>,
) -> Result<(Package, Manifest)> {
    let records = cache.and_then(Cache::records);
    let packed = match Package::open_verified(source, records.as_deref()) {
        Ok(package) => package,
        Err(OpenError::NotAPackage { .. }) if !is_named_as_package(source) => {
            return pack_for_once(source, overrides, cache);
        }
        Err(_) if source.is_dir() => return pack_for_once(source, overrides, cache),
        Err(error) => return Err(explain_package(&error)),
    };
    let manifest = packed.manifest().clone().with(&overrides);
    let manifest =
        manifest.map_err(|error| Failure::failed(format!("{}: {error}", source.display())))?;
    Ok((packed, manifest))
}

/// A damaged package can look like anything; its name still says what it was.
fn is_named_as_package(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "cell")
}

fn pack_for_once(
    source: &Path,
    overrides: Overrides,
    cache: Option<&Cache>,
) -> Result<(Package, Manifest)> {
    let mut file = nameless_file(cache)?;
    let packed = pack_source(
        source,
        overrides,
        ManifestSource::InTree,
        &mut file,
        Bar::new(),
    )?;
    show_warnings(&packed.warnings);
    let package = Package::from_file(file, source).map_err(|error| explain_package(&error))?;
    Ok((package, packed.manifest))
}

fn nameless_file(cache: Option<&Cache>) -> Result<File> {
    let from_cache = cache.and_then(|cache| cache.nameless_file().ok());
    let file = match from_cache {
        Some(file) => Ok(file),
        None => {
            use rustix::fs::MemfdFlags;
            rustix::fs::memfd_create("box", MemfdFlags::CLOEXEC).map(File::from)
        }
    };
    file.map_err(|error| Failure::internal(format!("no room for the packed box: {error}")))
}

/// What a package's fault means to the user.
pub(crate) fn explain_package(error: &OpenError) -> Failure {
    match error {
        OpenError::Damaged { .. }
        | OpenError::Length { .. }
        | OpenError::Contradiction { .. }
        | OpenError::Specification { .. }
        | OpenError::NotAPackage { .. } => Failure::new(Code::DamagedPackage, error)
            .hint("the file is not as it was packed: pack it or fetch it again"),
        _ => Failure::failed(error),
    }
}

fn memory(manifest: &Manifest) -> Result<u64> {
    instance::ram(manifest.memory()).map_err(|unfit| match unfit {
        UnfitMemory::TooSmall(_) => Failure::new(Code::MemoryTooSmall, unfit)
            .hint(format!("give at least --memory {}M", layout::RAM_MIN >> 20)),
        UnfitMemory::TooLarge(_) => Failure::failed(unfit),
    })
}

/// The program's name, its arguments and its environment: what the box and the user say, and on a
/// terminal what kind it is.
fn init_block(manifest: &Manifest, terminal: Option<Terminal>) -> Vec<u8> {
    let env = manifest
        .env()
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    let mut env: Vec<String> = env.collect();
    if terminal.is_some() && !env.iter().any(|variable| variable.starts_with("TERM=")) {
        let kind = std::env::var("TERM").unwrap_or_else(|_| "xterm".to_owned());
        env.push(format!("TERM={}", kind.replace('\0', "")));
    }
    let args: Vec<&[u8]> = [manifest.entrypoint().as_bytes()]
        .into_iter()
        .chain(manifest.args().iter().map(String::as_bytes))
        .collect();
    let mut block = Vec::new();
    Init::encode(
        (
            manifest.entrypoint().as_bytes(),
            manifest.workdir().as_bytes(),
        ),
        args.into_iter(),
        env.iter().map(String::as_bytes),
        &Furnishing::default(),
        &mut block,
    );
    block
}
