//! What went wrong, as a user is told: one sentence of what, one of what to do.

use std::fmt::Display;
use std::process::ExitCode;

use anstream::eprintln;
use serde::{Deserialize, Serialize};

use crate::exit_code::Code;

/// An end that is not the program's.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Failure {
    code: Code,
    what: String,
    hint: Option<String>,
}

/// The result of a command.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// A failure with its exit code.
    pub(crate) fn new(code: Code, what: impl Display) -> Self {
        Self {
            code,
            what: what.to_string(),
            hint: None,
        }
    }

    /// Something that was asked for could not be done.
    pub(crate) fn failed(what: impl Display) -> Self {
        Self::new(Code::Failed, what)
    }

    /// The host or unicell itself failed.
    pub(crate) fn internal(what: impl Display) -> Self {
        Self::new(Code::Internal, what)
    }

    /// What went wrong, without what to do.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// Adds what to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Tells the user, and gives the process's exit code.
    pub(crate) fn report(&self) -> ExitCode {
        eprintln!("{RED}unicell:{RESET} {}", shown(self.what.trim_end()));
        if let Some(hint) = &self.hint {
            eprintln!("{BOLD}hint:{RESET} {hint}");
        }
        ExitCode::from(self.code as u8)
    }
}

/// What a terminal may be sent of a sentence that names what stands in files.
fn shown(text: &str) -> String {
    let is_command = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match is_command(c) {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown
}

// `anstream` drops these where standard error is no terminal.
const RED: &str = "\x1b[1;31m";
const BOLD: &str = "\x1b[1m";
const RESET: &str = "\x1b[0m";

/// A warning to the user.
pub(crate) fn warn(what: impl Display) {
    eprintln!("{BOLD}warning:{RESET} {what}");
}
