//! Receipts: what a node vouches for having run. `docs/reproducible.md` is for people.
//!
//! A receipt is a JSON document of at most [`MAX`] bytes. The node signs the *claim* in it, in the
//! one form in which this module writes a claim: fields in the order of [`Claim`], no spaces. The
//! *hints* are not signed; they say where to look for what the claim names by its hash.

use std::fmt;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use crate::identity::{Domain, Identity, NodeId, NotHex, Signature};

/// The longest receipt, in bytes.
pub const MAX: usize = 64 << 10;
/// The version of receipts that this module writes and reads.
pub const VERSION: u32 = 1;
/// The longest nonce, in bytes.
pub const NONCE_MAX: usize = 128;

/// A BLAKE3 hash. Written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(pub [u8; 32]);

impl TryFrom<String> for Digest {
    type Error = NotHex;

    fn try_from(text: String) -> Result<Self, NotHex> {
        // The same digits as an id's.
        let id = NodeId::try_from(text)?.to_string();
        let mut bytes = [0; 32];
        let decoded = HEXLOWER.decode(id.as_bytes()).unwrap_or_default();
        bytes.copy_from_slice(&decoded);
        Ok(Self(bytes))
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The program exited with this status.
    Exited(u8),
    /// A signal killed it.
    Signaled(u8),
    /// It was ended otherwise, as this exit code of `unicell run` says.
    Failed(u8),
}

/// Hashes of what was put out, each of all bytes in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// On standard output.
    pub stdout: Digest,
    /// On standard error.
    pub stderr: Digest,
    /// On connections: every message with its header.
    pub streams: Digest,
}

/// What a run was permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Bytes of memory.
    pub memory: u64,
}

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// [`VERSION`].
    pub version: u32,
    /// The id of the service.
    pub service: Digest,
    /// The hash of what it was started with.
    pub configuration: Digest,
    /// The hash of the transcript.
    pub transcript: Digest,
    /// What was put out.
    pub output: Output,
    /// How it ended.
    pub end: End,
    /// The level of reproducible execution that held to the end.
    pub level: String,
    /// The class of the CPU.
    pub cpu_class: String,
    /// The hash of the guest's kernel.
    pub kernel: Digest,
    /// The hash of the program that ran the VM.
    pub vmm: Digest,
    /// What it was permitted.
    pub limits: Limits,
    /// What whoever asked for the receipt gave to know it by.
    pub nonce: Option<String>,
}

/// Where to look. Not signed, never trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hints {
    /// The transcript's name, in the receipt's own directory.
    pub transcript: Option<String>,
    /// The path of the box.
    #[serde(rename = "box")]
    pub source: Option<String>,
    /// What was said differently than the box says, in the words of whoever has run it.
    #[serde(default)]
    pub overrides: serde_json::Value,
}

/// A claim, and who has signed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// What is signed.
    pub claim: Claim,
    /// By whom.
    pub node: NodeId,
    /// So.
    pub signature: Signature,
    /// Where to look.
    #[serde(default)]
    pub hints: Hints,
}

/// Why bytes are no receipt, or none to be believed.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// It is longer than any.
    #[error("a receipt of {0} bytes: the most is {MAX}")]
    TooLong(usize),
    /// It is none.
    #[error("it is no receipt: {0}")]
    Parse(#[from] serde_json::Error),
    /// It is of a version that is not known here.
    #[error("it is a receipt of version {0}, and version {VERSION} is known here")]
    Version(u32),
    /// It says more than it may.
    #[error("its {0} is too long")]
    Field(&'static str),
    /// Somebody else has signed, or something else.
    #[error("its signature is not one of node {0} under this claim")]
    Signature(NodeId),
}

/// Reads a receipt, whoever has written it. That it is signed as it says is another question:
/// [`Receipt::check`].
///
/// # Errors
///
/// It is none.
pub fn parse(bytes: &[u8]) -> Result<Receipt, ReceiptError> {
    const NAME_MAX: usize = 64;
    if bytes.len() > MAX {
        return Err(ReceiptError::TooLong(bytes.len()));
    }
    let receipt: Receipt = serde_json::from_slice(bytes)?;
    let claim = &receipt.claim;
    if claim.version != VERSION {
        return Err(ReceiptError::Version(claim.version));
    }
    for (name, text, most) in [
        ("nonce", claim.nonce.as_deref().unwrap_or(""), NONCE_MAX),
        ("level", &*claim.level, NAME_MAX),
        ("CPU class", &*claim.cpu_class, NAME_MAX),
    ] {
        if text.len() > most {
            return Err(ReceiptError::Field(name));
        }
    }
    Ok(receipt)
}

impl Claim {
    /// What is signed, after the domain.
    fn bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }
}

impl Receipt {
    /// Signs a claim.
    ///
    /// # Errors
    ///
    /// None that a claim made here can cause.
    pub fn sign(claim: Claim, by: &Identity, hints: Hints) -> Result<Self, ReceiptError> {
        let signature = by.sign(Domain::Receipt, &claim.bytes()?);
        let node = by.id();
        Ok(Self {
            claim,
            node,
            signature,
            hints,
        })
    }

    /// Checks that the node that it names has signed its claim.
    ///
    /// # Errors
    ///
    /// It has not.
    pub fn check(&self) -> Result<(), ReceiptError> {
        let bytes = self.claim.bytes()?;
        if self
            .node
            .has_signed(Domain::Receipt, &bytes, &self.signature)
        {
            Ok(())
        } else {
            Err(ReceiptError::Signature(self.node))
        }
    }

    /// The document, for people and programs.
    ///
    /// # Errors
    ///
    /// None that a receipt can cause.
    pub fn to_json(&self) -> Result<String, ReceiptError> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::KeyFile;
    use proptest::prelude::*;

    fn receipt() -> Receipt {
        let digest = |byte| Digest([byte; 32]);
        let claim = Claim {
            version: VERSION,
            service: digest(1),
            configuration: digest(2),
            transcript: digest(3),
            output: Output {
                stdout: digest(4),
                stderr: digest(5),
                streams: digest(6),
            },
            end: End::Exited(0),
            level: "D1".into(),
            cpu_class: "0123".into(),
            kernel: digest(7),
            vmm: digest(8),
            limits: Limits { memory: 64 << 20 },
            nonce: Some("for you".into()),
        };
        let directory = tempfile::tempdir().unwrap();
        let key = KeyFile::new(directory.path().join("key")).create().unwrap();
        Receipt::sign(claim, &key, Hints::default()).unwrap()
    }

    #[test]
    fn a_receipt_comes_back_as_it_was_written() {
        let receipt = receipt();
        let read = parse(receipt.to_json().unwrap().as_bytes()).unwrap();
        assert_eq!(read, receipt);
        read.check().unwrap();
    }

    #[test]
    fn whatever_is_changed_in_a_claim_is_noticed() {
        let honest = receipt();
        let changes: [fn(&mut Receipt); 7] = [
            |r| r.claim.service.0[31] ^= 1,
            |r| r.claim.output.stdout.0[0] ^= 1,
            |r| r.claim.end = End::Exited(1),
            |r| r.claim.level = "D2".into(),
            |r| r.claim.nonce = None,
            |r| r.claim.limits.memory += 1,
            |r| r.node = receipt().node,
        ];
        for change in changes {
            let mut changed = honest.clone();
            change(&mut changed);
            let read = parse(changed.to_json().unwrap().as_bytes()).unwrap();
            assert!(matches!(read.check(), Err(ReceiptError::Signature(_))));
        }
    }

    #[test]
    fn what_says_too_much_is_refused() {
        let text = receipt().to_json().unwrap();
        let more = text.replacen("\"version\"", "\"more\": 1, \"version\"", 1);
        assert!(matches!(
            parse(more.as_bytes()),
            Err(ReceiptError::Parse(_))
        ));
        let long = text.replace("for you", &"x".repeat(NONCE_MAX + 1));
        assert!(matches!(
            parse(long.as_bytes()),
            Err(ReceiptError::Field("nonce"))
        ));
        assert!(matches!(
            parse(&vec![b' '; MAX + 1]),
            Err(ReceiptError::TooLong(_))
        ));
        let other = text.replacen("\"version\": 1", "\"version\": 2", 1);
        assert!(matches!(
            parse(other.as_bytes()),
            Err(ReceiptError::Version(2))
        ));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _ = parse(&bytes);
        }
    }
}
