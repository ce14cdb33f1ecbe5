//! What a reproducible run is started with: all that its program can notice, apart from its input.
//! The first frame of a [transcript](super::transcript).

use serde::{Deserialize, Serialize};
use unicell_guest_abi::init::{self, Furnishing, Init};
use unicell_guest_abi::layout::{RAM_GRANULE, RAM_MAX, RAM_MIN};

use super::{Baseline, Level, Reproduction, Spin};
use crate::window::Window;

/// Of the form below.
const VERSION: u32 = 2;
/// What a run's randomness is derived for.
const SEED: &str = "unicell 2026-11-20 the randomness of a reproducible run";

/// All that a run's program can notice, apart from its service and its input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    version: u32,
    /// The level that it is begun with.
    pub level: Level,
    /// About programs that spin.
    pub spin: Spin,
    /// The processor that it finds, if not the host's own.
    pub cpu: Option<Baseline>,
    /// RAM in bytes.
    pub memory: u64,
    /// The size of its terminal, if it has one.
    pub window: Option<Window>,
    /// The init block (`unicell_guest_abi::init`).
    pub init: Vec<u8>,
}

/// Why bytes are no configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigurationError {
    /// Another Unicell has written it.
    #[error("its configuration is of version {0}, and version {VERSION} is known here")]
    Version(u32),
    /// It is none, or one that no run can have.
    #[error("its configuration makes no sense")]
    Nonsense,
}

impl Configuration {
    /// What a run is started with on these terms.
    #[must_use]
    pub fn new(terms: &Reproduction, memory: u64, window: Option<Window>, init: Vec<u8>) -> Self {
        Self {
            version: VERSION,
            level: terms.level,
            spin: terms.spin,
            cpu: terms.cpu,
            memory,
            window,
            init,
        }
    }

    /// The terms of such a run, which is neither written down nor played back.
    #[must_use]
    pub fn terms(&self) -> Reproduction {
        Reproduction {
            level: self.level,
            spin: self.spin,
            cpu: self.cpu,
            log: None,
        }
    }

    /// Its bytes, as they stand in a transcript.
    ///
    /// # Errors
    ///
    /// None that a configuration can cause.
    pub fn encode(&self) -> Result<Vec<u8>, postcard::Error> {
        postcard::to_allocvec(self)
    }

    /// Reads it from a transcript, which anybody may have written.
    ///
    /// # Errors
    ///
    /// It is none.
    pub fn decode(bytes: &[u8]) -> Result<Self, ConfigurationError> {
        let nonsense = ConfigurationError::Nonsense;
        let (version, _) = postcard::take_from_bytes::<u32>(bytes).map_err(|_| nonsense)?;
        if version != VERSION {
            return Err(ConfigurationError::Version(version));
        }
        match postcard::take_from_bytes::<Self>(bytes) {
            Ok((configuration, [])) if configuration.is_sound() => Ok(configuration),
            _ => Err(nonsense),
        }
    }

    fn is_sound(&self) -> bool {
        self.init.len() as u64 <= init::MAX
            && self.memory.is_multiple_of(RAM_GRANULE)
            && (RAM_MIN..=RAM_MAX).contains(&self.memory)
            && (self.level.is_reproducible() || self.cpu.is_none())
    }

    /// What the run's randomness starts from: a function of the service and of this, without what a
    /// node furnishes each instance with anew (its name, its addresses, its configuration file with
    /// the token in it), so that two starts with the same words are the same to a program that does
    /// not look at those.
    ///
    /// # Errors
    ///
    /// None that a configuration can cause.
    pub fn seed(&self, service: &[u8; 32]) -> Result<[u8; 32], postcard::Error> {
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

    fn terms() -> Reproduction {
        Reproduction {
            level: Level::D1,
            cpu: Some(Baseline::V2),
            ..Reproduction::default()
        }
    }

    fn configuration() -> Configuration {
        Configuration::new(&terms(), 64 << 20, None, vec![1, 2, 3])
    }

    #[test]
    fn it_comes_back_as_it_was_written() {
        let bytes = configuration().encode().unwrap();
        assert_eq!(Configuration::decode(&bytes), Ok(configuration()));
        for end in 0..bytes.len() {
            let cut = Configuration::decode(&bytes[..end]);
            assert_eq!(cut, Err(ConfigurationError::Nonsense), "cut at {end}");
        }
    }

    fn refused(change: impl FnOnce(&mut Configuration)) -> ConfigurationError {
        let mut wrong = configuration();
        change(&mut wrong);
        Configuration::decode(&wrong.encode().unwrap()).unwrap_err()
    }

    #[test]
    fn what_no_run_can_have_is_refused() {
        let nonsense = ConfigurationError::Nonsense;
        assert_eq!(refused(|wrong| wrong.memory = 1), nonsense);
        assert_eq!(refused(|wrong| wrong.memory = u64::MAX), nonsense);
        assert_eq!(refused(|wrong| wrong.level = Level::D0), nonsense);
        assert_eq!(
            refused(|wrong| wrong.version = 1),
            ConfigurationError::Version(1)
        );
    }

    #[test]
    fn randomness_depends_on_service_and_configuration() {
        let one = configuration();
        let seed = one.seed(&[1; 32]).unwrap();
        assert_ne!(seed, one.seed(&[2; 32]).unwrap());
        let more = Configuration {
            memory: 128 << 20,
            ..one.clone()
        };
        assert_ne!(seed, more.seed(&[1; 32]).unwrap());
        let elsewhere = Configuration { cpu: None, ..one };
        assert_ne!(seed, elsewhere.seed(&[1; 32]).unwrap());
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
            let configuration = Configuration::new(&terms(), 64 << 20, None, block);
            configuration.seed(&[1; 32]).unwrap()
        };
        let first = seed(b"a", b"one", b"1");
        assert_eq!(first, seed(b"a", b"two", b"22"));
        assert_ne!(first, seed(b"b", b"one", b"1"));
    }
}
