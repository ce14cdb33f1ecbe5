//! The hosts that tests run on, and what differs between them.

use std::io::Write;

/// The variable by which the runner names the host to a test.
pub const HOST_VARIABLE: &str = "UNICELL_TEST_HOST";

/// A kind of machine that the tests run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// This machine, with the `/dev/kvm` it has.
    Local,
    /// A machine with AMD's SVM, emulated by QEMU: right about behaviour,
    /// some twenty to fifty times slower.
    Svm,
}

impl Host {
    /// The name by which command line and output speak of it.
    pub fn name(self) -> &'static str {
        match self {
            Host::Local => "local",
            Host::Svm => "svm",
        }
    }

    /// The host that this process runs on, by [`HOST_VARIABLE`].
    ///
    /// # Panics
    ///
    /// When the variable names no host.
    pub fn current() -> Host {
        match std::env::var(HOST_VARIABLE).as_deref() {
            Err(_) | Ok("local") => Host::Local,
            Ok("svm") => Host::Svm,
            Ok(other) => panic!("{HOST_VARIABLE} is {other}, which is neither local nor svm"),
        }
    }
}

/// How many times to do something: as often as is wanted on a real host, and
/// seldom enough to end within minutes on an emulated one. Only counts may
/// differ between hosts, never what is required of each.
pub fn scale<T>(local: T, svm: T) -> T {
    match Host::current() {
        Host::Local => local,
        Host::Svm => svm,
    }
}

/// Whether a test would take too long in emulation: then it says so, and the caller returns. Only
/// for large programs that show nothing of the VMM which smaller ones do not show.
pub fn too_long_here() -> bool {
    let emulated = Host::current() == Host::Svm;
    if emulated {
        skip("too long in emulation");
    }
    emulated
}

/// Says that the calling test cannot run here; the caller returns after it.
/// The runner lists the reason and counts the test as skipped, not as passed.
pub fn skip(reason: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    // Not by eprintln, which the harness captures when a test passes.
    let line = format!("{SKIPPED}{test}: {reason}\n");
    std::io::stderr()
        .write_all(line.as_bytes())
        .expect("stderr takes a line");
}

/// What a line of [`skip`] begins with.
pub const SKIPPED: &str = "skipped ";
