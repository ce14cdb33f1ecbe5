//! The package: a service in one file, ready to be run.
//!
//! Page 0 is the header, then come the manifest as canonical JSON, the
//! specification with hashes in place of the contents of files, zeros up to
//! the next page, and the EROFS image, which ends the file and holds the
//! contents. Offsets and hashes are told in `docs/package.md` and written in
//! `header.rs` only.
//!
//! Every byte counts: the header is under its own hash, the other parts under
//! hashes in the header, all padding must be zero, and the file ends where the
//! image does. And the parts must agree: the image is the one that the
//! specification gives, the manifest says what it says, and its canonical form
//! has the id in the header. [`Package::open`] checks header and manifest, in a
//! time that depends on nothing else; [`Package::verify`] checks the rest.

mod header;
mod open;
mod pack;
mod verify;
mod write;

pub(crate) use header::MAGIC;
pub use open::{OpenError, Package, Part};
pub use pack::{
    MANIFEST_NAME, ManifestSource, PackError, PackOptions, Packed, pack_directory, pack_path,
    pack_tar,
};
pub use write::{Phase, Progress, Sizes, WritePackageError, Written, write};
