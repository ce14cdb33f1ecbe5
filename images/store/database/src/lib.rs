//! What the errors of the embedded database (redb) mean.
//!
//! **For**: the two that keep something in one, the record of the gateway and the index of the store:
//! which of its errors say that another process has the file, and which that the file is damaged, is
//! decided here for both.
//!
//! **Not for**: what is in a database, and what its owner tells the user.
//!
//! The database also panics at some damage: whoever must not, has a process of its own look first.

use std::io;

use redb::{Database, DatabaseError, StorageError};

/// What an error of the database says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Another process has it open.
    Busy,
    /// It does not hold what was written to it.
    Damaged,
    /// Anything else: the error itself says what.
    Other,
}

impl Meaning {
    /// What this error says.
    #[must_use]
    pub fn of(error: &DatabaseError) -> Self {
        match error {
            DatabaseError::DatabaseAlreadyOpen => Self::Busy,
            DatabaseError::Storage(StorageError::Corrupted(_)) => Self::Damaged,
            // It is no database, or was cut off.
            DatabaseError::Storage(StorageError::Io(error))
                if error.kind() == io::ErrorKind::InvalidData =>
            {
                Self::Damaged
            }
            _ => Self::Other,
        }
    }
}

/// Compares all that a database holds with its checksums: after an orderly end it believes what it
/// finds when it is opened.
///
/// # Errors
///
/// It cannot be read. What is not as it was written is no error, but the answer `false`.
///
/// # Panics
///
/// At some damage: the database does.
pub fn is_whole(database: &mut Database) -> Result<bool, DatabaseError> {
    match database.check_integrity() {
        Err(error) if Meaning::of(&error) == Meaning::Damaged => Ok(false),
        compared => compared,
    }
}

/// Makes each error of the database, of which every call has a type of its own, one variant of an
/// error that has a `Box<redb::Error>` in it.
#[macro_export]
macro_rules! from_redb {
    ($error:ident::$variant:ident) => {
        $crate::from_redb!(
            $error::$variant: DatabaseError, TransactionError, TableError, StorageError, CommitError
        );
    };
    ($error:ident::$variant:ident: $($from:ident),*) => {$(
        impl From<::redb::$from> for $error {
            fn from(error: ::redb::$from) -> Self {
                Self::$variant(Box::new(error.into()))
            }
        }
    )*};
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_use_or_no_database_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("database");
        let meaning = |opened: Result<Database, _>| Meaning::of(&opened.map(drop).unwrap_err());
        let mut database = Database::create(&path).unwrap();
        assert!(is_whole(&mut database).unwrap());
        assert_eq!(meaning(Database::create(&path)), Meaning::Busy);
        drop(database);
        std::fs::write(&path, [b'x'; 8192]).unwrap();
        assert_eq!(meaning(Database::create(&path)), Meaning::Damaged);
        let absent = folder.path().join("absent");
        assert_eq!(meaning(Database::open(absent)), Meaning::Other);
    }
}
