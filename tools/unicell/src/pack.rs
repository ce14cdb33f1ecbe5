//! `unicell pack`.

use std::fs::File;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use unicell_service::check::Warning;
use unicell_service::manifest::Overrides;
use unicell_service::package::{
    ManifestSource, PackError, PackOptions, Packed, Phase, Progress, pack_path,
};
use unicell_service::tree::TreeError;

use crate::cli::PackArguments;
use crate::exit_code::Code;
use crate::failure::{Failure, Result, warn};
use crate::inspect::print_out;
use crate::output::Output;

/// How long packing may take before a progress bar is worth looking at.
const PATIENCE: Duration = Duration::from_millis(700);

#[derive(Serialize)]
struct Report<'a> {
    id: String,
    file: &'a Path,
    package_bytes: u64,
    image_bytes: u64,
    specification_bytes: u64,
    content_bytes: u64,
    shared_bytes: u64,
    inodes: u64,
    warnings: &'a [Warning],
}

/// Packs, and tells what came out.
pub(crate) fn pack(arguments: &PackArguments) -> Result<ExitCode> {
    let bar = Bar::new();
    let overrides = arguments.overriding.overrides(&arguments.args);
    let manifest = match &arguments.manifest {
        None => ManifestSource::InTree,
        Some(path) => ManifestSource::Text {
            name: path.display().to_string(),
            bytes: std::fs::read(path)
                .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?,
        },
    };
    let mut output = Output::create(&arguments.output)?;
    let packed = pack_source(&arguments.source, overrides, manifest, output.file(), bar)?;
    output.finish()?;
    tell(arguments, &packed)
}

/// Packs a directory or a tar into a file, with a progress bar if it takes long.
pub(crate) fn pack_source(
    source: &Path,
    overrides: Overrides,
    manifest: ManifestSource,
    out: &mut File,
    mut bar: Bar,
) -> Result<Packed> {
    let options = PackOptions {
        manifest,
        overrides,
        ..PackOptions::default()
    };
    let mut progress = |progress| bar.show(progress);
    let spool = crate::cache::Cache::open().map(|cache| cache.temporary().to_owned());
    let spool = spool.unwrap_or_else(std::env::temp_dir);
    let result = pack_path(source, &options, &spool, out, &mut progress);
    bar.finish();
    result.map_err(|error| explain(source, &error))
}

fn explain(source: &Path, error: &PackError) -> Failure {
    let failure = Failure::failed(format!("{}: {error}", source.display()));
    match error {
        PackError::Tree(TreeError::NoTar) => failure.hint(
            "what can be packed is a directory, a tar of a root filesystem, or the image of a \
             container (an OCI layout or a docker-archive); a package runs as it is",
        ),
        _ => failure,
    }
}

/// A bar on a terminal, once it is worth it.
pub(crate) struct Bar {
    bar: ProgressBar,
    since: std::time::Instant,
    phase: Option<Phase>,
}

impl Bar {
    /// The user waits from now on.
    pub(crate) fn new() -> Self {
        Self {
            bar: ProgressBar::hidden(),
            since: std::time::Instant::now(),
            phase: None,
        }
    }

    fn show(&mut self, progress: Progress) {
        if self.since.elapsed() < PATIENCE || !std::io::stderr().is_terminal() {
            return;
        }
        if self.phase != Some(progress.phase) {
            self.finish();
            self.phase = Some(progress.phase);
            let label = match progress.phase {
                Phase::Copy => "packing",
                Phase::Hash => "hashing",
                Phase::Identify => "identifying",
            };
            let style =
                ProgressStyle::with_template("{msg} [{bar:30}] {bytes}/{total_bytes} {eta}");
            self.bar = ProgressBar::new(progress.total).with_message(label);
            if let Ok(style) = style {
                self.bar.set_style(style);
            }
        }
        self.bar.set_position(progress.done);
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Tells the user of warnings.
pub(crate) fn show_warnings(warnings: &[Warning]) {
    const SHOWN: usize = 20;
    for warning in warnings.iter().take(SHOWN) {
        warn(warning);
    }
    if warnings.len() > SHOWN {
        warn(format!("{} more like these", warnings.len() - SHOWN));
    }
}

fn tell(arguments: &PackArguments, packed: &Packed) -> Result<ExitCode> {
    let report = Report {
        id: packed.id.to_string(),
        file: &arguments.output,
        package_bytes: packed.sizes.package,
        image_bytes: packed.sizes.image,
        specification_bytes: packed.sizes.specification,
        content_bytes: packed.sizes.contents,
        shared_bytes: packed.sizes.shared,
        inodes: packed.sizes.inodes,
        warnings: &packed.warnings,
    };
    if arguments.json {
        let text = serde_json::to_string_pretty(&report)
            .map_err(|error| Failure::new(Code::Internal, error))?;
        print_out(&text);
    } else {
        show_warnings(&packed.warnings);
        print_out(&format!("{}  {}", report.id, arguments.output.display()));
    }
    Ok(ExitCode::SUCCESS)
}
