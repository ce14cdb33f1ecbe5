//! Builds the process of an instance and embeds it, with its hash to know it by.

use std::path::Path;
use std::{env, fs};

use unicell_build::{Binary, embed, fail, quick_target, workspace_root};

const FILE: &str = "unicell-vmm";

fn main() {
    let binary = Binary {
        package: "unicell-vmm-process",
        name: "unicell-vmm",
        features: &[],
        target: quick_target(),
        profile: "instance",
        flags: &["-Ctarget-feature=+crt-static".to_owned()],
        sources: &[
            "guest-abi",
            "images/kernel",
            "images/kernel-image",
            "tools/unicell-vmm",
            "vmm",
        ],
    };
    embed(&workspace_root(2), &binary, FILE);
    let out = env::var("OUT_DIR").unwrap_or_else(|_| fail("OUT_DIR is not set: cargo runs this"));
    match fs::read(Path::new(&out).join(FILE)) {
        Ok(bytes) => println!("cargo::rustc-env=UNICELL_VMM_HASH={}", blake3::hash(&bytes)),
        Err(error) => fail(&format!("cannot read what was built: {error}")),
    }
}
