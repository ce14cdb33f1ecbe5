//! `unicell inspect` and `unicell convert`.

use std::fmt::{Display, Write as _};
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use unicell_service::encoding::{self, DecodeError, Spool};
use unicell_service::inspect::{
    Entry, Kind, PackageSizes, SlotSummary, Summary, inspect as summarise,
};
use unicell_service::package::{Package, write as write_package};
use unicell_service::spec::{Descriptor, Metadata, Service, Sysresources};
use unicell_service::tree::{Limits, Source};

use crate::cache::Cache;
use crate::cli::{ConvertArguments, InspectArguments};
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::run::explain_package;

/// Most bytes that decoding may put aside.
const MAX_SPOOL: u64 = 128 << 30;

/// A service that was read, and what its files may still be read from.
struct Read {
    service: Service,
    package: Option<PackageSizes>,
}

/// Opens a file that is to hold a service, and tells its size.
pub(crate) fn open(path: &Path) -> Result<(File, u64)> {
    let told = |what: &dyn Display| Failure::failed(format!("{}: {what}", path.display()));
    let file = File::open(path).map_err(|error| told(&error))?;
    let metadata = file.metadata().map_err(|error| told(&error))?;
    if metadata.is_dir() {
        return Err(told(&"it is a directory").hint("`unicell pack` makes a package of one"));
    }
    // As proto3 it would be a service that says nothing: nobody means that.
    if metadata.is_file() && metadata.len() == 0 {
        return Err(told(&"it is empty"));
    }
    Ok((file, metadata.len()))
}

/// Reads a package or a service in any encoding, after all of it was checked.
fn read(path: &Path) -> Result<Read> {
    let (file, len) = open(path)?;
    let input = Source::slice(file.into(), 0, len);
    let temporary = Cache::open().map(|cache| cache.temporary().to_owned());
    let temporary = temporary.unwrap_or_else(std::env::temp_dir);
    let mut spool = Spool::new(&temporary, MAX_SPOOL).map_err(Failure::internal)?;
    let service = encoding::read_any(&input, path, &mut spool).map_err(|error| match &error {
        DecodeError::Package(error) => explain_package(error),
        _ => Failure::failed(format!("{}: {error}", path.display())),
    })?;
    let package = Package::open(path).ok();
    Ok(Read {
        service,
        package: package.as_ref().map(PackageSizes::of),
    })
}

/// Shows a service.
pub(crate) fn inspect(arguments: &InspectArguments) -> Result<ExitCode> {
    let path = &arguments.service;
    let found = read(path)?;
    if let Some(encoding) = &arguments.encoding {
        let encoding = encoding::by_name(encoding).map_err(Failure::failed)?;
        let mut out = io::stdout().lock();
        encoding
            .write(&found.service, &mut out)
            .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
        return Ok(ExitCode::SUCCESS);
    }
    let summary = summarise(&found.service, &Metadata::default(), found.package)
        .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
    let text = if arguments.json {
        serde_json::to_string_pretty(&summary).map_err(Failure::internal)?
    } else {
        tell(&summary)
    };
    print_out(&text);
    Ok(ExitCode::SUCCESS)
}

/// Writes a service in another encoding, or as a package. The id stays.
pub(crate) fn convert(arguments: &ConvertArguments) -> Result<ExitCode> {
    let found = read(&arguments.service)?;
    let mut output = Output::create(&arguments.output)?;
    let id = if arguments.encoding == "package" {
        let written = write_package(found.service, Limits::default(), output.file(), &mut |_| {})
            .map_err(|error| output.explain(&error))?;
        written.id
    } else {
        let encoding = encoding::by_name(&arguments.encoding)
            .map_err(|error| Failure::failed(error).hint("`package` is known here too"))?;
        encoding
            .write(&found.service, output.file())
            .map_err(|error| output.explain(&error))?;
        found.service.id().map_err(|error| output.explain(&error))?
    };
    output.finish()?;
    print_out(&format!("{id}  {}", arguments.output.display()));
    Ok(ExitCode::SUCCESS)
}

fn tell(summary: &Summary) -> String {
    let mut text = String::new();
    let mut line = |label: &str, value: &str| {
        if !value.is_empty() {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{label:<12} {value}");
        }
    };
    line("id", &summary.ids.id.to_string());
    line(
        "sha3-256",
        &summary.ids.hashes()[1]
            .value
            .iter()
            .fold(String::new(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            }),
    );
    line("prose", &summary.prose);
    if let Some(manifest) = &summary.manifest {
        line("entrypoint", manifest.entrypoint());
        line("arguments", &manifest.args().join(" "));
        for (name, value) in manifest.env() {
            line("environment", &format!("{name}={value}"));
        }
        line("workdir", manifest.workdir());
        line("memory", &bytes(manifest.memory()));
    }
    tell_interface(summary, &mut line);
    line("canonical", &bytes(summary.ids.len));
    if let Some(package) = summary.package {
        line("package", &bytes(package.bytes));
        line("image", &bytes(package.image));
    }
    let counts = &summary.counts;
    line(
        "files",
        &format!(
            "{} files ({}), {} directories, {} links, {} others",
            counts.files,
            bytes(counts.content_bytes),
            counts.directories,
            counts.symlinks,
            counts.others
        ),
    );
    let _ = writeln!(text);
    for entry in &summary.entries {
        let _ = writeln!(text, "{}", entry_line(entry));
    }
    text
}

/// How it is spoken to, and what it asks for.
fn tell_interface(summary: &Summary, line: &mut dyn FnMut(&str, &str)) {
    if let Some(architecture) = &summary.architecture {
        line("architecture", &named(architecture));
    }
    for slot in &summary.slots {
        tell_slot(slot, line);
    }
    for network in &summary.networks {
        line(
            "network",
            [&network.tags.join(", "), network.prose.as_str()]
                .join(" ")
                .trim(),
        );
    }
    for (alias, id) in &summary.dependencies {
        line("dependency", &format!("{alias} = {id}"));
    }
    let resources = summary.resources.clone().unwrap_or_default();
    line("at init", &amounts(resources.at_init.as_ref()));
    line("at most", &amounts(resources.at_most.as_ref()));
    for (name, format) in &summary.variables {
        line("variable", &format!("{name} {}", named(format)));
    }
    for protocol in &summary.expected_gateway {
        line("gateway", &named(protocol));
    }
    for payment in &summary.payments {
        let contract = payment.contract.clone().unwrap_or_default();
        let rate = payment.mu_per_unit.clone().unwrap_or_default().n;
        let ledger = named(&contract.ledger.unwrap_or_default());
        line("payment", &format!("{ledger}, {rate} for one unit"));
    }
    for proof in &summary.reputation_proofs {
        line(
            "reputation",
            &named(&proof.ledger.clone().unwrap_or_default()),
        );
    }
}

fn tell_slot(summary: &SlotSummary, line: &mut dyn FnMut(&str, &str)) {
    let slot = &summary.slot;
    let transport = slot.transport.as_ref().map(named).unwrap_or_default();
    let protocols: Vec<String> = slot.protocol_stack.iter().map(named).collect();
    line(
        "slot",
        &format!("{}/{transport} {}", slot.port, protocols.join(" over ")),
    );
    let Some(interface) = &summary.interface else {
        return;
    };
    for (name, method) in &interface.methods {
        let price = slot.price_per_call.get(name);
        let price = price
            .map(|price| format!(", price {}", price.n))
            .unwrap_or_default();
        line(
            "  method",
            &format!("{name}({}) -> {}{price}", method.input, method.output),
        );
    }
    line("  cost", interface.cost.as_deref().unwrap_or_default());
}

/// A descriptor in one line.
fn named(descriptor: &Descriptor) -> String {
    let mut text = descriptor.tags.join(", ");
    if !descriptor.prose.is_empty() {
        let space = if text.is_empty() { "" } else { " " };
        text = format!("{text}{space}({})", descriptor.prose);
    }
    text
}

fn amounts(of: Option<&Sysresources>) -> String {
    let Some(of) = of else {
        return String::new();
    };
    let sizes = [("memory", of.mem_limit), ("disk", of.disk_space)];
    let mut parts: Vec<String> = sizes
        .into_iter()
        .filter_map(|(name, amount)| Some(format!("{name} {}", bytes(amount?))))
        .collect();
    if let (Some(quota), Some(period)) = (of.cpu_quota, of.cpu_period) {
        parts.push(format!("{quota} of {period} µs of CPU"));
    }
    parts.join(", ")
}

fn entry_line(entry: &Entry) -> String {
    let kind = match entry.kind {
        Kind::Directory => 'd',
        Kind::File => '-',
        Kind::Symlink => 'l',
        Kind::CharDevice => 'c',
        Kind::BlockDevice => 'b',
        Kind::Fifo => 'p',
    };
    let target = entry
        .target
        .as_ref()
        .map(|target| format!(" -> {target}"))
        .unwrap_or_default();
    format!(
        "{kind}{:04o} {:>5} {:>5} {:>10} {}{target}",
        entry.permissions, entry.uid, entry.gid, entry.size, entry.path
    )
}

/// Prints a result. A reader that has seen enough and gone is no failure.
pub(crate) fn print_out(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{}", text.trim_end());
}

/// A size for people.
pub(crate) fn bytes(count: u64) -> String {
    match count {
        0..0x400 => format!("{count} B"),
        0x400..0x10_0000 => format!("{:.1} KiB", count as f64 / 1024.0),
        0x10_0000..0x4000_0000 => format!("{:.1} MiB", count as f64 / f64::from(1 << 20)),
        _ => format!("{:.1} GiB", count as f64 / f64::from(1 << 30)),
    }
}
