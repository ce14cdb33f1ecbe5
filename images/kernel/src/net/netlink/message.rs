//! What messages look like (netlink(7)): a header, a structure of the kind, attributes.

use alloc::vec::Vec;

use linux_raw_sys::netlink;

/// Bytes of a header (`struct nlmsghdr`).
pub(super) const HEADER: usize = 16;
/// Bytes of the header of an attribute (`struct nlattr`).
const ATTRIBUTE: usize = 4;

/// Messages and attributes begin at multiples of 4.
pub(super) fn aligned(len: usize) -> usize {
    len.next_multiple_of(netlink::NLMSG_ALIGNTO as usize)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .copied()
        .map(u32::from_ne_bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes
        .get(at..)?
        .first_chunk()
        .copied()
        .map(u16::from_ne_bytes)
}

/// A message that a program has sent.
#[derive(Clone, Copy)]
pub(super) struct Message<'a> {
    /// All of it, the header first.
    pub(super) bytes: &'a [u8],
    /// NLMSG_*, RTM_*.
    pub(super) kind: u16,
    /// NLM_F_*.
    pub(super) flags: u16,
    /// The program's own number of it.
    pub(super) sequence: u32,
}

impl<'a> Message<'a> {
    /// The first of some bytes, and what follows it; none if there is no whole one.
    pub(super) fn first(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let len = u32_at(bytes, 0)? as usize;
        if len < HEADER || len > bytes.len() {
            return None;
        }
        let message = Self {
            bytes: &bytes[..len],
            kind: u16_at(bytes, 4)?,
            flags: u16_at(bytes, 6)?,
            sequence: u32_at(bytes, 8)?,
        };
        Some((message, &bytes[aligned(len).min(bytes.len())..]))
    }

    /// What follows the header.
    pub(super) fn payload(&self) -> &'a [u8] {
        &self.bytes[HEADER..]
    }

    pub(super) fn has(&self, flag: u32) -> bool {
        u32::from(self.flags) & flag != 0
    }

    /// The value of an attribute behind a structure of `fixed` bytes.
    pub(super) fn attribute(&self, fixed: usize, kind: u16) -> Option<&'a [u8]> {
        let mut rest = self.payload().get(aligned(fixed)..)?;
        loop {
            let len = usize::from(u16_at(rest, 0)?);
            let value = rest.get(ATTRIBUTE..len)?;
            if u16_at(rest, 2)? == kind {
                return Some(value);
            }
            rest = rest.get(aligned(len)..)?;
        }
    }

    /// The whole number at an offset of the structure.
    pub(super) fn number(&self, at: usize) -> Option<u32> {
        u32_at(self.payload(), at)
    }
}

/// Answers to one message, one after the other.
pub(super) struct Answers {
    bytes: Vec<u8>,
    /// Where the message begins that is being written.
    start: usize,
    sequence: u32,
    /// The number of the socket that they are for.
    port: u32,
}

impl Answers {
    /// None yet, to `to`.
    pub(super) fn new(to: &Message<'_>, port: u32) -> Self {
        Self {
            bytes: Vec::new(),
            start: 0,
            sequence: to.sequence,
            port,
        }
    }

    /// Begins another message.
    pub(super) fn begin(&mut self, kind: u32, flags: u32) {
        self.bytes.resize(aligned(self.bytes.len()), 0);
        self.start = self.bytes.len();
        self.bytes.extend([0; 4]);
        self.bytes.extend((kind as u16).to_ne_bytes());
        self.bytes.extend((flags as u16).to_ne_bytes());
        self.bytes.extend(self.sequence.to_ne_bytes());
        self.bytes.extend(self.port.to_ne_bytes());
        self.measure();
    }

    fn measure(&mut self) {
        let len = (self.bytes.len() - self.start) as u32;
        self.bytes[self.start..self.start + 4].copy_from_slice(&len.to_ne_bytes());
    }

    /// Adds bytes of the message's structure.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        self.measure();
    }

    /// Adds an attribute.
    pub(super) fn attribute(&mut self, kind: u32, value: &[u8]) {
        self.bytes
            .extend(((ATTRIBUTE + value.len()) as u16).to_ne_bytes());
        self.bytes.extend((kind as u16).to_ne_bytes());
        self.bytes.extend(value);
        self.bytes.resize(aligned(self.bytes.len()), 0);
        self.measure();
    }

    /// Adds an attribute that is a number.
    pub(super) fn number(&mut self, kind: u32, value: u32) {
        self.attribute(kind, &value.to_ne_bytes());
    }

    /// All of them.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Vec<u8> {
        let asked = [HEADER as u32 + 8 + 8, 0x0301_0012, 7, 0];
        let mut bytes: Vec<u8> = asked.iter().flat_map(|word| word.to_ne_bytes()).collect();
        bytes.extend([1; 8]);
        bytes.extend([7, 0, 3, 0, b'l', b'o', 0, 0]);
        bytes
    }

    #[test]
    fn a_message_and_its_attribute_are_found() {
        let mut bytes = request();
        bytes.extend([9; 3]);
        let (message, rest) = Message::first(&bytes).unwrap();
        assert_eq!(
            (message.kind, message.flags, message.sequence),
            (0x12, 0x301, 7)
        );
        assert_eq!(rest, [9; 3]);
        assert_eq!(message.attribute(8, 3), Some(&b"lo\0"[..]));
        assert_eq!(message.attribute(8, 4), None);
        assert!(Message::first(rest).is_none());
    }

    #[test]
    fn lengths_that_lie_are_no_messages_and_no_attributes() {
        for len in [0_u32, 15, 33, u32::MAX] {
            let mut bytes = request();
            bytes[..4].copy_from_slice(&len.to_ne_bytes());
            assert!(Message::first(&bytes).is_none(), "{len}");
        }
        for len in [0_u16, 3, 9, u16::MAX] {
            let mut bytes = request();
            bytes[24..26].copy_from_slice(&len.to_ne_bytes());
            let (message, _) = Message::first(&bytes).unwrap();
            assert_eq!(message.attribute(8, 3), None, "{len}");
            assert_eq!(message.attribute(100, 3), None);
        }
    }

    #[test]
    fn answers_are_aligned_and_measured() {
        let bytes = request();
        let (message, _) = Message::first(&bytes).unwrap();
        let mut answers = Answers::new(&message, 5);
        answers.begin(16, 2);
        answers.add(&[1; 8]);
        answers.attribute(3, b"lo\0");
        answers.begin(3, 2);
        answers.add(&[0; 4]);
        let answered = answers.into_bytes();
        let (first, rest) = Message::first(&answered).unwrap();
        assert_eq!((first.bytes.len(), first.sequence), (32, 7));
        assert_eq!(first.attribute(8, 3), Some(&b"lo\0"[..]));
        let (second, rest) = Message::first(rest).unwrap();
        assert_eq!(
            (second.kind, second.payload(), rest.len()),
            (3, &[0; 4][..], 0)
        );
    }
}
