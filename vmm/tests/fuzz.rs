//! The entry points of fuzzing, driven by seeds: what a driver does to the device, and what either
//! end of the link is sent. `fuzz/` has the same for those with a nightly toolchain.

use unicell_vmm::fuzz;

/// A small generator (xorshift64*), so that a seed says all.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    fn bytes(&mut self, len: u64) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

/// Runs an entry point on many inputs, each from a seed that a failure names.
fn drive(rounds: u64, longest: u64, run: impl Fn(&[u8]) + std::panic::RefUnwindSafe) {
    for seed in 1..=rounds {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let len = random.next() % longest;
        let bytes = random.bytes(len);
        let done = std::panic::catch_unwind(|| run(&bytes));
        assert!(done.is_ok(), "seed {seed}: {bytes:?}");
    }
}

#[test]
fn a_driver_that_does_anything_does_no_harm() {
    drive(3000, 600, fuzz::device);
}

#[test]
fn frames_of_any_bytes_do_no_harm() {
    drive(100_000, 80, fuzz::link);
}
