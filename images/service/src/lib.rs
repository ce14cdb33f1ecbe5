//! What a service is, and its box: from a directory, a tar or a container's
//! image to one package file, and back to what a virtual machine needs of it.
//!
//! # For
//!
//! - [`spec`]: the model of a service, and its id;
//! - [`encoding`]: a service as proto3, JSON, or JSON in a zip;
//! - [`wire`]: the canonical form, written and read;
//! - [`tree`]: the file tree of a box, from a directory or a tar;
//! - [`manifest`]: what is to be run in it (`service.toml`);
//! - [`erofs`]: the tree as an EROFS image;
//! - [`package`]: manifest and image in one file, packed and opened;
//! - [`verified`]: so that only the first start of a package reads all of it;
//! - [`check`]: warnings about what will probably not work;
//! - [`inspect`]: a package as people and programs may want to see it.
//!
//! # Not for
//!
//! Running anything (`unicell-vmm`), reading images in the guest (its kernel
//! does, in place), keeping packages (a store's task). Nothing here prints.
//!
//! # Invariants
//!
//! - The same tree and manifest give the same bytes: no time, no path of the
//!   host, no order of directory entries, no random number goes in.
//! - What comes from outside (trees, tars, ELF files, packages, records) is
//!   bounded and validated before it is used; errors name the entry or the
//!   part that is at fault.
//! - A package of which any byte was changed is not opened and verified.
//! - Opening a verified package takes a time that does not depend on the size
//!   of its image.
//!
//! Formats and rules are in `docs/package.md`.

pub mod check;
pub mod encoding;
pub mod erofs;
pub mod inspect;
pub mod manifest;
pub mod package;
pub mod spec;
pub mod tree;
pub mod verified;
pub mod wire;
