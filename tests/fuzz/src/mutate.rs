//! Inputs made of inputs.

use fastrand::Rng;

/// Bytes that ends of ranges, separators and lengths are made of.
const TELLING: [u8; 10] = [0, 1, 0x7f, 0x80, 0xff, b'/', b'.', b'"', b'0', b'7'];
/// The longest piece that is moved, and the longest input.
const PIECE: usize = 600;
const LONGEST: usize = 256 << 10;

/// Changes a few things: bits, bytes, numbers, pieces that go, come again or come from another
/// input.
pub fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut Rng) {
    for _ in 0..random.usize(1..=6) {
        let at = random.usize(..=bytes.len());
        let end = at + random.usize(..=(bytes.len() - at).min(PIECE));
        match random.u32(..12) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let piece = bytes[at..end].to_vec();
                insert(bytes, &piece, random);
            }
            3 => {
                let from = random.usize(..=other.len());
                let len = random.usize(..=(other.len() - from).min(PIECE));
                insert(bytes, &other[from..from + len], random);
            }
            4 => bytes[at..end.min(at + 16)].fill(TELLING[random.usize(..TELLING.len())]),
            5 => insert(bytes, &[random.u8(..)], random),
            // A number of some width becomes another one near to it, or a great one.
            6 => {
                let width = 1 << random.u32(..4);
                if let Some(number) = bytes.get_mut(at..at + width) {
                    let by = [1_u64, u64::MAX, 1 << 31, random.u64(..)][random.usize(..4)];
                    let mut value = [0; 8];
                    value[..width].copy_from_slice(number);
                    let value = u64::from_le_bytes(value).wrapping_add(by);
                    number.copy_from_slice(&value.to_le_bytes()[..width]);
                }
            }
            7 | 8 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = TELLING[random.usize(..TELLING.len())];
                }
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.u32(..8);
                }
            }
        }
    }
    bytes.truncate(LONGEST);
}

fn insert(bytes: &mut Vec<u8>, piece: &[u8], random: &mut Rng) {
    let to = random.usize(..=bytes.len());
    bytes.splice(to..to, piece.iter().copied());
}
