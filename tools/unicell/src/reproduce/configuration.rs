//! What a reproducible run is started with: all that its program can notice, apart from its input.

use serde::{Deserialize, Serialize};
use unicell_guest_abi::init::{self, Furnishing, Init};
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

    /// What the run's randomness starts from: a function of the service and of this, without what a
    /// node furnishes each instance with anew (its name, its addresses, its configuration file with
    /// the token in it), so that two starts with the same words are the same to a program that does
    /// not look at those.
    pub(crate) fn seed(&self, service: &[u8; 32]) -> Result<[u8; 32], postcard::Error> {
        let bare = Self {
            init: bare(&self.init),
            ..self.clone()
        };
        let mut hasher = blake3::Hasher::new_derive_key(SEED);
        hasher.update(service).update(&bare.encode()?);
        Ok(*hasher.finalize().as_bytes())
    }
}

/// An init block with nothing beside the program, its words, and the room that it has for files.
fn bare(block: &[u8]) -> Vec<u8> {
    let Some(init) = Init::parse(block) else {
        // No guest starts with it either.
        return block.to_vec();
    };
    let (args, env): (Vec<_>, Vec<_>) = (init.args().collect(), init.env().collect());
    let furnishing = Furnishing {
        overlay: init.overlay,
        ..Furnishing::default()
    };
    let mut bare = Vec::new();
    Init::encode(
        (init.entrypoint, init.workdir),
        args.into_iter(),
        env.into_iter(),
        &furnishing,
        &mut bare,
    );
    bare
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
        let one = configuration();
        let seed = one.seed(&[1; 32]).unwrap();
        assert_ne!(seed, one.seed(&[2; 32]).unwrap());
        let other = Configuration {
            memory: 128 << 20,
            ..one
        };
        assert_ne!(seed, other.seed(&[1; 32]).unwrap());
    }

    #[test]
    fn randomness_depends_on_the_programs_words_and_not_on_what_a_node_furnishes() {
        let seed = |arg: &[u8], hostname: &[u8], contents: &[u8]| {
            let file = init::File {
                path: b"/token",
                mode: 0o444,
                contents,
            };
            let furnishing = Furnishing {
                hostname: Some(hostname),
                ipv4: Some([10, 0, 0, 1]),
                files: &[file],
                ..Furnishing::default()
            };
            let (args, mut block) = ([&b"x"[..], arg], Vec::new());
            let program = (&b"/x"[..], &b"/"[..]);
            let args = args.into_iter();
            Init::encode(program, args, [].into_iter(), &furnishing, &mut block);
            let level = (Level::D1, Spin::default());
            let configuration = Configuration::new(level, 64 << 20, None, block);
            configuration.seed(&[1; 32]).unwrap()
        };
        let first = seed(b"a", b"one", b"1");
        assert_eq!(first, seed(b"a", b"two", b"22"));
        assert_ne!(first, seed(b"b", b"one", b"1"));
    }
}
