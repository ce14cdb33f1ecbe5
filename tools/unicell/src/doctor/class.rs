//! The CPU class: hosts of one class give the same program the same results to the last bit.

use unicell_vmm::probe::{Leaf, PROGRAM_LEAVES as LEAVES, Probe};

/// A hash of one version of this module's idea of a class is never one of another.
const DOMAIN: &[u8] = b"unicell CPU class 1\0";

/// The leaves and parts that a probe has to ask for.
pub(crate) fn wanted() -> Vec<(u32, u32)> {
    let parts = LEAVES
        .iter()
        .map(|&(leaf, parts, _)| (0..parts).map(move |part| (leaf, part)));
    parts.flatten().collect()
}

/// The class of the CPU that was probed: 32 hexadecimal digits.
pub(crate) fn class(probe: &Probe) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(DOMAIN);
    hasher.update(&probe.xcr0.unwrap_or(0).to_le_bytes());
    for found in &probe.cpuid {
        let values = counting(found, &probe.cpuid);
        for word in [found.leaf, found.part].into_iter().chain(values) {
            hasher.update(&word.to_le_bytes());
        }
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

/// The bits of a leaf that count. A processor answers a leaf above its highest with another one.
fn counting(found: &Leaf, all: &[Leaf]) -> [u32; 4] {
    let first = found.leaf & 0x8000_0000;
    let highest = all.iter().find(|leaf| leaf.leaf == first);
    let is_there = highest.is_some_and(|highest| found.leaf <= highest.values[0]);
    let known = LEAVES.iter().find(|(leaf, ..)| *leaf == found.leaf);
    match known {
        Some((_, _, mask)) if is_there => std::array::from_fn(|n| found.values[n] & mask[n]),
        _ => [0; 4],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe() -> Probe {
        let leaf = |leaf, part, eax| Leaf {
            leaf,
            part,
            values: [eax, 0x0102_0304, 7, 9],
        };
        Probe {
            sights: Vec::new(),
            cpuid: vec![leaf(0, 0, 7), leaf(1, 0, 5), leaf(7, 0, 1), leaf(0xd, 0, 3)],
            xcr0: Some(7),
            baselines: Vec::new(),
            exit_ns: 1,
            syscall_ns: 1,
        }
    }

    fn changed(change: impl FnOnce(&mut Probe)) -> bool {
        let mut other = probe();
        change(&mut other);
        class(&other) != class(&probe())
    }

    #[test]
    fn a_feature_makes_another_class() {
        assert!(changed(|probe| probe.cpuid[1].values[2] ^= 1 << 12));
        assert!(changed(|probe| probe.cpuid[2].values[1] ^= 1 << 5));
        assert!(changed(|probe| probe.xcr0 = Some(0xe7)));
        assert!(changed(|probe| probe.xcr0 = None));
    }

    #[test]
    fn the_number_of_the_processor_and_speed_do_not() {
        assert!(!changed(|probe| probe.cpuid[1].values[1] ^= 0xff << 24));
        assert!(!changed(|probe| probe.exit_ns += 1));
    }

    #[test]
    fn a_leaf_above_the_highest_says_nothing() {
        assert!(!changed(|probe| probe.cpuid[3].values = [1; 4]));
    }

    #[test]
    fn a_class_is_a_short_hash() {
        let class = class(&probe());
        assert_eq!(class.len(), 32);
        assert!(class.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }

    #[test]
    fn every_leaf_is_asked_for_once() {
        let mut wanted = wanted();
        let count = wanted.len();
        wanted.sort_unstable();
        wanted.dedup();
        assert_eq!(wanted.len(), count);
    }
}
