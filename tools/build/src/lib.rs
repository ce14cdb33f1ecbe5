//! For build scripts that embed one binary of the workspace in another.
//!
//! **For**: running cargo inside cargo with a profile and flags of its own, and finding what it has
//! built. Stable cargo has no other way to make one binary an input of another.
//!
//! **Not for**: anything at run time.
//!
//! **Invariants**: the inner run has a target directory of its own (the outer one holds the lock
//! of the usual one) and sees none of the outer run's flags.

use std::path::{Path, PathBuf};
use std::process::{Command, exit};
use std::{env, fs};

/// The target that every toolchain for this project has.
pub const GNU: &str = "x86_64-unknown-linux-gnu";
const MUSL: &str = "x86_64-unknown-linux-musl";

/// The target for a program that is to start quickly: musl's where the toolchain has it
/// (`rustup target add x86_64-unknown-linux-musl`), else the usual one.
///
/// glibc asks the processor for its features some eighty times before `main`. Where that is a
/// virtual machine itself, as on development hosts, each question costs about 9 µs.
#[must_use]
pub fn quick_target() -> &'static str {
    let mut rustc = Command::new(variable("RUSTC"));
    rustc.args(["--print", "target-libdir", "--target", MUSL]);
    let found = rustc
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok());
    match found {
        Some(dir) if Path::new(dir.trim()).is_dir() => MUSL,
        _ => GNU,
    }
}

/// A binary to be built.
pub struct Binary<'a> {
    /// Its package.
    pub package: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Features of the package to be turned on.
    pub features: &'a [&'a str],
    /// The target: [`GNU`] or what [`quick_target`] says.
    pub target: &'a str,
    /// The profile, which also names the target directory.
    pub profile: &'a str,
    /// Flags for rustc, instead of those in the workspace's configuration.
    pub flags: &'a [String],
    /// Paths from the workspace's root; a change in one of them builds the binary anew.
    pub sources: &'a [&'a str],
}

/// The workspace's root, for a package `depth` directories below it.
#[must_use]
pub fn workspace_root(depth: usize) -> PathBuf {
    let here = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(depth).unwrap_or(&here).to_owned()
}

/// Builds a binary and leaves it in the build script's output directory under `file`. Ends the
/// build script with an error that cargo shows if that does not work.
pub fn embed(root: &Path, binary: &Binary<'_>, file: &str) {
    for source in binary.sources.iter().chain(&["Cargo.toml", "Cargo.lock"]) {
        println!("cargo::rerun-if-changed={}", root.join(source).display());
    }
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(variable("OUT_DIR"));
    let target_dir = target_root(&out).join(binary.profile);
    build(root, binary, &target_dir);
    let built = target_dir
        .join(binary.target)
        .join(binary.profile)
        .join(binary.name);
    if let Err(error) = fs::copy(&built, out.join(file)) {
        fail(&format!("cannot copy {}: {error}", built.display()));
    }
}

/// The target directory in which all this began: the outermost that bears cargo's cache tag.
fn target_root(out: &Path) -> &Path {
    let tagged = |dir: &&Path| dir.join("CACHEDIR.TAG").exists();
    out.ancestors().filter(tagged).last().unwrap_or(out)
}

fn build(root: &Path, binary: &Binary<'_>, target_dir: &Path) {
    let mut cargo = Command::new(variable("CARGO"));
    cargo
        .current_dir(root)
        .args(["build", "--package", binary.package, "--bin", binary.name])
        .args(["--profile", binary.profile, "--target", binary.target])
        .args(["--features", &binary.features.join(",")])
        .arg("--target-dir")
        .arg(target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", binary.flags.join("\x1f"));
    // What the outer run was told is not for the inner one: not its flags, nor clippy in rustc's
    // place.
    for name in [
        "RUSTFLAGS",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "CARGO_TARGET_DIR",
    ] {
        cargo.env_remove(name);
    }
    match cargo.status() {
        Ok(status) if status.success() => {}
        Ok(status) => fail(&format!("{} does not build: {status}", binary.name)),
        Err(error) => fail(&format!("cargo does not run: {error}")),
    }
}

/// An environment variable that cargo sets for build scripts.
#[must_use]
pub fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| fail(&format!("{name} is not set: cargo runs this")))
}

/// Ends the build script with an error that cargo shows.
pub fn fail(why: &str) -> ! {
    println!("cargo::error={why}");
    exit(1)
}
