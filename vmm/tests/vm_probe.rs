//! The probe, on whatever host this is.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use unicell_vmm::hardware_virtualisation;
use unicell_vmm::probe::{Instruction, Probe, Sight, probe};

/// CPUID of this process: EAX, EBX, ECX and EDX.
fn native(leaf: u32) -> [u32; 4] {
    let found = std::arch::x86_64::__cpuid(leaf);
    [found.eax, found.ebx, found.ecx, found.edx]
}

fn sight(probe: &Probe, instruction: Instruction) -> Sight {
    let found = probe.sights.iter().find(|(found, _)| *found == instruction);
    found.unwrap().1
}

#[test]
fn every_instruction_is_judged_and_the_processors_name_is_seen() {
    let probe = probe(&[(0, 0), (1, 0)]).unwrap();
    assert_eq!(probe.sights.len(), Instruction::ALL.len());
    assert_eq!(probe.cpuid.len(), 2);
    assert_eq!(probe.cpuid[0].values[1..], native(0)[1..], "the vendor");
    assert_eq!(
        probe.cpuid[1].values[0],
        native(1)[0],
        "family, model and stepping"
    );
    assert!(probe.xcr0.is_some_and(|xcr0| xcr0 & 3 == 3), "{probe:?}");
    assert!(probe.exit_ns > 0 && probe.syscall_ns > 0, "{probe:?}");
}

/// Libraries choose their code by leaf 7: AVX2 and SHA-NI of the host must not be lost.
#[test]
fn the_hosts_vector_and_hash_instructions_are_told() {
    const AVX2_AND_SHA: u32 = 1 << 5 | 1 << 29;
    let probe = probe(&[(7, 0)]).unwrap();
    let native = std::arch::x86_64::__cpuid_count(7, 0).ebx;
    let told = probe.cpuid[0].values[1];
    assert_eq!(
        told & AVX2_AND_SHA,
        native & AVX2_AND_SHA,
        "{told:#x} of {native:#x}"
    );
}

#[test]
fn what_is_to_be_hidden_is_hidden() {
    let probe = probe(&[]).unwrap();
    assert_eq!(sight(&probe, Instruction::Cpuid), Sight::Trapped);
    if hardware_virtualisation() {
        assert_eq!(sight(&probe, Instruction::Rdtsc), Sight::Trapped);
        assert_eq!(sight(&probe, Instruction::Rdtscp), Sight::Trapped);
        assert_eq!(sight(&probe, Instruction::Xgetbv), Sight::Masked);
    } else {
        assert_eq!(sight(&probe, Instruction::Rdtsc), Sight::TrappedByThread);
        assert_eq!(sight(&probe, Instruction::Rdtscp), Sight::TrappedByThread);
    }
}

#[test]
fn what_the_probe_finds_stays() {
    let leaves = [(0, 0), (1, 0), (7, 0), (0xd, 0), (0x8000_0001, 0)];
    let (first, second) = (probe(&leaves).unwrap(), probe(&leaves).unwrap());
    assert_eq!(first.sights, second.sights);
    let stable = |probe: &Probe| -> Vec<_> {
        // Leaf 1 tells the number of the processor that answers.
        let rest = |leaf: &&unicell_vmm::probe::Leaf| leaf.leaf != 1;
        probe.cpuid.iter().filter(rest).copied().collect()
    };
    assert_eq!(stable(&first), stable(&second));
    assert_eq!(first.xcr0, second.xcr0);
}
