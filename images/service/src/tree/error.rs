//! What can be wrong with a tree's source.

use std::io;

use super::{MAX_LINKS, MAX_NAME_LEN, MAX_PATH_LEN};

/// A tree could not be built.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// One entry is at fault.
    #[error("{path}: {fault}")]
    Entry {
        /// The entry, as its source names it.
        path: String,
        /// What is wrong with it.
        fault: EntryFault,
    },
    /// The host refused to read something.
    #[error("{path} cannot be read: {source}")]
    Read {
        /// What was read.
        path: String,
        /// Why it could not be.
        source: io::Error,
    },
    /// The tar cannot be understood.
    #[error("the tar is damaged after entry `{after}`: {source}")]
    Tar {
        /// The last entry that was understood, empty at the start.
        after: String,
        /// What the tar reader said.
        source: io::Error,
    },
    /// It has no header of a tar at its start.
    #[error("it is no tar")]
    NoTar,
    /// The tar is compressed.
    #[error("the tar is compressed ({0}); decompress it first")]
    Compressed(&'static str),
}

/// What is wrong with one entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryFault {
    /// A name is empty, `.`, `..`, or holds `/` or NUL.
    #[error("a name in a box may not be empty, `.` or `..`, nor contain `/` or a NUL byte")]
    BadName,
    /// A name is too long.
    #[error("a name in a box has at most {MAX_NAME_LEN} bytes, this has {0}")]
    NameTooLong(usize),
    /// A path is too long.
    #[error("a path in a box has at most {MAX_PATH_LEN} bytes, this has {0}")]
    PathTooLong(usize),
    /// The path climbs out.
    #[error("the path contains `..`, which a box's entry may not")]
    DotDot,
    /// A link's target is empty, too long, or holds NUL.
    #[error("the link's target must have 1 to {MAX_PATH_LEN} bytes and no NUL byte")]
    BadTarget,
    /// Something that is not a directory is used as one.
    #[error("the entry that should hold it is not a directory")]
    ParentNotDirectory,
    /// The root may only be a directory.
    #[error("the root of a box must be a directory")]
    RootNotDirectory,
    /// A hard link's target is not in the tree before it.
    #[error("it is a hard link to `{0}`, which does not come before it")]
    LinkTargetMissing(String),
    /// A directory has one name only.
    #[error("it is a hard link to a directory")]
    LinkToDirectory,
    /// Links in a circle, or too many.
    #[error("more than {MAX_LINKS} symbolic links are followed")]
    TooManyLinks,
    /// A kind of entry that a box does not hold.
    #[error("entries of type `{0}` cannot be packed")]
    UnsupportedType(String),
    /// A file stored with holes.
    #[error("it is stored as a sparse file; create the tar without --sparse")]
    Sparse,
    /// The entry claims bytes that the tar does not have.
    #[error("the tar ends before its {size} bytes of data do")]
    Truncated {
        /// Bytes claimed.
        size: u64,
    },
    /// A field in the tar's header is no number, or out of range.
    #[error("its {0} in the tar is not a valid number")]
    BadNumber(&'static str),
    /// An attribute cannot be kept.
    #[error("its extended attribute `{0}` cannot be kept in a box")]
    BadXattr(String),
    /// Attributes too large.
    #[error("its extended attributes are larger than {limit} bytes")]
    XattrsTooLarge {
        /// The bound.
        limit: usize,
    },
    /// A text that a specification cannot hold.
    #[error("its {0} is not UTF-8, which a specification cannot hold")]
    NotUtf8(&'static str),
    /// Two entries of one directory have one name.
    #[error("another entry has the same name")]
    Duplicate,
    /// An entry that is neither file nor link nor directory.
    #[error("it is neither a file nor a link nor a directory")]
    NoItem,
    /// A link that says it lies elsewhere.
    #[error("it says that it lies at `{0}`")]
    Misplaced(String),
    /// An attribute that cannot be what it is named.
    #[error("its attribute `{0}` is not valid")]
    BadAttribute(&'static str),
    /// A hard link to something that differs.
    #[error("it is a hard link to `{0}`, which is not the same file")]
    LinkDiffers(String),
    /// Contents that are not there any more.
    #[error("its contents cannot be read")]
    Unreadable,
    /// Directories within directories.
    #[error("it lies within more than {limit} directories")]
    TooDeep {
        /// The bound.
        limit: u32,
    },
    /// The tree's bound on inodes.
    #[error("the tree has more than {limit} entries")]
    TooManyEntries {
        /// The bound.
        limit: u32,
    },
    /// The tree's bound on bytes.
    #[error("the tree's files hold more than {limit} bytes")]
    TooManyBytes {
        /// The bound.
        limit: u64,
    },
}

impl EntryFault {
    /// The fault together with the entry it is about.
    pub(crate) fn at(self, path: &[u8]) -> TreeError {
        TreeError::Entry {
            path: super::display(path),
            fault: self,
        }
    }
}
