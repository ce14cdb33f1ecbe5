//! JSON+zip: `service.json`, and the files as they lie in the box below
//! `files/`. Anyone can unpack it and look.

use std::collections::HashMap;
use std::io::{BufWriter, Read, Write};

use ::zip::result::ZipError;
use ::zip::write::SimpleFileOptions;
use ::zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::json::{self, JsonForm};
use super::{DecodeError, EncodeError, Encoding, Spool};
use crate::spec::{Item, Service};
use crate::tree::{BoxPath, Source};

const DOCUMENT: &str = "service.json";
const FILES: &str = "files";

/// Most entries of an archive.
const MAX_ENTRIES: u64 = 1_000_001;

/// A zip of the document and the files.
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonZip;

impl Encoding for JsonZip {
    fn name(&self) -> &'static str {
        "json+zip"
    }

    fn media_type(&self) -> &'static str {
        "application/zip"
    }

    fn recognises(&self, start: &[u8]) -> bool {
        start.starts_with(b"PK\x03\x04")
    }

    fn write(&self, service: &Service, out: &mut dyn Write) -> Result<(), EncodeError> {
        let fail = |error| match error {
            ZipError::Io(error) => EncodeError::Io(error),
            other => EncodeError::Zip(other),
        };
        let mut out = BufWriter::with_capacity(1 << 20, out);
        let mut zip = ZipWriter::new_stream(&mut out);
        zip.start_file(DOCUMENT, options(0o644, true))
            .map_err(fail)?;
        // Without files of its own, the first file tree of the document is
        // another one's.
        let own = service
            .filesystem()
            .is_some_and(|own| !own.branches.is_empty());
        let form = if own {
            JsonForm::Beside
        } else {
            JsonForm::Inline
        };
        json::write(service, form, &mut zip)?;
        if let Some(filesystem) = service.filesystem() {
            filesystem.walk(&mut |path, branch| {
                let Item::File(source) = &branch.item else {
                    return Ok(());
                };
                let mode = branch.attributes.mode.unwrap_or(0o644) & 0o777;
                let large = source.len() >= u64::from(u32::MAX);
                zip.start_file(entry_name(path), options(mode, large))
                    .map_err(fail)?;
                source.copy_to(&mut |bytes| zip.write_all(bytes))?;
                Ok::<(), EncodeError>(())
            })?;
        }
        zip.finish().map_err(fail)?;
        Ok(out.flush()?)
    }

    fn read(&self, input: &Source, spool: &mut Spool) -> Result<Service, DecodeError> {
        let mut archive = ZipArchive::new(input.open()?)?;
        if archive.len() as u64 > MAX_ENTRIES {
            let (what, limit) = ("entries", MAX_ENTRIES);
            return Err(DecodeError::TooMuch { what, limit });
        }
        let (mut document, mut files) = (None, HashMap::new());
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index)?;
            let name = entry.name()?.into_owned();
            let fail = |reason| DecodeError::ZipEntry {
                name: name.clone(),
                reason,
            };
            if entry.is_dir() {
                continue;
            }
            let twice = if name == DOCUMENT {
                let limited = &mut (&mut entry).take(json::MAX_LEN);
                document.replace(spool.add(limited)?).is_some()
            } else {
                let path = name
                    .strip_prefix(FILES)
                    .filter(|path| path.starts_with('/'));
                let path = path.ok_or_else(|| fail("it is neither the document nor a file"))?;
                let path = file_path(path).ok_or_else(|| fail("this is no path in a box"))?;
                files.insert(path, spool.add(&mut entry)?).is_some()
            };
            if twice {
                return Err(fail("it is there twice"));
            }
        }
        let document = document.ok_or(DecodeError::ZipEntry {
            name: DOCUMENT.to_owned(),
            reason: "it is not there",
        })?;
        json::read(&document, files, spool)
    }
}

/// The name of a file's entry. Backslashes, which archivers take for slashes,
/// and what a terminal would obey, are written as `%` and two digits.
fn entry_name(path: &str) -> String {
    let mut name = FILES.to_owned();
    for letter in path.chars() {
        if letter == '%' || letter == '\\' || letter.is_ascii_control() {
            name.push_str(&format!("%{:02X}", u32::from(letter)));
        } else {
            name.push(letter);
        }
    }
    name
}

/// The path in the box that an entry's name below `files` means, if it is
/// written as [`entry_name`] does.
fn file_path(name: &str) -> Option<String> {
    let mut parts = name.split('%');
    let mut path = parts.next()?.to_owned();
    for part in parts {
        let code = u8::from_str_radix(part.get(..2)?, 16).ok()?;
        path.push(char::from(code));
        path.push_str(&part[2..]);
    }
    BoxPath::parse(path.as_bytes()).ok()?;
    (entry_name(&path).strip_prefix(FILES) == Some(name)).then_some(path)
}

/// The same for every archive: no time, no owner.
fn options(mode: u32, large: bool) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(::zip::DateTime::default())
        .unix_permissions(mode)
        .large_file(large)
}
