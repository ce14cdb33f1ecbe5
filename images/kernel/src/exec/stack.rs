//! The first stack: arguments, environment, auxiliary vector, as the x86-64 ABI lays them out.

use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use linux_raw_sys::auxvec as at;

use super::elf::{Elf, PROGRAM_HEADER};
use super::image::Image;
use crate::arch::xstate;
use crate::errno::{Errno, Result};
use crate::memory::{PAGE_SIZE, user};
use crate::mm::Space;
use crate::random;
use crate::task::Credentials;
use unicell_guest_abi::layout::USER_END;

/// One past the highest address of the stack.
const TOP: u64 = USER_END;
/// The most of a stack that arguments and environment may take, with a script's.
const STRINGS_MAX: u64 = 7 << 20;
/// The longest single argument, as in Linux.
const STRING_MAX: usize = 128 << 10;
/// A stack has at least this much room above its strings, and never more than this in all.
const LEAST: u64 = 256 << 10;
const MOST: u64 = 64 << 20;
/// AT_HWCAP2, bit 1: FSGSBASE instructions may be used.
const HWCAP2_FSGSBASE: u64 = 2;
/// What a signal frame needs besides the extended state.
const SIGNAL_FRAME: u64 = 1024;

/// What the auxiliary vector tells of the program.
pub(super) struct Auxiliary<'a> {
    pub(super) main: &'a Image,
    pub(super) elf: &'a Elf,
    pub(super) interpreter_base: u64,
    pub(super) vdso: u64,
}

/// Where things are.
pub(super) struct Top {
    pub(super) pointer: u64,
    pub(super) arguments: (u64, u64),
    pub(super) environment: (u64, u64),
    pub(super) auxiliary: (u64, u64),
}

/// Strings, growing downwards.
struct Strings {
    bytes: Vec<u8>,
    base: u64,
}

impl Strings {
    fn add(&mut self, string: &[u8]) -> u64 {
        let address = self.base + self.bytes.len() as u64;
        self.bytes.extend_from_slice(string);
        self.bytes.push(0);
        address
    }
}

/// Maps the stack and fills its top.
pub(super) fn build(
    space: &Space,
    limit: u64,
    arguments: &[Vec<u8>],
    environment: &[Vec<u8>],
    path: &[u8],
    auxiliary: &Auxiliary<'_>,
    credentials: &Credentials,
) -> Result<Top> {
    let all = || arguments.iter().chain(environment);
    let size: u64 =
        all().map(|string| string.len() as u64 + 1 + 8).sum::<u64>() + path.len() as u64;
    if size > STRINGS_MAX || all().any(|string| string.len() >= STRING_MAX) {
        return Err(Errno::E2BIG);
    }
    let len = limit.clamp(LEAST + size, MOST).next_multiple_of(PAGE_SIZE);
    space.map_stack(TOP, len)?;

    let string_bytes: u64 = all().map(|string| string.len() as u64 + 1).sum();
    // Path, platform's name and random bytes are on top of the strings.
    let extra = path.len() as u64 + 1 + 8 + 16 + 8;
    let base = (TOP - 8 - extra - string_bytes) & !15;
    let mut strings = Strings {
        bytes: Vec::new(),
        base,
    };
    let mut words: Vec<u64> = alloc::vec![arguments.len() as u64];
    words.extend(arguments.iter().map(|argument| strings.add(argument)));
    words.push(0);
    let environment_start = base + strings.bytes.len() as u64;
    words.extend(environment.iter().map(|variable| strings.add(variable)));
    words.push(0);
    let environment_end = base + strings.bytes.len() as u64;
    let execfn = strings.add(path);
    let platform = strings.add(b"x86_64");
    let random = base + strings.bytes.len() as u64;
    let mut seed = [0; 16];
    random::fill(&mut seed);
    strings.bytes.extend_from_slice(&seed);

    let vector_at = words.len() as u64;
    words.extend(vector(auxiliary, credentials, random, platform, execfn));
    let pointer = (base - 8 * words.len() as u64) & !15;
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    user::copy_out(pointer, &bytes)?;
    user::copy_out(base, &strings.bytes)?;
    Ok(Top {
        pointer,
        arguments: (base, environment_start),
        environment: (environment_start, environment_end),
        auxiliary: (pointer + 8 * vector_at, pointer + 8 * words.len() as u64),
    })
}

fn vector(
    auxiliary: &Auxiliary<'_>,
    credentials: &Credentials,
    random: u64,
    platform: u64,
    execfn: u64,
) -> Vec<u64> {
    let Auxiliary {
        main,
        elf,
        interpreter_base,
        vdso,
    } = auxiliary;
    let secure = credentials.uid != credentials.euid || credentials.gid != credentials.egid;
    let hwcap = u64::from(super::FEATURES.load(Ordering::Relaxed));
    let pairs = [
        (at::AT_SYSINFO_EHDR, *vdso),
        (at::AT_HWCAP, hwcap),
        (at::AT_PAGESZ, PAGE_SIZE),
        (at::AT_CLKTCK, 100),
        (at::AT_PHDR, main.headers),
        (at::AT_PHENT, PROGRAM_HEADER as u64),
        (at::AT_PHNUM, elf.headers.1.into()),
        (at::AT_BASE, *interpreter_base),
        (at::AT_FLAGS, 0),
        (at::AT_ENTRY, main.entry),
        (at::AT_UID, credentials.uid.into()),
        (at::AT_EUID, credentials.euid.into()),
        (at::AT_GID, credentials.gid.into()),
        (at::AT_EGID, credentials.egid.into()),
        (at::AT_SECURE, secure.into()),
        (at::AT_RANDOM, random),
        (at::AT_HWCAP2, HWCAP2_FSGSBASE),
        (at::AT_EXECFN, execfn),
        (at::AT_PLATFORM, platform),
        (
            at::AT_MINSIGSTKSZ,
            xstate::shown_size() as u64 + SIGNAL_FRAME,
        ),
        (at::AT_NULL, 0),
    ];
    pairs
        .into_iter()
        .flat_map(|(kind, value)| [u64::from(kind), value])
        .collect()
}
