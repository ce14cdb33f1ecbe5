//! The warnings.

use std::fmt;

use serde::Serialize;

use crate::tree::{ResolveError, display};

/// Something to be told about a box. Paths are in the box.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Warning {
    /// The entrypoint leads to nothing.
    EntrypointMissing {
        /// The entrypoint.
        path: String,
        /// Why.
        #[serde(skip)]
        reason: ResolveError,
    },
    /// The entrypoint is not a regular file.
    EntrypointNotFile {
        /// The entrypoint.
        path: String,
    },
    /// The entrypoint has no execute permission.
    EntrypointNotExecutable {
        /// The entrypoint.
        path: String,
    },
    /// The entrypoint is neither an ELF program nor begins with `#!`.
    EntrypointNotProgram {
        /// The entrypoint.
        path: String,
    },
    /// The working directory is not there.
    WorkdirMissing {
        /// The working directory.
        path: String,
    },
    /// A set-user-id or set-group-id file.
    SetId {
        /// The file.
        path: String,
    },
    /// A device node.
    Device {
        /// The node.
        path: String,
    },
    /// A socket of the host, left out.
    Socket {
        /// Where it was.
        path: String,
    },
    /// An absolute link to nothing in the box.
    DanglingLink {
        /// The link.
        path: String,
        /// What it says.
        target: String,
    },
    /// An ELF file for another architecture.
    Architecture {
        /// The file.
        path: String,
        /// What it is for.
        machine: String,
    },
    /// An ELF file that cannot be understood.
    BrokenElf {
        /// The file.
        path: String,
    },
    /// A program's dynamic linker is not in the box.
    InterpreterMissing {
        /// The program.
        path: String,
        /// The linker's path.
        interpreter: String,
    },
    /// A library is not where a program's dynamic linker will look.
    LibraryMissing {
        /// The program.
        path: String,
        /// The library's name.
        library: String,
        /// The file that needs it: the program, or one of its libraries.
        needed_by: String,
    },
}

impl Warning {
    pub(crate) fn socket(path: &[u8]) -> Self {
        Self::Socket {
            path: display(path),
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EntrypointMissing { path, reason } => {
                write!(f, "the entrypoint {path} is not in the box: {reason}")
            }
            Self::EntrypointNotFile { path } => {
                write!(f, "the entrypoint {path} is not a regular file")
            }
            Self::EntrypointNotExecutable { path } => {
                write!(f, "the entrypoint {path} has no execute permission")
            }
            Self::EntrypointNotProgram { path } => {
                write!(
                    f,
                    "the entrypoint {path} is neither an ELF program nor a `#!` script"
                )
            }
            Self::WorkdirMissing { path } => {
                write!(f, "the working directory {path} is not in the box")
            }
            Self::SetId { path } => {
                write!(
                    f,
                    "{path} is set-user-id or set-group-id, which means nothing in a box"
                )
            }
            Self::Device { path } => {
                write!(
                    f,
                    "{path} is a device node; a box has the devices of its own /dev only"
                )
            }
            Self::Socket { path } => write!(f, "{path} is a socket and was left out"),
            Self::DanglingLink { path, target } => {
                write!(f, "{path} is a link to {target}, which is not in the box")
            }
            Self::Architecture { path, machine } => {
                write!(f, "{path} is for {machine}, not for x86-64")
            }
            Self::BrokenElf { path } => write!(f, "{path} is a damaged ELF file"),
            Self::InterpreterMissing { path, interpreter } => {
                write!(
                    f,
                    "{path} needs the dynamic linker {interpreter}, which is not in the box"
                )
            }
            Self::LibraryMissing {
                path,
                library,
                needed_by,
            } if path == needed_by => {
                write!(
                    f,
                    "{path} needs {library}, which is not where it will be looked for"
                )
            }
            Self::LibraryMissing {
                path,
                library,
                needed_by,
            } => write!(
                f,
                "{path} needs {library} (by way of {needed_by}), which is not where it will be \
                 looked for"
            ),
        }
    }
}
