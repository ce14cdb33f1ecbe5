//! What a reproducible run is started with: all that its program can notice, apart from its input.

use serde::{Deserialize, Serialize};
use unicell_guest_abi::init;
use unicell_vmm::Window;
use unicell_vmm::reproducible::{Level, Spin};

/// Of the form below.
const VERSION: u32 = 1;
/// What a run's randomness is derived for.
const SEED: &str = "unicell 2026-11-20 the randomness of a reproducible run";

/// All that a run's program can notice, apart from its service and its input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Configuration {
    version: u32,
    pub(crate) level: Level,
    pub(crate) spin: Spin,
    pub(crate) memory: u64,
    pub(crate) window: Option<Window>,
    pub(crate) init: Vec<u8>,
}

impl Configuration {
    pub(crate) fn new(
        (level, spin): (Level, Spin),
        memory: u64,
        window: Option<Window>,
        init: Vec<u8>,
    ) -> Self {
        Self {
            version: VERSION,
            level,
            spin,
            memory,
            window,
            init,
        }
    }

    /// Its bytes, as they stand in a transcript.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, postcard::Error> {
        postcard::to_allocvec(self)
    }

    /// Reads it from a transcript, which anybody may have written.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (configuration, rest) = postcard::take_from_bytes::<Self>(bytes).ok()?;
        let is_sound = rest.is_empty()
            && configuration.version == VERSION
            && configuration.init.len() as u64 <= init::MAX
            && crate::instance::ram(configuration.memory) == Ok(configuration.memory);
        is_sound.then_some(configuration)
    }

    /// What the run's randomness starts from: a function of the service and of these bytes.
    pub(crate) fn seed(service: &[u8; 32], encoded: &[u8]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key(SEED);
        hasher.update(service).update(encoded);
        *hasher.finalize().as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration() -> Configuration {
        let level = (Level::D1, Spin::default());
        Configuration::new(level, 64 << 20, None, vec![1, 2, 3])
    }

    #[test]
    fn it_comes_back_as_it_was_written() {
        let bytes = configuration().encode().unwrap();
        assert_eq!(Configuration::decode(&bytes), Some(configuration()));
        for end in 0..bytes.len() {
            assert_eq!(Configuration::decode(&bytes[..end]), None, "cut at {end}");
        }
    }

    #[test]
    fn a_memory_that_no_machine_has_is_refused() {
        let mut wrong = configuration();
        wrong.memory = 1;
        assert_eq!(Configuration::decode(&wrong.encode().unwrap()), None);
    }

    #[test]
    fn randomness_depends_on_service_and_configuration() {
        let seed = Configuration::seed(&[1; 32], b"a");
        assert_ne!(seed, Configuration::seed(&[2; 32], b"a"));
        assert_ne!(seed, Configuration::seed(&[1; 32], b"b"));
    }
}
