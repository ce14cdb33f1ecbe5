//! One program of a box, run natively and in a micro-VM, and the two compared.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::boxes::{Tree, unicell};
use crate::process::{Outcome, finish};

/// A program of a box, with all that it is given.
#[derive(Clone, Debug)]
pub struct Run {
    tree: Tree,
    program: String,
    arguments: Vec<OsString>,
    // Ordered, as std::process::Command orders it: natively and in a guest alike.
    environment: BTreeMap<String, String>,
    workdir: String,
    input: Vec<u8>,
    options: Vec<OsString>,
    package: Option<PathBuf>,
}

impl Run {
    /// The program at this absolute path of the box, with no arguments, the
    /// working directory `/`, an empty stdin and a small fixed environment.
    pub fn new(tree: &Tree, program: &str) -> Run {
        let environment = [("PATH", "/usr/bin:/bin"), ("HOME", "/"), ("LC_ALL", "C")];
        Run {
            tree: tree.clone(),
            program: program.into(),
            arguments: Vec::new(),
            environment: environment
                .map(|(key, value)| (key.into(), value.into()))
                .into(),
            workdir: "/".into(),
            input: Vec::new(),
            options: Vec::new(),
            package: None,
        }
    }

    /// Sets the package that the guest runs, in place of one made of the tree.
    #[must_use]
    pub fn package(mut self, package: &Path) -> Run {
        self.package = Some(package.into());
        self
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<OsString>) -> Run {
        self.arguments.push(argument.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<T: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = T>) -> Run {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Adds a variable to the environment.
    #[must_use]
    pub fn env(mut self, key: &str, value: &str) -> Run {
        self.environment.insert(key.into(), value.into());
        self
    }

    /// Sets the working directory, an absolute path of the box.
    #[must_use]
    pub fn workdir(mut self, directory: &str) -> Run {
        self.workdir = directory.into();
        self
    }

    /// Sets what stdin holds.
    #[must_use]
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Run {
        self.input = bytes.into();
        self
    }

    /// Adds options for `unicell run`, such as `--memory` and its value;
    /// native runs ignore them.
    #[must_use]
    pub fn options<T: Into<OsString>>(mut self, options: impl IntoIterator<Item = T>) -> Run {
        self.options.extend(options.into_iter().map(Into::into));
        self
    }

    /// Runs it on this machine's own kernel, with the box as its root (writes
    /// go to memory and are forgotten).
    pub fn native(&self) -> Outcome {
        finish(self.native_command(), &self.input)
    }

    /// The command of [`Run::native`], not yet started.
    pub fn native_command(&self) -> Command {
        // Namespaces of its own, furnished by the helper.
        let mut command = Command::new("unshare");
        command
            .arg("-imnu")
            .arg(native_helper())
            .arg(self.tree.path())
            .arg(&self.workdir);
        command.arg(&self.program).args(&self.arguments);
        command.env_clear().envs(&self.environment);
        command
    }

    /// The box.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Runs it in a micro-VM, by `unicell run`.
    pub fn guest(&self) -> Outcome {
        finish(self.command(), &self.input)
    }

    /// The `unicell run` command of [`Run::guest`], not yet started.
    pub fn command(&self) -> Command {
        let mut command = Command::new(unicell());
        let package = self.package.clone();
        command
            .arg("run")
            .arg(package.unwrap_or_else(|| self.tree.package()))
            .args(&self.options);
        command.args(["--entrypoint", &self.program, "--workdir", &self.workdir]);
        for (key, value) in &self.environment {
            command.arg("--env").arg(format!("{key}={value}"));
        }
        command.arg("--").args(&self.arguments);
        command
    }

    /// Runs it both ways, requires the same output and exit code, and returns
    /// that outcome.
    ///
    /// # Panics
    ///
    /// When the two differ, showing where.
    #[track_caller]
    pub fn same(&self) -> Outcome {
        let (native, guest) = (self.native(), self.guest());
        assert_same(
            &native,
            &guest,
            &format!("{} {:?}", self.program, self.arguments),
        );
        native
    }
}

pub(crate) fn native_helper() -> PathBuf {
    // Built beside `unicell` and the tests.
    unicell_directory().join("run-in-tree")
}

fn unicell_directory() -> PathBuf {
    let test = std::env::current_exe().expect("a process knows its executable");
    let found = test
        .ancestors()
        .skip(1)
        .find(|dir| dir.join("run-in-tree").is_file());
    found
        .unwrap_or_else(|| panic!("no run-in-tree beside {}", test.display()))
        .into()
}

/// Requires that the guest did what the program does natively.
///
/// A program that a signal ended leaves its stderr to the guest's first lines:
/// `unicell` says after them what happened.
///
/// # Panics
///
/// When they differ, with the first lines that do.
#[track_caller]
pub fn assert_same(native: &Outcome, guest: &Outcome, what: &str) {
    let killed = native.code > 128;
    let stderr_same = if killed {
        guest.stderr.starts_with(&native.stderr)
    } else {
        guest.stderr == native.stderr
    };
    if native.code == guest.code && native.stdout == guest.stdout && stderr_same {
        return;
    }
    let mut report = format!("{what}: guest differs from native\n");
    if native.code != guest.code {
        report += &format!("exit code: native {}, guest {}\n", native.code, guest.code);
    }
    report += &difference("stdout", &native.out(), &guest.out());
    report += &difference("stderr", &native.err(), &guest.err());
    panic!("{report}");
}

/// The first line in which two texts differ, with what follows it.
fn difference(stream: &str, native: &str, guest: &str) -> String {
    const SHOWN: usize = 12;
    if native == guest {
        return String::new();
    }
    let same = native
        .lines()
        .zip(guest.lines())
        .take_while(|(a, b)| a == b)
        .count();
    let rest = |text: &str| {
        let lines: Vec<_> = text
            .lines()
            .skip(same)
            .take(SHOWN)
            .map(|line| format!("    {line}\n"))
            .collect();
        if lines.is_empty() {
            "    (ends here)\n".into()
        } else {
            lines.concat()
        }
    };
    format!(
        "{stream} differs from line {}\n  native:\n{}  guest:\n{}",
        same + 1,
        rest(native),
        rest(guest)
    )
}
