//! The processor's features as a guest sees them.

use core::arch::x86_64::__cpuid_count;

use kvm_bindings::{CpuId, KVM_CPUID_FLAG_SIGNIFCANT_INDEX, kvm_cpuid_entry2};
use unicell_guest_abi::boot::{ANY_PART, CpuidPart};
use unicell_guest_abi::layout::{BOX_GPA, BOX_MAX};

/// Leaves that are told: identity, features, caches, extended state, and addresses, with the parts
/// of each. They are few because each costs an exit to whoever runs this host, where it is a
/// virtual machine itself.
const LEAVES: [(u32, Parts); 8] = [
    (0x0, Parts::None),
    (0x1, Parts::None),
    (0x4, Parts::UntilEmpty),
    (0x7, Parts::Counted),
    (EXTENDED_STATE, Parts::Enabled),
    (0x8000_0000, Parts::None),
    (0x8000_0001, Parts::None),
    (0x8000_0008, Parts::None),
];
pub(super) const EXTENDED_STATE: u32 = 0xd;
/// More parts than any processor counts.
const MAX_COUNTED: u32 = 8;

/// Leaves of CPUID by which programs and libraries choose what they do (SDM vol. 2 and APM vol. 3,
/// CPUID), with the parts of each and the bits of EAX, EBX, ECX and EDX that count.
///
/// Left out is what differs between the processors of one machine, between machines by their
/// number of processors, or in name and speed alone.
pub const PROGRAM_LEAVES: [(u32, u32, [u32; 4]); 15] = [
    (0x0, 1, [ALL; 4]),
    // EBX: the line size for CLFLUSH, not the processor's number.
    (0x1, 1, [ALL, 0xff00, ALL, ALL]),
    (0x2, 1, [ALL; 4]),
    // EAX: the cache's kind, not who shares it.
    (0x4, 5, [0x3fff, ALL, ALL, ALL]),
    (0x7, 3, [ALL; 4]),
    (0xd, 1, [ALL; 4]),
    (0x1d, 2, [ALL; 4]),
    (0x1e, 1, [ALL; 4]),
    (0x24, 1, [ALL; 4]),
    (0x8000_0000, 1, [ALL; 4]),
    (0x8000_0001, 1, [ALL; 4]),
    (0x8000_0005, 1, [ALL; 4]),
    (0x8000_0006, 1, [ALL; 4]),
    // ECX: the number of cores.
    (0x8000_0008, 1, [ALL, ALL, 0, ALL]),
    (0x8000_001d, 5, [0x3fff, ALL, ALL, ALL]),
];
const ALL: u32 = u32::MAX;

/// The numbered parts of a leaf.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Parts {
    /// Part 0 alone.
    None,
    /// From 0 until one says nothing.
    UntilEmpty,
    /// As many more as EAX of part 0 says. Without a number on part 0, a guest was seen to be told
    /// part 1 in its place.
    Counted,
    /// 0, 1 and the components that are in XCR0.
    Enabled,
}

/// Leaf 1, ECX: OSXSAVE, which the VMM has turned on.
const OSXSAVE: u32 = 1 << 27;
/// Leaf 1, EBX: all but the processor's number.
const NOT_APIC_ID: u32 = 0x00ff_ffff;
/// Bits of an address: what the memory map needs, and what four levels of page tables give.
const ADDRESS_BITS: u32 = 64 - (BOX_GPA + BOX_MAX - 1).leading_zeros();
const LINEAR_BITS: u32 = 48;

/// The host's own CPUID. KVM without hardware virtualisation runs the guest's instructions as they
/// are, so that the host's features are the guest's; what it says that it supports is far less.
///
/// Whether the guest then sees this, or the processor's own, depends on whether the processor can
/// make CPUID fault; both say the same.
pub(crate) fn of_host() -> CpuId {
    let mut entries = Vec::with_capacity(24);
    for (function, parts) in LEAVES {
        let first = entry(function, 0, parts != Parts::None);
        entries.push(first);
        match parts {
            Parts::None => {}
            Parts::UntilEmpty => {
                let further = (1..16).map(|index| entry(function, index, true));
                entries.extend(further.take_while(|entry| entry.eax & 0x1f != 0));
            }
            Parts::Counted => {
                let most = first.eax.min(MAX_COUNTED);
                entries.extend((1..=most).map(|index| entry(function, index, true)));
            }
            Parts::Enabled => {
                let components = (2..32).filter(|bit| first.eax & 1 << bit != 0);
                entries.extend(
                    [1].into_iter()
                        .chain(components)
                        .map(|i| entry(function, i, true)),
                );
            }
        }
    }
    for entry in &mut entries {
        match entry.function {
            0x1 => {
                entry.ebx &= NOT_APIC_ID;
                entry.ecx |= OSXSAVE;
            }
            0x8000_0000 => entry.eax = 0x8000_0008,
            0x8000_0008 => {
                let physical = (entry.eax & 0xff).max(ADDRESS_BITS);
                entry.eax = physical | LINEAR_BITS << 8;
            }
            _ => {}
        }
    }
    #[expect(
        clippy::expect_used,
        reason = "a few dozen entries are fewer than the most"
    )]
    CpuId::from_entries(&entries).expect("few entries")
}

/// Takes away the instructions that show the host, as far as CPUID has a word for them, so that
/// programs that ask first do without (SDM vol. 2, CPUID).
pub(crate) fn hide_host(cpuid: &mut CpuId) {
    for entry in cpuid.as_mut_slice() {
        match (entry.function, entry.index) {
            (0x1, _) => entry.ecx &= !(1 << 30), // RDRAND
            (0x7, 0) => {
                entry.ebx &= !(1 << 18); // RDSEED
                entry.ecx &= !(1 << 22); // RDPID
            }
            (0x8000_0001, _) => entry.edx &= !(1 << 27), // RDTSCP
            _ => {}
        }
    }
}

/// The answers of a processor with these features to a guest in which CPUID traps: the leaves of
/// [`PROGRAM_LEAVES`], with the bits of them that count. Returns how many there are.
pub(crate) fn answers(cpuid: &CpuId, answers: &mut [CpuidPart]) -> u32 {
    let mut count = 0;
    for entry in cpuid.as_slice() {
        let known = PROGRAM_LEAVES.iter();
        let Some((.., mask)) = known.clone().find(|(leaf, ..)| *leaf == entry.function) else {
            continue;
        };
        let Some(answer) = answers.get_mut(count) else {
            break;
        };
        let mut values = registers(*entry);
        match (entry.function, entry.index) {
            (0x1, _) => values[2] |= OSXSAVE,
            // Of the state that is on, not of what was on when the host was asked.
            (EXTENDED_STATE, 0) => values[1] = xstate_size(cpuid),
            _ => {}
        }
        let numbered = entry.flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX != 0;
        *answer = CpuidPart {
            leaf: entry.function,
            part: if numbered { entry.index } else { ANY_PART },
            values: std::array::from_fn(|n| values[n] & mask[n]),
        };
        count += 1;
    }
    count as u32
}

fn entry(function: u32, index: u32, numbered: bool) -> kvm_cpuid_entry2 {
    let found = __cpuid_count(function, index);
    kvm_cpuid_entry2 {
        function,
        index,
        flags: if numbered {
            KVM_CPUID_FLAG_SIGNIFCANT_INDEX
        } else {
            0
        },
        eax: found.eax,
        ebx: found.ebx,
        ecx: found.ecx,
        edx: found.edx,
        ..Default::default()
    }
}

/// A leaf of a table.
pub(crate) fn leaf(cpuid: &CpuId, function: u32, index: u32) -> Option<kvm_cpuid_entry2> {
    let is_it = |entry: &&kvm_cpuid_entry2| entry.function == function && entry.index == index;
    cpuid.as_slice().iter().find(is_it).copied()
}

/// EAX, EBX, ECX and EDX.
pub(super) fn registers(entry: kvm_cpuid_entry2) -> [u32; 4] {
    [entry.eax, entry.ebx, entry.ecx, entry.edx]
}

/// Leaves a guest with these features no more extended state than this.
pub(crate) fn restrict_state(cpuid: &mut CpuId, xcr0: u64) {
    for entry in cpuid.as_mut_slice() {
        if (entry.function, entry.index) == (EXTENDED_STATE, 0) {
            entry.eax &= xcr0 as u32;
            entry.edx &= (xcr0 >> 32) as u32;
        }
    }
}

/// The components of extended state that a guest with these features has: all that there are.
pub(crate) fn xcr0(cpuid: &CpuId) -> u64 {
    leaf(cpuid, EXTENDED_STATE, 0).map_or(0, |leaf| u64::from(leaf.eax) | u64::from(leaf.edx) << 32)
}

/// Bytes of their state in XSAVE's standard format: the end of the last (SDM vol. 1, 13.4.2).
pub(crate) fn xstate_size(cpuid: &CpuId) -> u32 {
    /// The legacy region and the header.
    const LEAST: u32 = 576;
    let components = (2..63).filter(|bit| xcr0(cpuid) & 1 << bit != 0);
    let ends = components.filter_map(|component| leaf(cpuid, EXTENDED_STATE, component));
    ends.map(|leaf| leaf.eax.saturating_add(leaf.ebx))
        .fold(LEAST, u32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(entries: &[kvm_cpuid_entry2], room: usize) -> Vec<CpuidPart> {
        let cpuid = CpuId::from_entries(entries).unwrap();
        let mut answers = vec![CpuidPart::default(); room];
        let count = super::answers(&cpuid, &mut answers);
        answers.truncate(count as usize);
        answers
    }

    fn told(function: u32, index: u32, flags: u32) -> kvm_cpuid_entry2 {
        kvm_cpuid_entry2 {
            function,
            index,
            flags,
            eax: ALL,
            ebx: ALL,
            ecx: ALL,
            edx: ALL,
            ..Default::default()
        }
    }

    #[test]
    fn a_trapped_cpuid_tells_what_counts_and_no_more() {
        let numbered = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
        let hypervisor = told(0x4000_0000, 0, 0);
        let answers = answered(&[told(1, 0, 0), hypervisor, told(4, 2, numbered)], 8);
        let [features, cache] = answers[..] else {
            panic!("{answers:?}");
        };
        assert_eq!((features.leaf, features.part), (1, ANY_PART));
        assert_eq!(features.values[1], 0xff00, "the processor's number is told");
        assert_eq!((cache.leaf, cache.part), (4, 2));
        assert_eq!(cache.values[0], 0x3fff, "who shares the cache is told");
    }

    #[test]
    fn more_than_there_is_room_for_is_left_out() {
        let entries: Vec<_> = (0..5).map(|part| told(7, part, 1)).collect();
        assert_eq!(answered(&entries, 3).len(), 3);
    }
}
