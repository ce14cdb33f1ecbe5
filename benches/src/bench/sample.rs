//! Measuring one thing once.

use std::process::{Command, Stdio};
use std::time::Instant;

/// Why something could not be measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// What is measured, or with what, is not on this machine.
    #[error("not installed")]
    NotInstalled,
    /// It did not start.
    #[error("{program} does not start: {source}")]
    Start {
        /// What was to be started.
        program: String,
        /// Why not.
        source: std::io::Error,
    },
    /// It ended otherwise than it should.
    #[error("{what}")]
    Ended {
        /// How, with its last words.
        what: String,
    },
    /// The host's files do not say what they should.
    #[error("{0}")]
    Host(String),
}

/// A measurement: nanoseconds, or bytes.
pub(crate) type Sample = Result<f64, Failure>;

/// Nanoseconds from a command's start to its end.
pub(crate) fn duration(command: &mut Command) -> Sample {
    let start = Instant::now();
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let took = start.elapsed();
    match status {
        Ok(status) if status.success() => Ok(took.as_nanos() as f64),
        Ok(_) => Err(explain(command)),
        Err(source) => Err(start_failure(command, source)),
    }
}

/// The number that a command prints last, on the stream of the two that it uses for that.
pub(crate) fn number(command: &mut Command, stream: Stream) -> Sample {
    let text = words(command, stream)?;
    let last = text.lines().last().unwrap_or_default().trim();
    last.parse().map_err(|_| Failure::Ended {
        what: format!("no number: {last:?}"),
    })
}

/// Where a command says something.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Out,
    Err,
}

/// What a command says on one stream; the other goes nowhere.
pub(crate) fn words(command: &mut Command, stream: Stream) -> Result<String, Failure> {
    let here = |wanted| {
        if wanted == stream {
            Stdio::piped()
        } else {
            Stdio::null()
        }
    };
    command
        .stdin(Stdio::null())
        .stdout(here(Stream::Out))
        .stderr(here(Stream::Err));
    // `output` would pipe what is not set; both are.
    let output = command
        .output()
        .map_err(|source| start_failure(command, source))?;
    if !output.status.success() {
        return Err(explain(command));
    }
    let bytes = if stream == Stream::Out {
        output.stdout
    } else {
        output.stderr
    };
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

pub(crate) fn start_failure(command: &Command, source: std::io::Error) -> Failure {
    let program = command.get_program().to_string_lossy().into_owned();
    match source.kind() {
        std::io::ErrorKind::NotFound => Failure::NotInstalled,
        _ => Failure::Start { program, source },
    }
}

/// Runs a command that failed once more, for its words.
fn explain(command: &mut Command) -> Failure {
    let output = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output();
    let what = match output {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr);
            let first = text.lines().find(|line| !line.trim().is_empty());
            format!(
                "failed ({}): {}",
                output.status,
                first.unwrap_or("no word of why")
            )
        }
        Err(error) => format!("failed, and then did not start: {error}"),
    };
    Failure::Ended { what }
}
