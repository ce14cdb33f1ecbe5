//! What is said of a service from outside: never part of its identity.

use super::{Contract, Descriptor, Hash};
use crate::wire::message;

message! {
    /// Metadata.
    #[derive(PartialEq, Eq)]
    pub struct Metadata {
        /// Hashes and names.
        1 hashtag: Option<HashTag>,
        /// The format of what it goes with.
        2 format: Option<Descriptor>,
        /// Records on ledgers that speak for it.
        3 reputation_proofs: Vec<Contract>,
    }
}

message! {
    /// Hashes and names.
    #[derive(PartialEq, Eq)]
    pub struct HashTag {
        /// Hashes of the canonical form.
        1 hash: Vec<Hash>,
        /// Names.
        2 tag: Vec<String>,
        /// The same for parts of it.
        3 attributes: Vec<AttributeTag>,
    }
}

message! {
    /// Hashes and names of the values of one field.
    #[derive(PartialEq, Eq)]
    pub struct AttributeTag {
        /// The field's number.
        1 key: u32,
        /// One for each value.
        2 value: Vec<HashTag>,
    }
}
