//! Random damage, from fixed seeds, to everything that is read from outside:
//! no panic, and no allocation beyond what the input's size explains.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests, their helpers too"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::io::{Seek, SeekFrom, Write};

use tar::{Builder, EntryType, Header};
use unicell_service::inspect::inspect;
use unicell_service::manifest::{self, Manifest, Overrides};
use unicell_service::package::{PackOptions, Package, pack_directory, pack_tar};
use unicell_service::spec::Metadata;

/// Counts the bytes that a thread holds, and remembers the most.
struct Counting;

thread_local! {
    static HELD: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

fn count(change: impl FnOnce(usize) -> usize) {
    // At a thread's end there is nothing left to count in.
    let _ = HELD.try_with(|held| {
        let (now, most) = held.get();
        let now = change(now);
        held.set((now, most.max(now)));
    });
}

// SAFETY: every call goes to the system's allocator as it came.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(|now| now + layout.size());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(|now| now.saturating_sub(layout.size()));
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs `work` and fails if it holds more than `limit` bytes at a time.
fn bounded<T>(limit: usize, seed: u64, work: impl FnOnce() -> T) -> T {
    let before = HELD.get().0;
    HELD.set((before, before));
    let result = work();
    let most = HELD.get().1 - before;
    assert!(most <= limit, "seed {seed}: {most} bytes held");
    result
}

/// A small generator (xorshift64*), so that a seed says all.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    /// Changes some bytes, cuts, repeats or inserts.
    fn damage(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(6) {
            let at = self.below(bytes.len());
            let len = self.below(bytes.len() - at).min(600);
            match self.below(7) {
                0 => bytes.truncate(at),
                1 => drop(bytes.drain(at..at + len)),
                2 => {
                    let copy = bytes[at..at + len].to_vec();
                    let to = self.below(bytes.len());
                    bytes.splice(to..to, copy);
                }
                3 if !bytes.is_empty() => {
                    let extreme = [0, 0xff, 0x7f, 0x80, b'7', b'/', b'.'];
                    let fill = extreme[self.below(extreme.len())];
                    let end = bytes.len().min(at + 1 + self.below(16));
                    bytes[at..end].fill(fill);
                }
                _ if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                _ => {}
            }
        }
    }
}

fn tar() -> Vec<u8> {
    let mut out = Builder::new(Vec::new());
    let mut add = |name: &str, kind, target: &str, data: &[u8]| {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(data.len() as u64);
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        if target.is_empty() {
            out.append_data(&mut header, name, data).unwrap();
        } else {
            out.append_link(&mut header, name, target).unwrap();
        }
    };
    add("bin/", EntryType::Directory, "", b"");
    let program = fs::read("/bin/true").unwrap();
    add(
        "bin/true",
        EntryType::Regular,
        "",
        &program[..4096.min(program.len())],
    );
    add("bin/link", EntryType::Link, "bin/true", b"");
    add("lib", EntryType::Symlink, "/bin", b"");
    add(&"long/".repeat(60), EntryType::Directory, "", b"");
    add("service.toml", EntryType::Regular, "", SERVICE.as_bytes());
    out.append_pax_extensions([("SCHILY.xattr.user.a", &b"b"[..])])
        .unwrap();
    let mut header = Header::new_ustar();
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(1);
    out.append_data(&mut header, "attribute", &b"x"[..])
        .unwrap();
    out.into_inner().unwrap()
}

const SERVICE: &str = "entrypoint = \"/bin/true\"\nargs = [\"a\", \"b\"]\nmemory = \"64M\"\n\
                       workdir = \"/\"\n[env]\nPATH = \"/bin\"\n";

fn options() -> PackOptions {
    let overrides = Overrides {
        entrypoint: Some("/bin/true".to_owned()),
        ..Overrides::default()
    };
    PackOptions {
        overrides,
        ..PackOptions::default()
    }
}

/// Rewrites the checksum of every header, so that damage gets further in.
fn fix_checksums(tar: &mut [u8]) {
    for block in tar.chunks_exact_mut(512) {
        if block[257..262] == *b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
}

#[test]
fn damaged_tars() {
    let valid = tar();
    let mut packed = 0;
    for seed in 0..500 {
        let mut random = Random::new(seed);
        let mut bytes = valid.clone();
        random.damage(&mut bytes);
        if seed % 4 != 0 {
            fix_checksums(&mut bytes);
        }
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        let mut out = tempfile::tempfile().unwrap();
        // Buffers of the writer, headers within their budget.
        let result = bounded(16 << 20, seed, || {
            pack_tar(file, &options(), &mut out, &mut |_| {})
        });
        packed += u32::from(result.is_ok());
    }
    assert!(
        (1..1500).contains(&packed),
        "{packed} packed: the damage is of one kind only"
    );
}

#[test]
fn damaged_elf_files() {
    let dir = tempfile::tempdir().unwrap();
    let valid = fs::read("/bin/true").unwrap();
    for seed in 0..400 {
        let mut random = Random::new(seed);
        let mut bytes = valid.clone();
        // The headers are what matters; the rest stays in its place.
        let mut head = bytes.drain(..1024).collect::<Vec<_>>();
        for _ in 0..=random.below(8) {
            let at = 20 + random.below(1000);
            head[at] = [0, 1, 0xff, 0x7f, random.next() as u8][random.below(5)];
        }
        bytes.splice(0..0, head);
        fs::write(dir.path().join("true"), &bytes).unwrap();
        let path = dir.path().join("true");
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let mut out = tempfile::tempfile().unwrap();
        let result = bounded(32 << 20, seed, || {
            pack_directory(dir.path(), &options(), &mut out, &mut |_| {})
        });
        result.unwrap();
    }
}

#[test]
fn damaged_service_files() {
    for seed in 0..5000 {
        let mut bytes = SERVICE.as_bytes().to_vec();
        Random::new(seed).damage(&mut bytes);
        let file = bounded(1 << 20, seed, || {
            manifest::File::parse("service.toml", &bytes)
        });
        if let Ok(manifest) = file.map(|file| Manifest::new(&file, &Overrides::default())) {
            // What is taken can be written and read again as the same.
            let Ok(manifest) = manifest else { continue };
            assert_eq!(Manifest::from_json(&manifest.to_json()).unwrap(), manifest);
        }
    }
}

#[test]
fn damaged_manifests_of_packages() {
    let file = manifest::File::parse("service.toml", SERVICE.as_bytes()).unwrap();
    let valid = Manifest::new(&file, &Overrides::default())
        .unwrap()
        .to_json();
    for seed in 0..5000 {
        let mut bytes = valid.clone();
        Random::new(seed).damage(&mut bytes);
        if let Ok(manifest) = bounded(1 << 20, seed, || Manifest::from_json(&bytes)) {
            assert_eq!(manifest.to_json(), bytes);
        }
    }
}

/// Packages whose hashes are right though their parts are not: made so by
/// someone who means harm. None is taken, since the parts contradict each
/// other; none is told in more memory than it explains.
#[test]
fn forged_packages() {
    let dir = tempfile::tempdir().unwrap();
    let (source, path) = (dir.path().join("tar"), dir.path().join("cell"));
    fs::write(&source, tar()).unwrap();
    let mut out = fs::File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .unwrap();
    pack_tar(
        fs::File::open(&source).unwrap(),
        &options(),
        &mut out,
        &mut |_| {},
    )
    .unwrap();
    let valid = fs::read(&path).unwrap();
    let number = |at: usize| u64::from_le_bytes(valid[at..at + 8].try_into().unwrap()) as usize;
    let (specification, image) = (number(32)..number(32) + number(40), number(48)..valid.len());
    let mut told = 0;
    for seed in 0..500 {
        let mut random = Random::new(seed);
        let mut bytes = valid.clone();
        // The specification, or superblock, inodes and directories of the image.
        let range = match random.below(2) {
            0 => specification.clone(),
            _ => image.start + 1024..image.start + 3024,
        };
        for _ in 0..=random.below(6) {
            let at = range.start + random.below(range.len());
            bytes[at] = [0, 1, 0xff, 0x80, random.next() as u8][random.below(5)];
        }
        for (at, part) in [(96, specification.clone()), (128, image.clone())] {
            let hash = blake3::hash(&bytes[part]);
            bytes[at..at + 32].copy_from_slice(hash.as_bytes());
        }
        let hash = blake3::hash(&bytes[..192]);
        bytes[192..224].copy_from_slice(hash.as_bytes());
        fs::write(&path, &bytes).unwrap();
        let taken = bounded(8 << 20, seed, || Package::open_verified(&path, None)).is_ok();
        assert_eq!(taken, bytes == valid, "seed {seed}");
        let package = Package::open(&path).unwrap();
        let summary = bounded(8 << 20, seed, || {
            let service = package.service().ok()?;
            inspect(&service, &Metadata::default(), None).ok()
        });
        told += u32::from(summary.is_some());
    }
    assert!(
        (1..500).contains(&told),
        "{told} told: the damage is of one kind only"
    );
}

#[test]
fn damaged_packages_are_never_taken() {
    let dir = tempfile::tempdir().unwrap();
    let (source, path) = (dir.path().join("tar"), dir.path().join("cell"));
    fs::write(&source, tar()).unwrap();
    let mut out = fs::File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .unwrap();
    pack_tar(
        fs::File::open(&source).unwrap(),
        &options(),
        &mut out,
        &mut |_| {},
    )
    .unwrap();
    let valid = fs::read(&path).unwrap();
    for seed in 0..1500 {
        let mut bytes = valid.clone();
        Random::new(seed).damage(&mut bytes);
        fs::write(&path, &bytes).unwrap();
        let taken = bounded(4 << 20, seed, || Package::open_verified(&path, None)).is_ok();
        assert_eq!(taken, bytes == valid, "seed {seed}");
    }
}
