//! The init block: which program to start, with what. Written by the node, opaque to the VMM.
//!
//! A [`Header`], then strings that each end in NUL: the entrypoint, the working directory, the
//! arguments (the first is the program's name), the environment (`NAME=value`).

/// "UNICELLI", the first bytes of an init block.
pub const MAGIC: u64 = u64::from_le_bytes(*b"UNICELLI");
/// The longest init block, in bytes.
pub const MAX: u64 = 256 << 10;

/// Head of an init block, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: u64,
    /// Number of arguments, at least 1.
    pub args: u32,
    /// Number of environment strings.
    pub env: u32,
}

const HEADER: usize = size_of::<Header>();
const _: () = assert!(HEADER == 16);

/// A parsed init block, borrowing its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Init<'a> {
    /// Path of the program in the box.
    pub entrypoint: &'a [u8],
    /// Working directory.
    pub workdir: &'a [u8],
    args: u32,
    strings: &'a [u8],
}

impl<'a> Init<'a> {
    /// Appends an init block to `out`. Strings must not contain NUL: one that does makes the block
    /// say something else, so the caller has checked.
    pub fn encode<'s>(
        entrypoint: &'s [u8],
        workdir: &'s [u8],
        args: impl ExactSizeIterator<Item = &'s [u8]>,
        env: impl ExactSizeIterator<Item = &'s [u8]>,
        out: &mut impl Extend<u8>,
    ) {
        out.extend(MAGIC.to_le_bytes());
        out.extend((args.len() as u32).to_le_bytes());
        out.extend((env.len() as u32).to_le_bytes());
        let strings = [entrypoint, workdir].into_iter().chain(args).chain(env);
        for string in strings {
            out.extend(string.iter().copied().chain([0]));
        }
    }

    /// Parses a block; `None` if it is not exactly one.
    #[must_use]
    pub fn parse(block: &'a [u8]) -> Option<Self> {
        let (header, strings) = block.split_at_checked(HEADER)?;
        let number = |at: usize| {
            header[at..at + 4]
                .iter()
                .rev()
                .fold(0u32, |value, byte| value << 8 | u32::from(*byte))
        };
        if header[..8] != MAGIC.to_le_bytes() || strings.last() != Some(&0) {
            return None;
        }
        let (args, env) = (number(8), number(12));
        let count = strings.iter().filter(|byte| **byte == 0).count() as u64;
        if args == 0 || count != 2 + u64::from(args) + u64::from(env) {
            return None;
        }
        let mut rest = strings.split(|byte| *byte == 0);
        let (entrypoint, workdir) = (rest.next()?, rest.next()?);
        let strings = &strings[entrypoint.len() + workdir.len() + 2..];
        Some(Self {
            entrypoint,
            workdir,
            args,
            strings,
        })
    }

    fn strings(&self) -> impl Iterator<Item = &'a [u8]> {
        self.strings
            .split_inclusive(|byte| *byte == 0)
            .map(|string| &string[..string.len() - 1])
    }

    /// The arguments, the program's name first.
    pub fn args(&self) -> impl Iterator<Item = &'a [u8]> {
        self.strings().take(self.args as usize)
    }

    /// The environment, `NAME=value`.
    pub fn env(&self) -> impl Iterator<Item = &'a [u8]> {
        self.strings().skip(self.args as usize)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn block(args: &[&[u8]], env: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        Init::encode(
            b"/bin/x",
            b"/",
            args.iter().copied(),
            env.iter().copied(),
            &mut out,
        );
        out
    }

    #[test]
    fn a_block_comes_back_as_it_was_written() {
        let bytes = block(&[b"x", b"", b"two"], &[b"A=1", b""]);
        let init = Init::parse(&bytes).unwrap();
        assert_eq!((init.entrypoint, init.workdir), (&b"/bin/x"[..], &b"/"[..]));
        assert_eq!(init.args().collect::<Vec<_>>(), [&b"x"[..], b"", b"two"]);
        assert_eq!(init.env().collect::<Vec<_>>(), [&b"A=1"[..], b""]);
    }

    #[test]
    fn a_block_without_arguments_is_refused() {
        assert_eq!(Init::parse(&block(&[], &[b"A=1"])), None);
    }

    #[test]
    fn a_truncated_or_longer_block_is_refused() {
        let bytes = block(&[b"x"], &[b"A=1"]);
        for end in 0..bytes.len() {
            assert_eq!(Init::parse(&bytes[..end]), None, "cut at {end}");
        }
        let longer: Vec<u8> = bytes.iter().copied().chain([0]).collect();
        assert_eq!(Init::parse(&longer), None);
    }
}
