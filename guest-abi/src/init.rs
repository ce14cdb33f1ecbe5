//! The init block: which program to start, with what. Written by the node, opaque to the VMM.
//!
//! A [`Header`]; then strings that each end in NUL: the entrypoint, the working directory, the host
//! name (empty for the kernel's own), the arguments (the first is the program's name), the environment
//! (`NAME=value`); then the files that are there beside those of the box, each a [`FileHeader`], its
//! path and its contents.

/// "UNICELLI", the first bytes of an init block.
pub const MAGIC: u64 = u64::from_le_bytes(*b"UNICELLI");
/// The longest init block, in bytes.
pub const MAX: u64 = 1 << 20;
/// The longest host name, in bytes (`__NEW_UTS_LEN` of Linux).
pub const HOSTNAME_MAX: usize = 64;

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
    /// Bytes of all strings.
    pub strings: u32,
    /// Number of files.
    pub files: u32,
    /// Bytes that files in memory may take, or 0 for the kernel's own limit.
    pub overlay: u64,
    /// The guest's address beside loopback, or zeros.
    pub ipv6: [u8; 16],
    /// The guest's address beside loopback, or zeros.
    pub ipv4: [u8; 4],
    /// Zero.
    pub reserved: u32,
}

/// Head of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct FileHeader {
    /// Bytes of the path.
    pub path: u32,
    /// Permission bits.
    pub mode: u32,
    /// Bytes of the contents.
    pub contents: u32,
}

const HEADER: usize = size_of::<Header>();
const FILE: usize = size_of::<FileHeader>();
const _: () = {
    assert!(HEADER == 56);
    assert!(FILE == 12);
};

/// What a guest has beside a program: all absent unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Furnishing<'a> {
    /// Its host name, of at most [`HOSTNAME_MAX`] bytes.
    pub hostname: Option<&'a [u8]>,
    /// Its IPv4 address beside loopback.
    pub ipv4: Option<[u8; 4]>,
    /// Its IPv6 address beside loopback.
    pub ipv6: Option<[u8; 16]>,
    /// Bytes that files in memory may take, if fewer than the kernel allows.
    pub overlay: Option<u64>,
    /// Files beside those of the box, or in their place.
    pub files: &'a [File<'a>],
}

/// A file that is written before the program starts. Directories on its path are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File<'a> {
    /// Where it lies, absolute.
    pub path: &'a [u8],
    /// Its permission bits.
    pub mode: u32,
    /// What it holds.
    pub contents: &'a [u8],
}

/// A parsed init block, borrowing its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Init<'a> {
    /// Path of the program in the box.
    pub entrypoint: &'a [u8],
    /// Working directory.
    pub workdir: &'a [u8],
    /// Host name.
    pub hostname: Option<&'a [u8]>,
    /// IPv4 address beside loopback.
    pub ipv4: Option<[u8; 4]>,
    /// IPv6 address beside loopback.
    pub ipv6: Option<[u8; 16]>,
    /// Bytes that files in memory may take.
    pub overlay: Option<u64>,
    args: u32,
    strings: &'a [u8],
    files: &'a [u8],
}

/// A little-endian number, which `bytes` holds.
fn number(bytes: &[u8]) -> u64 {
    let add = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    bytes.iter().rev().fold(0, add)
}

/// The first file of what follows the strings, and the rest.
fn split_file(bytes: &[u8]) -> Option<(File<'_>, &[u8])> {
    let (header, rest) = bytes.split_at_checked(FILE)?;
    let word = |at: usize| number(&header[at..at + 4]);
    let (path, rest) = rest.split_at_checked(word(0) as usize)?;
    let (contents, rest) = rest.split_at_checked(word(8) as usize)?;
    let mode = word(4) as u32;
    let file = File {
        path,
        mode,
        contents,
    };
    Some((file, rest))
}

/// Zeros are none.
fn some<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    let address: &[u8; N] = bytes.first_chunk()?;
    (*address != [0; N]).then_some(*address)
}

impl<'a> Init<'a> {
    /// Appends an init block to `out`. Strings must not contain NUL: one that does makes the block
    /// say something else, so the caller has checked.
    pub fn encode<'s>(
        (entrypoint, workdir): (&'s [u8], &'s [u8]),
        args: impl ExactSizeIterator<Item = &'s [u8]> + Clone,
        env: impl ExactSizeIterator<Item = &'s [u8]> + Clone,
        furnishing: &Furnishing<'s>,
        out: &mut impl Extend<u8>,
    ) {
        let (arg_count, env_count) = (args.len() as u32, env.len() as u32);
        let hostname = furnishing.hostname.unwrap_or_default();
        let own = [entrypoint, workdir, hostname].into_iter();
        let strings = own.chain(args).chain(env);
        let len: usize = strings.clone().map(|string| string.len() + 1).sum();
        out.extend(MAGIC.to_le_bytes());
        let counts = [
            arg_count,
            env_count,
            len as u32,
            furnishing.files.len() as u32,
        ];
        for count in counts {
            out.extend(count.to_le_bytes());
        }
        out.extend(furnishing.overlay.unwrap_or(0).to_le_bytes());
        out.extend(furnishing.ipv6.unwrap_or_default());
        out.extend(furnishing.ipv4.unwrap_or_default());
        out.extend([0; 4]);
        for string in strings {
            out.extend(string.iter().copied().chain([0]));
        }
        for file in furnishing.files {
            let (path, contents) = (file.path.len() as u32, file.contents.len() as u32);
            for word in [path, file.mode, contents] {
                out.extend(word.to_le_bytes());
            }
            out.extend(file.path.iter().chain(file.contents).copied());
        }
    }

    /// Parses a block; `None` if it is not exactly one.
    #[must_use]
    pub fn parse(block: &'a [u8]) -> Option<Self> {
        let (header, rest) = block.split_at_checked(HEADER)?;
        let word = |at: usize| number(&header[at..at + 4]);
        let (strings, files) = rest.split_at_checked(word(16) as usize)?;
        if header[..8] != MAGIC.to_le_bytes() || strings.last() != Some(&0) {
            return None;
        }
        let (args, env) = (word(8), word(12));
        let count = strings.iter().filter(|byte| **byte == 0).count() as u64;
        if args == 0 || count != 3 + args + env {
            return None;
        }
        let mut rest = files;
        for _ in 0..word(20) {
            rest = split_file(rest)?.1;
        }
        if !rest.is_empty() {
            return None;
        }
        let mut first = strings.split(|byte| *byte == 0);
        let (entrypoint, workdir, hostname) = (first.next()?, first.next()?, first.next()?);
        if hostname.len() > HOSTNAME_MAX {
            return None;
        }
        let strings = &strings[entrypoint.len() + workdir.len() + hostname.len() + 3..];
        Some(Self {
            entrypoint,
            workdir,
            hostname: (!hostname.is_empty()).then_some(hostname),
            ipv4: some(&header[48..52]),
            ipv6: some(&header[32..48]),
            overlay: Some(number(&header[24..32])).filter(|limit| *limit != 0),
            args: args as u32,
            strings,
            files,
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

    /// The files beside those of the box.
    pub fn files(&self) -> impl Iterator<Item = File<'a>> {
        let mut rest = self.files;
        core::iter::from_fn(move || {
            let (file, after) = split_file(rest)?;
            rest = after;
            Some(file)
        })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn block(args: &[&[u8]], env: &[&[u8]], furnishing: &Furnishing<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        Init::encode(
            (b"/bin/x", b"/"),
            args.iter().copied(),
            env.iter().copied(),
            furnishing,
            &mut out,
        );
        out
    }

    fn bare(args: &[&[u8]], env: &[&[u8]]) -> Vec<u8> {
        block(args, env, &Furnishing::default())
    }

    #[test]
    fn a_block_comes_back_as_it_was_written() {
        let bytes = bare(&[b"x", b"", b"two"], &[b"A=1", b""]);
        let init = Init::parse(&bytes).unwrap();
        assert_eq!((init.entrypoint, init.workdir), (&b"/bin/x"[..], &b"/"[..]));
        assert_eq!(init.args().collect::<Vec<_>>(), [&b"x"[..], b"", b"two"]);
        assert_eq!(init.env().collect::<Vec<_>>(), [&b"A=1"[..], b""]);
        assert_eq!((init.ipv4, init.ipv6, init.overlay), (None, None, None));
        assert_eq!(init.hostname, None);
        assert_eq!(init.files().next(), None);
    }

    #[test]
    fn furnishing_comes_back_too() {
        let file = |path, mode, contents| File {
            path,
            mode,
            contents,
        };
        let files = [
            file(b"/etc/hosts", 0o644, b"10.0.0.1 gateway\n"),
            file(b"/__config__", 0o400, b"\0\x01"),
            file(b"/empty", 0, b""),
        ];
        let furnishing = Furnishing {
            hostname: Some(b"worker-2"),
            ipv4: Some([10, 0, 0, 2]),
            ipv6: Some([0xfd; 16]),
            overlay: Some(1 << 40),
            files: &files,
        };
        let bytes = block(&[b"x"], &[], &furnishing);
        let init = Init::parse(&bytes).unwrap();
        assert_eq!((init.ipv4, init.ipv6), (furnishing.ipv4, furnishing.ipv6));
        assert_eq!(init.overlay, furnishing.overlay);
        assert_eq!(init.hostname, furnishing.hostname);
        assert_eq!(init.files().collect::<Vec<_>>(), files);
        for end in 0..bytes.len() {
            assert_eq!(Init::parse(&bytes[..end]), None, "cut at {end}");
        }
    }

    #[test]
    fn a_host_name_is_bounded() {
        let named = |len| {
            let name = std::vec![b'n'; len];
            let furnishing = Furnishing {
                hostname: Some(&name),
                ..Furnishing::default()
            };
            Init::parse(&block(&[b"x"], &[], &furnishing)).is_some()
        };
        assert!(named(HOSTNAME_MAX) && !named(HOSTNAME_MAX + 1));
    }

    #[test]
    fn a_block_without_arguments_is_refused() {
        assert_eq!(Init::parse(&bare(&[], &[b"A=1"])), None);
    }

    #[test]
    fn a_truncated_or_longer_block_is_refused() {
        let bytes = bare(&[b"x"], &[b"A=1"]);
        for end in 0..bytes.len() {
            assert_eq!(Init::parse(&bytes[..end]), None, "cut at {end}");
        }
        let longer: Vec<u8> = bytes.iter().copied().chain([0]).collect();
        assert_eq!(Init::parse(&longer), None);
    }
}
