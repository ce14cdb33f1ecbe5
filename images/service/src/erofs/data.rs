//! The contents of regular files: written once each, in whole blocks.

use std::collections::HashMap;
use std::io::{self, Read, Write};

use super::layout::Layout;
use super::{BLOCK, WriteError};
use crate::tree::{InodeId, Source, Tree};

/// Files up to this size are read once, into memory.
const SMALL: usize = 1 << 20;

/// Where contents came to lie.
pub(super) struct Data {
    blocks: HashMap<InodeId, u32>,
    /// The block after the last one of the image.
    pub(super) end_block: u64,
    pub(super) content_bytes: u64,
    pub(super) shared_bytes: u64,
}

impl Data {
    /// The first block of a file's contents; 0 for an empty file.
    pub(super) fn block_of(&self, id: InodeId) -> u32 {
        self.blocks.get(&id).copied().unwrap_or_default()
    }
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
            blocks: HashMap::new(),
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
    /// Writes one file, or finds that its contents are there already. A file
    /// that is `alone` with its size cannot be, and is not hashed.
    fn file(&mut self, id: InodeId, source: &Source, alone: bool) -> Result<(), Fault> {
        let hash = if alone {
            None
        } else {
            Some(self.hash(source)?)
        };
        let known = hash.and_then(|hash| self.seen.get(&hash).copied());
        let block = match known {
            Some(block) => {
                self.data.shared_bytes += source.len();
                self.advance(source.len());
                block
            }
            None => {
                let block = u32::try_from(self.data.end_block).map_err(|_| Fault::TooLarge)?;
                self.copy(source, hash)?;
                self.data.end_block += source.len().div_ceil(BLOCK);
                block
            }
        };
        if let Some(hash) = hash {
            self.seen.insert(hash, block);
        }
        self.data.blocks.insert(id, block);
        Ok(())
    }

    /// Hashes the contents; those of a small file are in the buffer then.
    fn hash(&mut self, source: &Source) -> Result<blake3::Hash, Fault> {
        let mut reader = source.open().map_err(Fault::Source)?;
        if source.len() <= SMALL as u64 {
            let bytes = &mut self.buffer[..source.len() as usize];
            reader.read_exact(bytes).map_err(Fault::Source)?;
            return Ok(blake3::hash(bytes));
        }
        let mut hasher = blake3::Hasher::new();
        let mut left = source.len();
        while left > 0 {
            let bytes = &mut self.buffer[..left.min(SMALL as u64) as usize];
            reader.read_exact(bytes).map_err(Fault::Source)?;
            hasher.update(bytes);
            left -= bytes.len() as u64;
        }
        Ok(hasher.finalize())
    }

    /// Writes the contents and fills their last block. Where a hash is known
    /// already, what is written must be what was hashed.
    fn copy(&mut self, source: &Source, hash: Option<blake3::Hash>) -> Result<(), Fault> {
        let mut left = source.len();
        if hash.is_some() && left <= SMALL as u64 {
            self.out
                .write_all(&self.buffer[..left as usize])
                .map_err(Fault::Output)?;
            self.advance(left);
        } else {
            let mut reader = source.open().map_err(Fault::Source)?;
            let mut hasher = blake3::Hasher::new();
            while left > 0 {
                let bytes = &mut self.buffer[..left.min(SMALL as u64) as usize];
                reader.read_exact(bytes).map_err(Fault::Source)?;
                if hash.is_some() {
                    hasher.update(bytes);
                }
                self.out.write_all(bytes).map_err(Fault::Output)?;
                let read = bytes.len() as u64;
                left -= read;
                self.advance(read);
            }
            if hash.is_some_and(|hash| hash != hasher.finalize()) {
                return Err(Fault::Source(io::Error::other(
                    "it changed while it was being packed",
                )));
            }
        }
        let padding = (source.len().next_multiple_of(BLOCK) - source.len()) as usize;
        self.out
            .write_all(&[0; BLOCK as usize][..padding])
            .map_err(Fault::Output)
    }

    fn advance(&mut self, bytes: u64) {
        self.data.content_bytes += bytes;
        (self.progress)(self.data.content_bytes, self.total);
    }
}
