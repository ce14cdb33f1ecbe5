//! .
pub mod check;
pub mod erofs;
pub mod inspect;
pub mod manifest;
pub mod package;
pub mod tree;
pub mod verified;
