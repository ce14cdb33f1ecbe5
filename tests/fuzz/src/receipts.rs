//! What a node claims to have run, as whoever checks it reads it.

use unicell_netstack::receipt;
use unicell_vmm::reproducible::{Configuration, transcript};

/// A receipt: what is read is written as what is read again, and its signature is looked at.
pub(crate) fn receipt(bytes: &[u8]) {
    let Ok(read) = receipt::parse(bytes) else {
        return;
    };
    let _ = read.check();
    let text = read.to_json().expect("what was read can be written");
    let again = receipt::parse(text.as_bytes()).expect("what was written can be read");
    assert_eq!(again.to_json().expect("it can be written again"), text);
}

/// A run's configuration: what is read is written byte for byte as it was, or in fewer where numbers
/// were written long, and its run starts from the same randomness.
pub(crate) fn configuration(bytes: &[u8]) {
    let Ok(read) = Configuration::decode(bytes) else {
        return;
    };
    let written = read.encode().expect("what was read can be written");
    assert!(written.len() <= bytes.len());
    assert_eq!(Configuration::decode(&written).as_ref(), Ok(&read));
    read.seed(&[7; 32]).expect("it has a seed");
    let terms = read.terms();
    assert!(terms.level.is_reproducible() || terms.cpu.is_none());
}

/// A transcript, of which each entry stands for itself.
pub(crate) fn transcript(bytes: &[u8]) {
    if let Ok(read) = transcript::parse(bytes) {
        assert!(read.inputs.is_sorted_by_key(|input| input.ask));
        let taken = read.inputs.iter().map(|input| input.data.len());
        assert!(taken.sum::<usize>() <= bytes.len());
    }
}
