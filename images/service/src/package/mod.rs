//! The package: a box in one file.
//!
//! Page 0 is the header, then come the manifest as canonical JSON, zeros up to
//! the next page, and the EROFS image, which ends the file. Offsets and hashes
//! are told in `docs/package.md` and written in `header.rs` only.
//!
//! Every byte counts: the header is under its own hash, the manifest and the
//! image under hashes in the header, all padding must be zero, and the file
//! ends where the image does. [`Package::open`] checks all but the image's
//! hash, in a time that does not depend on the image's size;
//! [`Package::verify_image`] checks that.

mod header;
mod open;
mod pack;

pub use header::{BadPackageId, PackageId};
pub use open::{OpenError, Package, Part};
pub use pack::{
    MANIFEST_NAME, ManifestSource, PackError, PackOptions, Packed, Phase, Progress, Sizes,
    pack_directory, pack_tar,
};
