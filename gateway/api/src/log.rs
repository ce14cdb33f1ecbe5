//! What programs print.

use serde::{Deserialize, Serialize};

/// Where a text came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Source {
    /// The program's standard output.
    Stdout,
    /// The program's standard error.
    Stderr,
    /// The guest kernel.
    Kernel,
}

/// A piece of what was printed: a line of the stream of logs. It ends where the
/// program's write, or the room for it, ended; it need not be a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct LogEntry {
    /// When the node read it, milliseconds since 1970.
    pub time_ms: u64,
    /// Where it came from.
    pub source: Source,
    /// Bytes that came before this in the log and are gone, since it is bounded
    /// or the reader was too slow.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missed: u64,
    /// What. Bytes that are not UTF-8 are replaced.
    pub text: String,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
