//! Builds the guest kernel: another profile and other flags than whoever embeds it.

use unicell_build::{Binary, GNU, embed, workspace_root};

fn main() {
    let root = workspace_root(2);
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
    let kernel = Binary {
        package: "unicell-kernel",
        name: "unicell-kernel",
        features: &["image"],
        target: GNU,
        profile: "kernel",
        flags: &flags,
        sources: &["images/kernel", "guest-abi"],
    };
    embed(&root, &kernel, "kernel.elf");
}
