//! Baselines: processors that are the same on every host, so that runs on different ones can be
//! compared.
//!
//! A baseline is a table of CPUID leaves with nothing of the host in it. Its features are those of a
//! level of the System V ABI for x86-64 (3.1.1, "Processor Architecture") and those that every guest
//! of ours has; all else (vendor, model, caches) is that of the first processors of the level, since
//! libraries choose by it: glibc how it copies, for one.

use std::fmt;

use kvm_bindings::CpuId;
use serde::{Deserialize, Serialize};
use unicell_guest_abi::boot::{ANY_PART, CPUID_MAX, CpuidPart};

use super::cpuid::{self, EXTENDED_STATE};

/// A hash of one version of this module's tables is never taken for one of something else.
const DOMAIN: &[u8] = b"unicell CPU baseline 1\0";

/// A processor that is the same on every host that offers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Baseline {
    /// x86-64-v2: to SSE4.2, without AVX and without XSAVE, so that no program that asks what it may
    /// use looks at XCR0.
    V2,
    /// x86-64-v3: to AVX2 and FMA. A program that may use AVX looks at XCR0, so this one is offered
    /// only where that can be made to say what the baseline does.
    V3,
}

/// Why a host does not offer a baseline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOffered {
    /// Its processor, or its KVM, lacks features.
    #[error("this host lacks {} of {baseline}", features.join(", "))]
    Features {
        /// The baseline.
        baseline: Baseline,
        /// Their names.
        features: Vec<&'static str>,
    },
    /// Programs would see more extended state than the baseline has, and save it where there is no
    /// room for it.
    #[error(
        "this host cannot restrict the processor's extended state (XCR0) to that of {baseline}, \
         and programs that use AVX look at it"
    )]
    State {
        /// The baseline.
        baseline: Baseline,
    },
}

const EBX: usize = 1;
const ECX: usize = 2;
const EDX: usize = 3;

/// A feature: a bit of a register of a leaf (SDM vol. 2 and APM vol. 3, CPUID).
struct Feature {
    leaf: u32,
    register: usize,
    bit: u32,
    name: &'static str,
}

const fn feature(leaf: u32, register: usize, bit: u32, name: &'static str) -> Feature {
    Feature {
        leaf,
        register,
        bit,
        name,
    }
}

/// Extended leaves: which is the highest, and features.
const EXTENDED: u32 = 0x8000_0000;
const EXTENDED_FEATURES: u32 = 0x8000_0001;

/// What every processor with 64 bits has, as far as programs see it; and FSGSBASE, which the guest's
/// kernel turns on.
const COMMON: [Feature; 16] = [
    feature(1, EDX, 0, "FPU"),
    feature(1, EDX, 4, "TSC"),
    feature(1, EDX, 6, "PAE"),
    feature(1, EDX, 8, "CMPXCHG8B"),
    feature(1, EDX, 13, "PGE"),
    feature(1, EDX, 15, "CMOV"),
    feature(1, EDX, 16, "PAT"),
    feature(1, EDX, 19, "CLFLUSH"),
    feature(1, EDX, 23, "MMX"),
    feature(1, EDX, 24, "FXSR"),
    feature(1, EDX, 25, "SSE"),
    feature(1, EDX, 26, "SSE2"),
    feature(7, EBX, 0, "FSGSBASE"),
    feature(EXTENDED_FEATURES, EDX, 11, "SYSCALL"),
    feature(EXTENDED_FEATURES, EDX, 20, "NX"),
    feature(EXTENDED_FEATURES, EDX, 29, "LM"),
];

/// What x86-64-v2 adds.
const V2: [Feature; 7] = [
    feature(1, ECX, 0, "SSE3"),
    feature(1, ECX, 9, "SSSE3"),
    feature(1, ECX, 13, "CMPXCHG16B"),
    feature(1, ECX, 19, "SSE4.1"),
    feature(1, ECX, 20, "SSE4.2"),
    feature(1, ECX, 23, "POPCNT"),
    feature(EXTENDED_FEATURES, ECX, 0, "LAHF"),
];

/// What x86-64-v3 adds, beside OSXSAVE, which is the guest's own doing.
const V3: [Feature; 9] = [
    feature(1, ECX, 12, "FMA"),
    feature(1, ECX, 22, "MOVBE"),
    feature(1, ECX, 26, "XSAVE"),
    feature(1, ECX, 28, "AVX"),
    feature(1, ECX, 29, "F16C"),
    feature(7, EBX, 3, "BMI1"),
    feature(7, EBX, 5, "AVX2"),
    feature(7, EBX, 8, "BMI2"),
    feature(EXTENDED_FEATURES, ECX, 5, "LZCNT"),
];

/// The bits of these features in a register of a leaf.
const fn bits(features: &[Feature], leaf: u32, register: usize) -> u32 {
    let (mut bits, mut at) = (0, 0);
    while at < features.len() {
        if features[at].leaf == leaf && features[at].register == register {
            bits |= 1 << features[at].bit;
        }
        at += 1;
    }
    bits
}

const fn part(leaf: u32, part: u32, values: [u32; 4]) -> CpuidPart {
    CpuidPart { leaf, part, values }
}

/// A leaf without parts.
const fn whole(leaf: u32, values: [u32; 4]) -> CpuidPart {
    part(leaf, ANY_PART, values)
}

/// Four characters of a text as a register has them.
const fn four(text: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([text[at], text[at + 1], text[at + 2], text[at + 3]])
}

/// A third of the processor's name.
const fn name(text: &[u8; 48], third: u32) -> CpuidPart {
    let at = 16 * third as usize;
    let values = [
        four(text, at),
        four(text, at + 4),
        four(text, at + 8),
        four(text, at + 12),
    ];
    whole(0x8000_0002 + third, values)
}

/// A cache that belongs to the one processor there is, of lines of 64 bytes.
const fn cache(index: u32, kind: u32, level: u32, ways: u32, sets: u32) -> CpuidPart {
    const SELF_INITIALIZING: u32 = 1 << 8;
    let values = [
        kind | level << 5 | SELF_INITIALIZING,
        63 | (ways - 1) << 22,
        sets - 1,
        0,
    ];
    part(4, index, values)
}

/// What is the same in both: L1 of 32 KiB for data and as much for code, L2 of 256 KiB, L3 of 8 MiB.
const CACHES: [CpuidPart; 4] = [
    cache(0, 1, 1, 8, 64),
    cache(1, 2, 1, 8, 64),
    cache(2, 3, 2, 8, 512),
    cache(3, 3, 3, 16, 8192),
];
/// Leaf 2: "leaf 4 tells" (descriptor 0xff), in the first of the bytes after the count.
const SEE_LEAF_4: [u32; 4] = [0xff01, 0, 0, 0];
/// Leaf 0x8000_0006, ECX: L2 once more.
const L2: [u32; 4] = [0, 0, 256 << 16 | 6 << 12 | 64, 0];
/// Bits of physical and of linear addresses.
const ADDRESSES: [u32; 4] = [40 | 48 << 8, 0, 0, 0];
/// CLFLUSH takes 64 bytes.
const LINES: u32 = 8 << 8;
/// Leaf 1, ECX.
const OSXSAVE: u32 = 1 << 27;
/// The legacy region and the header of extended state, and the upper halves of YMM after them.
const YMM_AT: u32 = 576;
const YMM_SIZE: u32 = 256;

const fn vendor(highest: u32) -> CpuidPart {
    const NAME: &[u8] = b"GenuineIntel";
    whole(0, [highest, four(NAME, 0), four(NAME, 8), four(NAME, 4)])
}

/// Bits of EAX, EBX, ECX and EDX of a leaf, of those that count up to these lists.
const fn features(leaf: u32, lists: [&[Feature]; 3]) -> [u32; 4] {
    let (mut values, mut register) = ([0; 4], 0);
    while register < values.len() {
        values[register] = bits(lists[0], leaf, register)
            | bits(lists[1], leaf, register)
            | bits(lists[2], leaf, register);
        register += 1;
    }
    values
}

/// Leaf 1 of a processor of this signature.
const fn first(signature: u32, [_, _, ecx, edx]: [u32; 4], more: u32) -> CpuidPart {
    whole(1, [signature, LINES, ecx | more, edx])
}

/// Of a Nehalem: family 6, model 26.
const TABLE_V2: [CpuidPart; 14] = {
    const HAS: [&[Feature]; 3] = [&COMMON, &V2, &[]];
    const NAME: [u8; 48] =
        *b"Unicell x86-64-v2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    [
        vendor(7),
        first(0x0001_06a5, features(1, HAS), 0),
        whole(2, SEE_LEAF_4),
        CACHES[0],
        CACHES[1],
        CACHES[2],
        CACHES[3],
        part(7, 0, features(7, HAS)),
        whole(EXTENDED, [0x8000_0008, 0, 0, 0]),
        whole(EXTENDED_FEATURES, features(EXTENDED_FEATURES, HAS)),
        name(&NAME, 0),
        name(&NAME, 1),
        whole(0x8000_0006, L2),
        whole(0x8000_0008, ADDRESSES),
    ]
};

/// Of a Haswell: family 6, model 60.
const TABLE_V3: [CpuidPart; 16] = {
    const HAS: [&[Feature]; 3] = [&COMMON, &V2, &V3];
    const NAME: [u8; 48] =
        *b"Unicell x86-64-v3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    const SIZE: u32 = YMM_AT + YMM_SIZE;
    [
        vendor(EXTENDED_STATE),
        first(0x0003_06c3, features(1, HAS), OSXSAVE),
        whole(2, SEE_LEAF_4),
        CACHES[0],
        CACHES[1],
        CACHES[2],
        CACHES[3],
        part(7, 0, features(7, HAS)),
        part(EXTENDED_STATE, 0, [0b111, SIZE, SIZE, 0]),
        part(EXTENDED_STATE, 2, [YMM_SIZE, YMM_AT, 0, 0]),
        whole(EXTENDED, [0x8000_0008, 0, 0, 0]),
        whole(EXTENDED_FEATURES, features(EXTENDED_FEATURES, HAS)),
        name(&NAME, 0),
        name(&NAME, 1),
        whole(0x8000_0006, L2),
        whole(0x8000_0008, ADDRESSES),
    ]
};

const _: () = assert!(TABLE_V2.len() <= CPUID_MAX && TABLE_V3.len() <= CPUID_MAX);

impl Baseline {
    /// All of them, the most widely offered first.
    pub const ALL: [Self; 2] = [Self::V2, Self::V3];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V2 => "x86-64-v2",
            Self::V3 => "x86-64-v3",
        }
    }

    /// The CPU class of runs on it: its name, and 16 hexadecimal digits of a hash of its table.
    #[must_use]
    pub fn class(self) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(DOMAIN);
        hasher.update(&self.xcr0().to_le_bytes());
        for part in self.table() {
            for word in [part.leaf, part.part].into_iter().chain(part.values) {
                hasher.update(&word.to_le_bytes());
            }
        }
        let hash = hasher.finalize().to_hex();
        format!("{}-{}", self.name(), &hash[..16])
    }

    /// What CPUID answers.
    pub(crate) const fn table(self) -> &'static [CpuidPart] {
        match self {
            Self::V2 => &TABLE_V2,
            Self::V3 => &TABLE_V3,
        }
    }

    /// Puts down what CPUID answers. Returns how many parts there are.
    pub(crate) fn answers(self, answers: &mut [CpuidPart]) -> u32 {
        let table = self.table();
        for (answer, part) in answers.iter_mut().zip(table) {
            *answer = *part;
        }
        table.len() as u32
    }

    /// The components of extended state that it has: x87 and SSE, and with AVX the upper halves of
    /// YMM.
    pub(crate) const fn xcr0(self) -> u64 {
        match self {
            Self::V2 => 0b11,
            Self::V3 => 0b111,
        }
    }

    /// Leaf 1, EDX.
    pub(crate) fn features(self) -> u32 {
        let first = self.table().iter().find(|part| part.leaf == 1);
        first.map_or(0, |part| part.values[EDX])
    }

    /// Whether a host offers it whose guests have these features; `restricts` if it can restrict
    /// their XCR0.
    ///
    /// # Errors
    ///
    /// It does not, and why.
    pub(crate) fn offered_by(self, host: &CpuId, restricts: bool) -> Result<(), NotOffered> {
        let lists: &[&[Feature]] = match self {
            Self::V2 => &[&COMMON, &V2],
            Self::V3 => &[&COMMON, &V2, &V3],
        };
        let lacks = |feature: &&Feature| {
            let told = cpuid::leaf(host, feature.leaf, 0).map_or([0; 4], cpuid::registers);
            told[feature.register] >> feature.bit & 1 == 0
        };
        let lacking = lists.iter().flat_map(|list| list.iter()).filter(lacks);
        let features: Vec<_> = lacking.map(|feature| feature.name).collect();
        if !features.is_empty() {
            return Err(NotOffered::Features {
                baseline: self,
                features,
            });
        }
        let tells_state = self.table().iter().any(|part| part.leaf == EXTENDED_STATE);
        if tells_state && !restricts && cpuid::xcr0(host) != self.xcr0() {
            return Err(NotOffered::State { baseline: self });
        }
        Ok(())
    }
}

impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use kvm_bindings::kvm_cpuid_entry2;

    use super::*;

    /// A host with exactly what a baseline has.
    fn host(of: Baseline, xcr0: u32) -> Vec<kvm_cpuid_entry2> {
        let entry = |part: &CpuidPart| kvm_cpuid_entry2 {
            function: part.leaf,
            index: if part.part == ANY_PART { 0 } else { part.part },
            eax: if part.leaf == EXTENDED_STATE {
                xcr0
            } else {
                part.values[0]
            },
            ebx: part.values[1],
            ecx: part.values[2],
            edx: part.values[3],
            ..Default::default()
        };
        of.table().iter().map(entry).collect()
    }

    fn offered(
        baseline: Baseline,
        host: &[kvm_cpuid_entry2],
        restricts: bool,
    ) -> Result<(), NotOffered> {
        baseline.offered_by(&CpuId::from_entries(host).unwrap(), restricts)
    }

    fn told(baseline: Baseline, leaf: u32) -> [u32; 4] {
        let found = baseline.table().iter().find(|part| part.leaf == leaf);
        found.unwrap().values
    }

    /// Whoever changes a table makes another class of it: receipts of the old one are not comparable
    /// any more, and the documentation names the new one.
    #[test]
    fn the_tables_are_those_that_receipts_name() {
        let classes = Baseline::ALL.map(Baseline::class);
        assert_eq!(
            classes,
            ["x86-64-v2-ed3f9f10aa783b4e", "x86-64-v3-8824e6daf9b90d62"]
        );
    }

    #[test]
    fn the_features_are_those_of_the_level() {
        // As `-cpu Nehalem` and `-cpu Haswell` of QEMU have them, of those that are the level's.
        assert_eq!(told(Baseline::V2, 1)[ECX], 0x0098_2201);
        assert_eq!(told(Baseline::V2, 1)[EDX], 0x0789_a151);
        assert_eq!(told(Baseline::V2, 7)[EBX], 1);
        assert_eq!(told(Baseline::V2, EXTENDED_FEATURES)[ECX], 1);
        assert_eq!(told(Baseline::V3, 1)[ECX], 0x3cd8_3201);
        assert_eq!(told(Baseline::V3, 7)[EBX], 0x129);
        assert_eq!(told(Baseline::V3, EXTENDED_FEATURES)[ECX], 0x21);
    }

    #[test]
    fn a_host_offers_what_it_has_and_says_what_it_lacks() {
        let host = host(Baseline::V2, 7);
        assert_eq!(offered(Baseline::V2, &host, false), Ok(()));
        let refused = offered(Baseline::V3, &host, true).unwrap_err();
        let said = refused.to_string();
        assert!(said.contains("FMA"), "{said}");
        assert!(said.ends_with("of x86-64-v3"), "{said}");
    }

    #[test]
    fn avx_is_offered_only_where_xcr0_tells_no_more() {
        let more = host(Baseline::V3, 0xe7);
        let refused = offered(Baseline::V3, &more, false);
        assert!(matches!(refused, Err(NotOffered::State { .. })));
        assert_eq!(offered(Baseline::V3, &more, true), Ok(()));
        assert_eq!(offered(Baseline::V2, &more, false), Ok(()));
        assert_eq!(offered(Baseline::V3, &host(Baseline::V3, 7), false), Ok(()));
    }

    #[test]
    fn the_name_is_the_brand() {
        for baseline in Baseline::ALL {
            let thirds = baseline.table().iter();
            let thirds = thirds.filter(|part| (0x8000_0002..0x8000_0005).contains(&part.leaf));
            let bytes = thirds
                .flat_map(|part| part.values)
                .flat_map(u32::to_le_bytes);
            let text = String::from_utf8(bytes.collect()).unwrap();
            assert_eq!(text.trim_end_matches('\0'), format!("Unicell {baseline}"));
        }
    }

    #[test]
    fn caches_have_the_sizes_that_are_told_twice() {
        for baseline in Baseline::ALL {
            let parts = baseline.table().iter().filter(|part| part.leaf == 4);
            let size = |part: &CpuidPart| {
                let [_, ways, sets, _] = part.values;
                ((ways >> 22) + 1) * ((ways & 0xfff) + 1) * (sets + 1)
            };
            let sizes: Vec<_> = parts.map(size).collect();
            assert_eq!(sizes, [32 << 10, 32 << 10, 256 << 10, 8 << 20]);
            assert_eq!(told(baseline, 0x8000_0006)[ECX] >> 16, sizes[2] >> 10);
        }
    }
}
