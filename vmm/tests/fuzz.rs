//! The entry points of fuzzing, driven by seeds: what a driver does to the device, and what either
//! end of the link is sent. `fuzz/` has the same for those with a nightly toolchain.

use unicell_vmm::fuzz;

/// Runs an entry point on many inputs, each from a seed that a failure names.
fn drive(rounds: u64, longest: usize, run: impl Fn(&[u8]) + std::panic::RefUnwindSafe) {
    for seed in 1..=rounds {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut bytes = vec![0; random.usize(..longest)];
        random.fill(&mut bytes);
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
