//! The kernel's generator: ChaCha20 keyed by the host's seed, with a new key after each use, so
//! that what was given out cannot be found from what is held.

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::sync::Mutex;

static KEY: Mutex<[u8; 32]> = Mutex::new([0; 32]);

/// Takes the host's seed. Called once.
pub fn init(seed: &[u8; 32]) {
    *KEY.lock() = *seed;
}

/// Fills a buffer with random bytes.
pub fn fill(into: &mut [u8]) {
    let mut key = KEY.lock();
    let mut generator = ChaCha20Rng::from_seed(*key);
    generator.fill_bytes(&mut *key);
    generator.fill_bytes(into);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_given_out_differ_each_time() {
        init(&[7; 32]);
        let (mut first, mut second) = ([0; 100], [0; 100]);
        fill(&mut first);
        fill(&mut second);
        assert_ne!(first, second);
    }
}
