//! Every target on every input of its corpus, and on inputs that are made of those: no panic, and
//! no more memory than its bound. A failure names the seed, and leaves the input in
//! `target/fuzz/NAME`.
//!
//! `UNICELL_FUZZ_SEED` gives the seed, `UNICELL_FUZZ_TIMES` multiplies the number of inputs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests, their helpers too"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use fastrand::Rng;
use unicell_fuzz::{TARGETS, Target, mutate};

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
        count(|now| now.saturating_add(layout.size()));
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

/// The most bytes that were held at a time while something was done.
fn most_held(work: impl FnOnce()) -> usize {
    let before = HELD.get().0;
    HELD.set((before, before));
    work();
    HELD.get().1 - before
}

fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target.name);
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn setting(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name} is a number")),
    )
}

/// Runs a target on an input, and if it fails says on which.
fn run(target: &Target, input: &[u8], origin: &str) {
    let mut held = 0;
    let work = std::panic::AssertUnwindSafe(|| held = most_held(|| (target.run)(input)));
    let done = std::panic::catch_unwind(work);
    if done.is_err() || held > target.memory {
        let name = target.name;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/fuzz");
        let path = folder.join(format!("{name}-{}", blake3_name(input)));
        fs::create_dir_all(&folder).unwrap();
        fs::write(&path, input).unwrap();
        let path = path.display();
        match done {
            Ok(()) => panic!("{name}, {origin}: {held} bytes held; the input is in {path}"),
            Err(_) => panic!("{name}, {origin}: it panics; the input is in {path}"),
        }
    }
}

fn blake3_name(input: &[u8]) -> String {
    blake3::hash(input).to_hex()[..16].to_owned()
}

fn drive(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let corpus = corpus(target);
    assert!(!corpus.is_empty(), "{name} has no corpus");
    for (number, input) in corpus.iter().enumerate() {
        run(target, input, &format!("input {number} of the corpus"));
    }
    let seed = setting("UNICELL_FUZZ_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("UNICELL_FUZZ_SEED={seed}");
    let times = setting("UNICELL_FUZZ_TIMES").unwrap_or(1);
    let mut random = Rng::with_seed(seed);
    for number in 0..u64::from(target.inputs) * times {
        let mut pick = || random.usize(..corpus.len());
        let (mut input, other) = (corpus[pick()].clone(), &corpus[pick()]);
        mutate(&mut input, other, &mut random);
        run(target, &input, &format!("seed {seed}, input {number}"));
    }
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test] fn $name() { drive(stringify!($name)); })*

        #[test]
        fn every_target_is_driven() {
            let driven = [$(stringify!($name)),*];
            assert_eq!(TARGETS.map(|target| target.name), driven);
        }
    };
}

targets! {
    encodings manifest service_toml tar image elf package
    device link erofs
    token dns http
    receipt transcript configuration
}
