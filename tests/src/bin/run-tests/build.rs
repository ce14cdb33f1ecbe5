//! Building all that the phases run, once.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use serde::Deserialize;
use unicell_tests::boxes::repository;

/// A failure to build, after the tool's own words.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    /// The tool is absent.
    #[error("{tool} does not start: {source}")]
    Start {
        tool: &'static str,
        source: std::io::Error,
    },
    /// The tool said no; it has printed why.
    #[error("{0} failed")]
    Failed(&'static str),
    /// No binary by the name of `unicell` came out.
    #[error("the workspace builds no unicell")]
    NoUnicell,
}

/// One test binary.
#[derive(Debug)]
pub(crate) struct Test {
    /// Package and target, as in `unicell-tests vm`.
    pub(crate) name: String,
    pub(crate) executable: PathBuf,
    /// The package's folder, which its tests expect to run in.
    pub(crate) directory: PathBuf,
    /// Whether it needs /dev/kvm: an integration test by the name of `vm*`.
    pub(crate) needs_kvm: bool,
}

/// All test binaries of the workspace, and what they test.
#[derive(Debug)]
pub(crate) struct Tests {
    pub(crate) binaries: Vec<Test>,
    pub(crate) unicell: PathBuf,
}

impl Tests {
    pub(crate) fn of_vms(&self) -> Vec<&Test> {
        self.binaries.iter().filter(|test| test.needs_kvm).collect()
    }

    pub(crate) fn of_units(&self) -> Vec<&Test> {
        self.binaries
            .iter()
            .filter(|test| !test.needs_kvm)
            .collect()
    }
}

/// What is read of cargo's messages, as cargo's book on external tools has it.
#[derive(Deserialize)]
struct Message {
    reason: String,
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
    executable: Option<PathBuf>,
    profile: Option<Profile>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// Builds the workspace and its tests.
pub(crate) fn build() -> Result<Tests, BuildError> {
    println!("==> build");
    let mut unicell = None;
    for message in cargo(&["build", "--workspace"])? {
        let is_unicell = message
            .target
            .as_ref()
            .is_some_and(|target| target.name == "unicell");
        if is_unicell && message.executable.is_some() {
            unicell = message.executable;
        }
    }
    let mut binaries: Vec<_> = cargo(&["test", "--workspace", "--no-run"])?
        .into_iter()
        .filter(|message| message.profile.as_ref().is_some_and(|profile| profile.test))
        .filter_map(Message::into_test)
        .collect();
    // Cargo reports them in the order in which they happened to finish.
    binaries.sort_by(|a: &Test, b: &Test| a.name.cmp(&b.name));
    Ok(Tests {
        binaries,
        unicell: unicell.ok_or(BuildError::NoUnicell)?,
    })
}

/// Builds the boxes and the services that VM tests run.
pub(crate) fn boxes(tests: &Tests) -> Result<(), BuildError> {
    // Most of this is waiting for Debian's servers, so it goes on beside the others.
    let debian = "tests/debian/minbase/build";
    let mut command = Command::new(repository().join(debian));
    let bootstrap = command.spawn().map_err(|source| BuildError::Start {
        tool: debian,
        source,
    });
    for tool in ["tests/debian/build", "images/examples/build"] {
        let mut command = Command::new(repository().join(tool));
        // The examples are packed by what is tested.
        succeed(tool, command.env("UNICELL", &tests.unicell))?;
    }
    let status = bootstrap?.wait();
    ended_well(debian, status)
}

fn succeed(tool: &'static str, command: &mut Command) -> Result<(), BuildError> {
    ended_well(tool, command.status())
}

fn ended_well(tool: &'static str, status: std::io::Result<ExitStatus>) -> Result<(), BuildError> {
    let status = status.map_err(|source| BuildError::Start { tool, source })?;
    if status.success() {
        Ok(())
    } else {
        Err(BuildError::Failed(tool))
    }
}

fn cargo(arguments: &[&str]) -> Result<Vec<Message>, BuildError> {
    let output = cargo_command()
        .args(arguments)
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output()
        .map_err(|source| BuildError::Start {
            tool: "cargo",
            source,
        })?;
    if !output.status.success() {
        return Err(BuildError::Failed("cargo"));
    }
    let lines = output.stdout.split(|&byte| byte == b'\n');
    // Test programs and build scripts may print lines of their own.
    let messages = lines.filter_map(|line| serde_json::from_slice::<Message>(line).ok());
    Ok(messages
        .filter(|message| message.reason == "compiler-artifact")
        .collect())
}

/// Cargo, at the root of the workspace.
pub(crate) fn cargo_command() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(repository());
    command
}

impl Message {
    fn into_test(self) -> Option<Test> {
        let (target, executable) = (self.target?, self.executable?);
        let directory = self.manifest_path?.parent()?.to_path_buf();
        let package = directory.strip_prefix(repository()).map_or_else(
            |_| directory.display().to_string(),
            |inside: &Path| inside.display().to_string(),
        );
        let needs_kvm =
            target.kind.iter().any(|kind| kind == "test") && target.name.starts_with("vm");
        Some(Test {
            name: format!("{package} {}", target.name),
            executable,
            directory,
            needs_kvm,
        })
    }
}
