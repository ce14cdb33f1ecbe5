//! Builds the guest kernel: another profile, other flags, so another run of cargo, in a target
//! directory of its own (the outer run holds the lock of the usual one).

use std::path::{Path, PathBuf};
use std::process::{Command, exit};
use std::{env, fs};

const TARGET: &str = "x86_64-unknown-linux-gnu";

fn main() {
    let here = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let root = here.ancestors().nth(2).unwrap_or(&here).to_owned();
    for part in ["images/kernel", "guest-abi", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", root.join(part).display());
    }
    println!("cargo::rerun-if-changed=build.rs");

    let out = PathBuf::from(variable("OUT_DIR"));
    let target_dir = target_root(&out).join("kernel");
    build(&root, &target_dir);
    let built = target_dir.join(TARGET).join("kernel/unicell-kernel");
    if let Err(error) = fs::copy(&built, out.join("kernel.elf")) {
        fail(&format!("cannot copy {}: {error}", built.display()));
    }
}

/// The outer run's target directory, which bears cargo's cache tag.
fn target_root(out: &Path) -> &Path {
    let tagged = |dir: &&Path| dir.join("CACHEDIR.TAG").exists();
    out.ancestors().find(tagged).unwrap_or(out)
}

fn build(root: &Path, target_dir: &Path) {
    let script = root.join("images/kernel/kernel.ld");
    let flags = [
        "-Crelocation-model=static".to_owned(),
        "-Ccode-model=kernel".to_owned(),
        "-Cforce-frame-pointers=yes".to_owned(),
        "-Ctarget-feature=+crt-static".to_owned(),
        format!("-Clink-arg=-T{}", script.display()),
        "-Clink-arg=-nostdlib".to_owned(),
        "-Clink-arg=-static".to_owned(),
        "-Clink-arg=-no-pie".to_owned(),
        "-Clink-arg=-Wl,--build-id=none".to_owned(),
        "-Clink-arg=-Wl,-z,max-page-size=4096".to_owned(),
        "-Clink-arg=-Wl,-z,noexecstack".to_owned(),
    ];
    let mut cargo = Command::new(variable("CARGO"));
    cargo
        .current_dir(root)
        .args([
            "build",
            "--package",
            "unicell-kernel",
            "--bin",
            "unicell-kernel",
        ])
        .args([
            "--features",
            "image",
            "--profile",
            "kernel",
            "--target",
            TARGET,
        ])
        .arg("--target-dir")
        .arg(target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    // What the outer run was told is not for the kernel: not its flags, nor clippy in rustc's
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
        Ok(status) => fail(&format!("the guest kernel does not build: {status}")),
        Err(error) => fail(&format!("cargo does not run: {error}")),
    }
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| fail(&format!("{name} is not set: cargo runs this")))
}

fn fail(why: &str) -> ! {
    println!("cargo::error={why}");
    exit(1)
}
