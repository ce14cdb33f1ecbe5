//! Looking at the node's databases before they are used.
//!
//! The database panics at some damage, and a node is built to abort at a panic. So a process of its
//! own opens each database first and has it compare all that it holds with its checksums. What is
//! wrong, or what that process dies of, is told as what it is; the node opens what was found whole,
//! and does not look again.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use rustix::process::{Resource, Rlimit, Signal, setrlimit};
use serde::{Deserialize, Serialize};
use unicell_gateway::record::{Record, RecordError};
use unicell_store::{Store, StoreError};

use crate::failure::{Failure, Result};

/// The node's record, in its state.
pub(super) fn record(state: &Path) -> PathBuf {
    state.join("node.redb")
}

/// The store, in its state.
pub(super) fn store(state: &Path) -> PathBuf {
    state.join("store")
}

/// How the process ends that panics and is not built to abort.
const PANICKED: i32 = 101;

/// Has the databases of a state looked at. What is well when this returns may be opened without
/// another look.
pub(super) fn examine(state: &Path) -> Result<()> {
    let mut look = Command::new("/proc/self/exe");
    look.args(["node", "--examine", "--state"]).arg(state);
    // Of its panic nothing is told but what it means.
    look.stdin(Stdio::null()).stderr(Stdio::null());
    let looked = look.output().map_err(Failure::internal)?;
    if looked.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&looked.stdout);
    let last = said.lines().last().unwrap_or_default();
    match serde_json::from_str(last) {
        Ok(At::Wrong(failure)) => Err(failure),
        Ok(At::Record) if is_panic(looked.status) => {
            Err(explain_record(&RecordError::Damaged(record(state)), state))
        }
        Ok(At::Store) if is_panic(looked.status) => {
            Err(explain_store(&StoreError::BadIndex(store(state))))
        }
        _ => Err(Failure::internal(format!(
            "the process that looks at the databases in {} ended with {}",
            state.display(),
            looked.status
        ))),
    }
}

/// What that process says, a line of JSON each: at what it begins to look, so that it is known of
/// what it died, and what it found wrong.
#[derive(Serialize, Deserialize)]
enum At {
    Record,
    Store,
    Wrong(Failure),
}

fn is_panic(status: ExitStatus) -> bool {
    status.code() == Some(PANICKED) || status.signal() == Some(Signal::ABORT.as_raw())
}

/// Looks at the databases of a state: all that the process does.
pub(super) fn look(state: &Path) -> ExitCode {
    // It may die of what it finds, and that is known then.
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let _ = setrlimit(Resource::Core, none);
    match found(state) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tell(&At::Wrong(failure));
            ExitCode::FAILURE
        }
    }
}

fn found(state: &Path) -> Result<()> {
    tell(&At::Record);
    Record::examine(&record(state)).map_err(|error| explain_record(&error, state))?;
    tell(&At::Store);
    Store::examine(&store(state)).map_err(|error| explain_store(&error))
}

fn tell(at: &At) {
    // It is made of texts alone.
    println!("{}", serde_json::to_string(at).unwrap_or_default());
}

/// What is wrong with the record, and what to do.
pub(super) fn explain_record(error: &RecordError, state: &Path) -> Failure {
    let failure = Failure::failed(error);
    match error {
        RecordError::Busy(_) => {
            failure.hint(format!("is another node running in {}?", state.display()))
        }
        RecordError::Damaged(_) => failure.hint(
            "put back a copy; without one, move it away and start again: no token is valid then, \
             and revocations, and networks that were set by `unicell network`, are forgotten",
        ),
        _ => failure,
    }
}

/// What is wrong with the store, and what to do.
pub(super) fn explain_store(error: &StoreError) -> Failure {
    let failure = Failure::failed(error);
    match error {
        StoreError::BadIndex(_) | StoreError::NoIndex(_) => failure.hint(
            "without a copy, move the store away and import the services again: they have the same ids",
        ),
        _ => failure,
    }
}
