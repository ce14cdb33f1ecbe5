//! .
pub mod erofs;
pub mod tree;
