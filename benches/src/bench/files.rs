//! Where the binaries and boxes are that the script `bench` has built.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::sample::{Failure, Stream, words};

/// The binaries and boxes.
pub(crate) struct Files {
    pub(crate) unicell: PathBuf,
    pub(crate) floor: PathBuf,
    /// Our own programs: a directory that is a box.
    pub(crate) programs: PathBuf,
    /// Boxes of the end-to-end tests, a directory each.
    boxes: PathBuf,
    /// Packages of the examples.
    examples: PathBuf,
    /// For packages.
    packages: PathBuf,
}

impl Files {
    /// What lies beside this program, and under `target` in the repository.
    pub(crate) fn find() -> Result<Self, Failure> {
        let here = std::env::current_exe().map_err(|error| Failure::Host(error.to_string()))?;
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
        let target = target
            .canonicalize()
            .map_err(|error| Failure::Host(error.to_string()))?;
        let files = Self {
            unicell: target.join("unicell"),
            floor: here.with_file_name("unicell-floor"),
            programs: target.join("bench/programs"),
            boxes: target.join("boxes"),
            examples: target.join("examples"),
            packages: target.join("bench"),
        };
        for path in [&files.unicell, &files.floor, &files.programs] {
            if !path.exists() {
                let text = format!("{} is not there: start ./bench", path.display());
                return Err(Failure::Host(text));
            }
        }
        Ok(files)
    }

    /// A box of the end-to-end tests.
    pub(crate) fn test_box(&self, name: &str) -> PathBuf {
        self.boxes.join(name)
    }

    /// The package of an example.
    pub(crate) fn example(&self, name: &str) -> PathBuf {
        self.examples.join(name).with_extension("cell")
    }

    /// The package of a box, packed now.
    pub(crate) fn package(&self, tree: &Path) -> Result<PathBuf, Failure> {
        if !tree.is_dir() {
            return Err(Failure::NotInstalled);
        }
        let name = tree.file_name().unwrap_or(tree.as_os_str());
        let package = self.packages.join(name).with_extension("cell");
        let mut pack = Command::new(&self.unicell);
        // What is run is said when it is run; a box needs a word of its own.
        pack.arg("pack")
            .arg(tree)
            .args(["--entrypoint", "/program"])
            .arg("-o")
            .arg(&package);
        words(&mut pack, Stream::Out)?;
        Ok(package)
    }

    /// A place for what is measured with.
    pub(crate) fn scratch(&self, name: &str) -> PathBuf {
        self.packages.join(name)
    }

    /// The command that runs a program of a package.
    pub(crate) fn run(&self, package: &Path, program: &str) -> Command {
        let mut command = Command::new(&self.unicell);
        command
            .arg("run")
            .arg(package)
            .args(["--entrypoint", program]);
        command
    }
}
