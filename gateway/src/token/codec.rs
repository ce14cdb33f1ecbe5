//! How a token is written. Every value has exactly one spelling, and what is
//! not exactly that is no token.
//!
//! ```text
//! text     "uct1_" and the bytes in base64url without padding
//! bytes    head, number of caveats: u8, caveats, signature: 32 bytes
//! head     nonce: 16 bytes, principal
//! principal  0                                   operator
//!            1, length: u8, name                 client
//!            2, id: 6 bytes, incarnation: u64    instance
//! caveat   kind: u8, length: u16, body
//! ```
//!
//! Numbers are big-endian.

use data_encoding::BASE64URL_NOPAD;
use unicell_gateway_api::id::{Incarnation, InstanceId};
use unicell_gateway_api::instance::Transport;
use unicell_gateway_api::token::{Caveat, Verb};

use super::{Chain, Principal};

/// Most caveats of a token.
pub const MAX_CAVEATS: usize = 16;
/// Most bytes of a token's text.
pub const MAX_TOKEN_LEN: usize = 4096;
/// Most bytes of a client's name.
pub const MAX_CLIENT_LEN: usize = 64;
/// Most bytes of a network's name.
pub const MAX_NETWORK_LEN: usize = 255;

const PREFIX: &str = "uct1_";

mod kind {
    pub(super) const INSTANCE: u8 = 1;
    pub(super) const VERBS: u8 = 2;
    pub(super) const EXPIRES: u8 = 3;
    pub(super) const HOLDER: u8 = 4;
    pub(super) const SLOT: u8 = 5;
    pub(super) const NETWORK: u8 = 6;
}

/// What was given is no token. Nothing of it is told again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// Not even the form.
    #[error("it is not written as a token of this version")]
    Form,
    /// A caveat that this node does not know.
    #[error("it has a caveat that this node does not know")]
    UnknownCaveat,
    /// More than [`MAX_CAVEATS`].
    #[error("it has more than {MAX_CAVEATS} caveats")]
    TooManyCaveats,
    /// More than [`MAX_TOKEN_LEN`].
    #[error("it would be longer than {MAX_TOKEN_LEN} bytes")]
    TooLong,
    /// The name of a client is out of bounds.
    #[error(
        "the name of a client has 1 to {MAX_CLIENT_LEN} of the characters a-z, 0-9, '-', '_', '.'"
    )]
    ClientName,
    /// The name of a network is out of bounds.
    #[error("the name of a network has 1 to {MAX_NETWORK_LEN} bytes")]
    NetworkName,
}

/// Whether a client may have this name.
pub(crate) fn client_name(name: &str) -> Result<(), BadToken> {
    let sound =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    if (1..=MAX_CLIENT_LEN).contains(&name.len()) && name.bytes().all(sound) {
        Ok(())
    } else {
        Err(BadToken::ClientName)
    }
}

/// Whether a caveat can be written.
pub(super) fn check(caveat: &Caveat) -> Result<(), BadToken> {
    match caveat {
        Caveat::Network(name) if !(1..=MAX_NETWORK_LEN).contains(&name.len()) => {
            Err(BadToken::NetworkName)
        }
        _ => Ok(()),
    }
}

/// A caveat as it is read again.
pub(super) fn normal(caveat: Caveat) -> Caveat {
    match caveat {
        Caveat::Verbs(verbs) => Caveat::Verbs(verbs_of(mask(&verbs))),
        other => other,
    }
}

/// The part of a token that the first signature is over.
pub(super) fn head(nonce: &[u8; 16], principal: &Principal) -> Vec<u8> {
    let mut bytes = nonce.to_vec();
    match principal {
        Principal::Operator => bytes.push(0),
        Principal::Client(name) => {
            bytes.push(1);
            // Names were checked when they came in, and are shorter than 256.
            bytes.push(name.len() as u8);
            bytes.extend_from_slice(name.as_bytes());
        }
        Principal::Instance(id, incarnation) => {
            bytes.push(2);
            bytes.extend_from_slice(&instance(*id, *incarnation));
        }
    }
    bytes
}

/// A caveat with its kind and length.
pub(super) fn caveat(caveat: &Caveat) -> Vec<u8> {
    let (kind, body) = match caveat {
        Caveat::Instance { id, incarnation } => (kind::INSTANCE, instance(*id, *incarnation)),
        Caveat::Verbs(verbs) => (kind::VERBS, mask(verbs).to_be_bytes().to_vec()),
        Caveat::Expires(at) => (kind::EXPIRES, at.to_be_bytes().to_vec()),
        Caveat::Holder { id, incarnation } => (kind::HOLDER, instance(*id, *incarnation)),
        Caveat::Slot { port, transport } => {
            let mut body = port.to_be_bytes().to_vec();
            body.push(match transport {
                Transport::Tcp => 6,
                Transport::Udp => 17,
            });
            (kind::SLOT, body)
        }
        Caveat::Network(name) => (kind::NETWORK, name.as_bytes().to_vec()),
    };
    let mut bytes = vec![kind];
    // The longest body is a network's name, at most 255 bytes.
    bytes.extend_from_slice(&(body.len() as u16).to_be_bytes());
    bytes.extend_from_slice(&body);
    bytes
}

fn instance(id: InstanceId, incarnation: Incarnation) -> Vec<u8> {
    let mut bytes = id.bytes().to_vec();
    bytes.extend_from_slice(&incarnation.0.to_be_bytes());
    bytes
}

fn mask(verbs: &[Verb]) -> u32 {
    let place = |verb: &Verb| Verb::ALL.iter().position(|other| other == verb);
    verbs
        .iter()
        .filter_map(place)
        .fold(0, |mask, bit| mask | 1 << bit)
}

fn verbs_of(mask: u32) -> Vec<Verb> {
    let set = |bit: &(usize, &Verb)| mask & 1 << bit.0 != 0;
    Verb::ALL
        .iter()
        .enumerate()
        .filter(set)
        .map(|(_, verb)| *verb)
        .collect()
}

/// A token as text.
pub(super) fn text(chain: &Chain) -> String {
    let mut bytes = head(&chain.nonce, &chain.principal);
    // At most `MAX_CAVEATS`.
    bytes.push(chain.caveats.len() as u8);
    for each in &chain.caveats {
        bytes.extend_from_slice(&caveat(each));
    }
    bytes.extend_from_slice(chain.signature.as_bytes());
    format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&bytes))
}

/// Reads a token.
pub(super) fn parse(text: &str) -> Result<Chain, BadToken> {
    if text.len() > MAX_TOKEN_LEN {
        return Err(BadToken::TooLong);
    }
    let body = text.strip_prefix(PREFIX).ok_or(BadToken::Form)?;
    let bytes = BASE64URL_NOPAD
        .decode(body.as_bytes())
        .map_err(|_| BadToken::Form)?;
    let mut rest = Rest(&bytes);
    let nonce = rest.array()?;
    let principal = rest.principal()?;
    let number = usize::from(rest.byte()?);
    if number > MAX_CAVEATS {
        return Err(BadToken::TooManyCaveats);
    }
    let caveats = (0..number)
        .map(|_| rest.caveat())
        .collect::<Result<_, _>>()?;
    let signature = blake3::Hash::from_bytes(rest.array()?);
    if !rest.0.is_empty() {
        return Err(BadToken::Form);
    }
    Ok(Chain {
        nonce,
        principal,
        caveats,
        signature,
    })
}

/// What has not been read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], BadToken> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(BadToken::Form)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BadToken> {
        self.take(N)?.try_into().map_err(|_| BadToken::Form)
    }

    fn byte(&mut self) -> Result<u8, BadToken> {
        Ok(self.array::<1>()?[0])
    }

    fn instance(&mut self) -> Result<(InstanceId, Incarnation), BadToken> {
        let id = InstanceId::new(self.array()?);
        Ok((id, Incarnation(u64::from_be_bytes(self.array()?))))
    }

    fn string(&mut self, len: usize) -> Result<String, BadToken> {
        let text = std::str::from_utf8(self.take(len)?).map_err(|_| BadToken::Form)?;
        Ok(text.to_owned())
    }

    fn principal(&mut self) -> Result<Principal, BadToken> {
        match self.byte()? {
            0 => Ok(Principal::Operator),
            1 => {
                let len = usize::from(self.byte()?);
                let name = self.string(len)?;
                client_name(&name)?;
                Ok(Principal::Client(name))
            }
            2 => {
                let (id, incarnation) = self.instance()?;
                Ok(Principal::Instance(id, incarnation))
            }
            _ => Err(BadToken::Form),
        }
    }

    fn caveat(&mut self) -> Result<Caveat, BadToken> {
        let kind = self.byte()?;
        let len = usize::from(u16::from_be_bytes(self.array()?));
        let mut body = Rest(self.take(len)?);
        let caveat = match kind {
            kind::INSTANCE => {
                let (id, incarnation) = body.instance()?;
                Caveat::Instance { id, incarnation }
            }
            kind::VERBS => body.verbs()?,
            kind::EXPIRES => Caveat::Expires(u64::from_be_bytes(body.array()?)),
            kind::HOLDER => {
                let (id, incarnation) = body.instance()?;
                Caveat::Holder { id, incarnation }
            }
            kind::SLOT => {
                let port = u16::from_be_bytes(body.array()?);
                let transport = match body.byte()? {
                    6 => Transport::Tcp,
                    17 => Transport::Udp,
                    _ => return Err(BadToken::UnknownCaveat),
                };
                Caveat::Slot { port, transport }
            }
            kind::NETWORK => Caveat::Network(body.string(len)?),
            _ => return Err(BadToken::UnknownCaveat),
        };
        if !body.0.is_empty() {
            return Err(BadToken::Form);
        }
        check(&caveat)?;
        Ok(caveat)
    }

    /// A verb that is not known cannot be meant by anyone here, and a node that
    /// ignored it would permit what a later one would not.
    fn verbs(&mut self) -> Result<Caveat, BadToken> {
        let mask = u32::from_be_bytes(self.array()?);
        if mask >> Verb::ALL.len() != 0 {
            return Err(BadToken::UnknownCaveat);
        }
        Ok(Caveat::Verbs(verbs_of(mask)))
    }
}
