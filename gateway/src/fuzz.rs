//! What a fuzzer drives, of what is not public otherwise.

use std::net::Ipv4Addr;

use crate::names::{Lookup, answer};

/// Most bytes of an answer: what fits into a datagram of DNS without extensions.
const MAX_ANSWER: usize = 512;

/// A query of a guest's resolver, of any bytes.
///
/// # Panics
///
/// When the answer is longer than an answer may be.
pub fn dns(query: &[u8]) {
    let known = |name: &str| {
        if name.len().is_multiple_of(2) {
            Lookup::Unknown
        } else {
            Lookup::Known(vec![Ipv4Addr::LOCALHOST.into(); 100])
        }
    };
    if let Some(answer) = answer(query, known) {
        assert!(answer.len() <= MAX_ANSWER, "{} bytes", answer.len());
    }
}
