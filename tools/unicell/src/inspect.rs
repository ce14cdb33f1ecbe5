//! `unicell inspect`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use unicell_service::inspect::{Entry, Kind, Summary, inspect as summarise};
use unicell_service::package::Package;

use crate::cli::InspectArguments;
use crate::failure::{Failure, Result};
use crate::run::explain_package;

/// Shows a package, after all of it was verified.
pub(crate) fn inspect(arguments: &InspectArguments) -> Result<ExitCode> {
    let path = &arguments.package;
    let package = Package::open_verified(path, None).map_err(|error| explain_package(&error))?;
    let summary = summarise(&package)
        .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
    let text = if arguments.json {
        serde_json::to_string_pretty(&summary).map_err(Failure::internal)?
    } else {
        tell(&summary)
    };
    print_out(&text);
    Ok(ExitCode::SUCCESS)
}

fn tell(summary: &Summary) -> String {
    let manifest = &summary.manifest;
    let mut text = String::new();
    let mut line = |label: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{label:<12} {value}");
    };
    line("id", &summary.id.to_string());
    line("entrypoint", manifest.entrypoint());
    line("arguments", &manifest.args().join(" "));
    for (name, value) in manifest.env() {
        line("environment", &format!("{name}={value}"));
    }
    line("workdir", manifest.workdir());
    line("memory", &bytes(manifest.memory()));
    line("package", &bytes(summary.package_bytes));
    line("image", &bytes(summary.image_bytes));
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

fn entry_line(entry: &Entry) -> String {
    let kind = match entry.kind {
        Kind::Directory => 'd',
        Kind::File => '-',
        Kind::Symlink => 'l',
        Kind::CharDevice => 'c',
        Kind::BlockDevice => 'b',
        Kind::Fifo => 'p',
        Kind::Socket => 's',
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
