//! What can go wrong.

use std::io;
use std::path::{Path, PathBuf};

use unicell_service::encoding::{DecodeError, EncodeError};
use unicell_service::erofs;
use unicell_service::spec::ServiceId;
use unicell_service::tree::TreeError;
use unicell_service::wire::WireError;

/// A store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The host refused.
    #[error("{path}: {source}")]
    Io {
        /// What was read or written.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another process has it open.
    #[error("the store {0} is used by another process")]
    Busy(PathBuf),
    /// There are services, but no index that knows them.
    #[error("the store {0} has services but no index: put its index.redb back")]
    NoIndex(PathBuf),
    /// The index does not hold what was written to it.
    #[error("the index of the store {0} is damaged: put back a copy of its index.redb")]
    BadIndex(PathBuf),
    /// The database refused.
    #[error("the index of the store: {0}")]
    Index(#[source] Box<redb::Error>),
    /// A record in the index is none.
    #[error("the index of the store is damaged: the record of {0} cannot be read")]
    Record(String),
    /// There is no such service.
    #[error("there is no service {0} in the store")]
    NotFound(String),
    /// A reference that fits several services.
    #[error("{0} begins the ids of several services: write more of it")]
    Ambiguous(String),
    /// Not a name that a service can have here.
    #[error(
        "`{0}` cannot be a tag: write 1 to 128 letters, digits and `._/:-`, beginning with a \
         letter, and not 64 hexadecimal digits"
    )]
    BadTag(String),
    /// What came is not what was asked for.
    #[error("the service has the id {found}, but {expected} was asked for: it was dropped")]
    WrongId {
        /// What was asked for.
        expected: ServiceId,
        /// What it is.
        found: ServiceId,
    },
    /// What came is no service.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The service cannot be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The service's files cannot be a box.
    #[error("the files of the service cannot be a box: {0}")]
    Tree(#[from] TreeError),
    /// The box image cannot be built.
    #[error("the box image of {id} cannot be built: {source}")]
    Image {
        /// The service.
        id: ServiceId,
        /// Why not.
        source: erofs::WriteError,
    },
    /// It is held: an instance runs from it.
    #[error("the service {0} is in use")]
    InUse(ServiceId),
    /// What is kept is not what was put.
    #[error("{what} of the service {id} is damaged: check the store")]
    Damaged {
        /// The service.
        id: ServiceId,
        /// What of it.
        what: &'static str,
    },
    /// Its kept specification is not readable.
    #[error("the specification of the service {id} is damaged: {source}")]
    Specification {
        /// The service.
        id: ServiceId,
        /// What is wrong with it.
        source: WireError,
    },
}

/// A result of this crate.
pub(crate) type Result<T> = std::result::Result<T, StoreError>;

/// For `map_err`: an error of the host about `path`.
pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> StoreError + use<> {
    let path = path.to_owned();
    move |source| StoreError::Io { path, source }
}

unicell_database::from_redb!(StoreError::Index);
