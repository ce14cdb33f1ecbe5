//! Where a node keeps what it keeps, and where it listens.

use std::env;
use std::io;
use std::path::PathBuf;

/// The directory of the node's state: `/var/lib/unicell` for root, else under the user's own.
///
/// # Errors
///
/// The user has no directory of their own.
pub(crate) fn state() -> io::Result<PathBuf> {
    if is_root() {
        return Ok("/var/lib/unicell".into());
    }
    let own = |name: &str| absolute(env::var_os(name)?.into());
    own("XDG_STATE_HOME")
        .or_else(|| Some(own("HOME")?.join(".local/state")))
        .map(|base| base.join("unicell"))
        .ok_or_else(|| io::Error::other("neither XDG_STATE_HOME nor HOME names a directory"))
}

/// The node's Unix socket: in the runtime directory if there is one, else beside its state.
///
/// # Errors
///
/// As [`state`].
pub(crate) fn socket() -> io::Result<PathBuf> {
    if is_root() {
        return Ok("/run/unicell/node.sock".into());
    }
    match env::var_os("XDG_RUNTIME_DIR").and_then(|path| absolute(path.into())) {
        Some(base) => Ok(base.join("unicell/node.sock")),
        None => Ok(state()?.join("node.sock")),
    }
}

fn absolute(path: PathBuf) -> Option<PathBuf> {
    path.is_absolute().then_some(path)
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
