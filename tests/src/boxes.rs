//! The boxes that `tests/debian/build` has made: directories of ordinary Linux
//! files under `target/boxes`, and packages made of them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock, Mutex, OnceLock};

/// The repository's root.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the crate lies within the repository")
}

/// The `unicell` binary under test: `UNICELL`, or the one built beside the
/// running test.
pub fn unicell() -> PathBuf {
    if let Some(path) = std::env::var_os("UNICELL") {
        return path.into();
    }
    let test = std::env::current_exe().expect("a process knows its executable");
    let beside = test
        .ancestors()
        .skip(1)
        .map(|dir| dir.join("unicell"))
        .find(|path| path.is_file());
    beside.unwrap_or_else(|| panic!("no unicell beside {}: build the workspace", test.display()))
}

/// A box of the table `tests/debian/boxes`, unpacked.
#[derive(Clone, Debug)]
pub struct Tree {
    name: String,
    path: PathBuf,
}

/// The unpacked box of this name.
///
/// # Panics
///
/// When it has not been built.
pub fn tree(name: &str) -> Tree {
    let path = repository().join("target/boxes").join(name);
    assert!(path.is_dir(), "no box {name}: run tests/debian/build");
    Tree {
        name: name.into(),
        path,
    }
}

/// Packages made by this process: one cell for each tree, so that two trees
/// are packed at once and one tree is packed once.
static PACKAGES: LazyLock<Mutex<HashMap<PathBuf, Arc<OnceLock<PathBuf>>>>> =
    LazyLock::new(Mutex::default);

impl Tree {
    /// A directory that is not in the table, such as one a test made.
    pub fn at(path: &Path) -> Tree {
        let name = path
            .file_name()
            .expect("a box has a name")
            .to_string_lossy()
            .into_owned();
        Tree {
            name,
            path: path.into(),
        }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The tree as a package, packed by the `unicell` under test: once, in a
    /// process's life, and not at all where a package newer than both the
    /// tree and the binary lies in `target/boxes`.
    ///
    /// # Panics
    ///
    /// When packing fails.
    pub fn package(&self) -> PathBuf {
        let cell = Arc::clone(
            PACKAGES
                .lock()
                .expect("no test panics under this lock")
                .entry(self.path.clone())
                .or_default(),
        );
        cell.get_or_init(|| self.pack()).clone()
    }

    fn pack(&self) -> PathBuf {
        let kept = self.path.with_extension("cell");
        if self.is_current(&kept) {
            return kept;
        }
        // Aside first: another process may be reading the package.
        let directory = std::env::temp_dir().join("unicell-test-boxes");
        let directory = match tempfile::tempfile_in(repository().join("target/boxes")) {
            Ok(_) => self.path.parent().expect("a tree lies in a directory"),
            Err(_) => &directory,
        };
        std::fs::create_dir_all(directory).expect("a place for packages can be made");
        let fresh = directory.join(format!("{}.{}.cell", self.name, std::process::id()));
        let status = Command::new(unicell())
            .args([Path::new("pack"), &self.path, Path::new("-o"), &fresh])
            // A package says what it runs; each test says it anew.
            .args(["--entrypoint", "/named-when-run"])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .status()
            .expect("unicell starts");
        assert!(
            status.success(),
            "unicell pack {}: {status}",
            self.path.display()
        );
        let package = directory.join(format!("{}.cell", self.name));
        std::fs::rename(&fresh, &package).expect("a package can be moved within a directory");
        package
    }

    fn is_current(&self, package: &Path) -> bool {
        let modified = |path: &Path| {
            path.metadata()
                .and_then(|metadata| metadata.modified())
                .ok()
        };
        let built = self.path.with_extension("built");
        match (modified(package), modified(&built), modified(&unicell())) {
            (Some(package), Some(built), Some(binary)) => package > built && package > binary,
            _ => false,
        }
    }
}
