//! The contents of regular files: written once each, in whole blocks.

use std::collections::HashMap;
use std::io::{self, Read, Write};

use super::layout::Layout;
use super::{BLOCK, Extent, WriteError};
use crate::tree::{InodeId, Source, Tree};

/// Files up to this size are read once, into memory.
const SMALL: usize = 1 << 20;

/// Where contents came to lie.
pub(super) struct Data {
    pub(super) extents: HashMap<InodeId, Extent>,
    /// The block after the last one of the image.
    pub(super) end_block: u64,
    pub(super) content_bytes: u64,
    pub(super) shared_bytes: u64,
}

impl Data {
    /// The first block of a file's contents; 0 for an empty file.
    pub(super) fn block_of(&self, id: InodeId) -> u32 {
        self.extents.get(&id).map_or(0, |extent| extent.block)
    }
}

/// Where the contents of the files will lie, if all their hashes are known.
pub(super) fn place(tree: &Tree, layout: &Layout) -> Option<HashMap<InodeId, Extent>> {
    let mut seen = HashMap::new();
    let mut end = layout.data_block();
    let mut extents = HashMap::new();
    for (id, source) in layout.files(tree).filter(|(_, source)| !source.is_empty()) {
        let hash = source.known_hash()?;
        let block = *seen.entry(hash).or_insert_with(|| {
            let block = end;
            end += source.len().div_ceil(BLOCK);
            block
        });
        let block = u32::try_from(block).ok()?;
        extents.insert(id, Extent { block, hash });
    }
    Some(extents)
}

/// Writes all contents to `out`, which stands at the first data block.
pub(super) fn write(
    tree: &Tree,
    layout: &Layout,
    out: &mut impl Write,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Data, WriteError> {
    let mut sizes: HashMap<u64, u32> = HashMap::new();
    for (_, source) in layout.files(tree) {
        *sizes.entry(source.len()).or_default() += 1;
    }
    let total = sizes
        .iter()
        .map(|(size, count)| size.saturating_mul(u64::from(*count)))
        .sum();
    let mut writer = Writer {
        out,
        progress,
        total,
        seen: HashMap::new(),
        buffer: vec![0; SMALL],
        data: Data {
            extents: HashMap::new(),
            end_block: layout.data_block(),
            content_bytes: 0,
            shared_bytes: 0,
        },
    };
    for (id, source) in layout.files(tree).filter(|(_, source)| !source.is_empty()) {
        let alone = sizes.get(&source.len()) == Some(&1);
        writer
            .file(id, source, alone)
            .map_err(|fault| match fault {
                Fault::Output(error) => WriteError::Output(error),
                Fault::Source(source) => WriteError::Source {
                    path: tree.path_of(id),
                    source,
                },
                Fault::TooLarge => WriteError::TooLarge,
            })?;
    }
    (writer.progress)(writer.data.content_bytes, total);
    Ok(writer.data)
}

enum Fault {
    Output(io::Error),
    Source(io::Error),
    TooLarge,
}

struct Writer<'a, W> {
    out: &'a mut W,
    progress: &'a mut dyn FnMut(u64, u64),
    total: u64,
    /// First block by the hash of the contents.
    seen: HashMap<blake3::Hash, u32>,
    buffer: Vec<u8>,
    data: Data,
}

impl<W: Write> Writer<'_, W> {
    /// Writes one file, or finds that its contents are there already. A large
    /// file that is `alone` with its size cannot be, and is hashed as it is
    /// written.
    fn file(&mut self, id: InodeId, source: &Source, alone: bool) -> Result<(), Fault> {
        let small = source.len() <= SMALL as u64;
        let read = small.then(|| self.read_small(source)).transpose()?;
        let hash = if read.is_some() {
            read
        } else if alone {
            source.known_hash()
        } else {
            Some(source.hash().map_err(Fault::Source)?)
        };
        let known = hash.and_then(|hash| Some((self.seen.get(&hash).copied()?, hash)));
        let (block, hash) = match known {
            Some(known) => {
                self.data.shared_bytes += source.len();
                self.advance(source.len());
                known
            }
            None => {
                let block = u32::try_from(self.data.end_block).map_err(|_| Fault::TooLarge)?;
                let written = self.copy(source, read)?;
                if hash.is_some_and(|hash| hash != written) {
                    return Err(changed());
                }
                self.data.end_block += source.len().div_ceil(BLOCK);
                (block, written)
            }
        };
        self.seen.insert(hash, block);
        self.data.extents.insert(id, Extent { block, hash });
        Ok(())
    }

    /// Reads a small file into the buffer.
    fn read_small(&mut self, source: &Source) -> Result<blake3::Hash, Fault> {
        let bytes = &mut self.buffer[..source.len() as usize];
        let mut reader = source.open().map_err(Fault::Source)?;
        reader.read_exact(bytes).map_err(Fault::Source)?;
        let hash = blake3::hash(bytes);
        match source.known_hash() {
            Some(known) if known != hash => Err(changed()),
            _ => Ok(hash),
        }
    }

    /// Writes the contents, those of a small file that was `read` from the
    /// buffer, and fills their last block. The hash is of what was written.
    fn copy(&mut self, source: &Source, read: Option<blake3::Hash>) -> Result<blake3::Hash, Fault> {
        let written = match read {
            Some(hash) => {
                let bytes = &self.buffer[..source.len() as usize];
                self.out.write_all(bytes).map_err(Fault::Output)?;
                self.advance(source.len());
                hash
            }
            None => self.copy_large(source)?,
        };
        let padding = (source.len().next_multiple_of(BLOCK) - source.len()) as usize;
        self.out
            .write_all(&[0; BLOCK as usize][..padding])
            .map_err(Fault::Output)?;
        Ok(written)
    }

    fn copy_large(&mut self, source: &Source) -> Result<blake3::Hash, Fault> {
        let mut hasher = blake3::Hasher::new();
        let mut reader = source.open().map_err(Fault::Source)?;
        let mut left = source.len();
        while left > 0 {
            let bytes = &mut self.buffer[..left.min(SMALL as u64) as usize];
            reader.read_exact(bytes).map_err(Fault::Source)?;
            hasher.update(bytes);
            self.out.write_all(bytes).map_err(Fault::Output)?;
            let read = bytes.len() as u64;
            left -= read;
            self.advance(read);
        }
        Ok(hasher.finalize())
    }

    fn advance(&mut self, bytes: u64) {
        self.data.content_bytes += bytes;
        (self.progress)(self.data.content_bytes, self.total);
    }
}

fn changed() -> Fault {
    Fault::Source(io::Error::other("its contents are not what they were"))
}
