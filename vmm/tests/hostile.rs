//! Guests that break the rules: each ends itself, with a reason, and nothing else.

mod common;

use common::guest::{TRAP_VECTOR, TRAPS};
use common::script::{INDIRECT, LOW, NEXT, WRITE};
use common::{SCRATCH, Script, exited, run, told, va};
use unicell_guest_abi::device::{AVAIL_OFFSET, CHAIN_MAX, CONSOLE, CONTROL, RX, TX, ring_gpa};
use unicell_guest_abi::layout::{DEVICE_GPA, DEVICE_VA, KERNEL_GPA, RAM_MIN, TRAP_GPA};
use unicell_guest_abi::message::channel;
use unicell_guest_abi::platform;
use unicell_vmm::End;

/// Runs a script that must end its instance for a reason with these words.
#[track_caller]
fn ends(script: &Script, end: End, words: &str) {
    let (outcome, _) = run(script);
    assert_eq!(outcome.end, end, "{}", told(&outcome));
    assert!(outcome.text.contains(words), "{}", told(&outcome));
    assert!(outcome.report.is_some());
}

#[track_caller]
fn violates(script: &Script, words: &str) {
    // Should the violation go unnoticed, the guest says so.
    ends(&script.clone().park(1), End::Violation, words);
}

/// Offers one descriptor on the console queue and lets the device find it.
fn descriptor(gpa: u64, len: u32, flags: u16, next: u16) -> Script {
    let script = Script::new().descriptor(CONSOLE, 0, gpa, len, flags, next);
    script.offer(CONSOLE, 0).park(platform::NEVER)
}

#[test]
fn a_descriptor_beyond_ram_is_a_violation() {
    violates(
        &descriptor(0xdead_0000_0000, 16, 0, 0),
        "where there is no memory",
    );
}

#[test]
fn a_descriptor_across_the_end_of_ram_is_a_violation() {
    violates(
        &descriptor(RAM_MIN - 8, 16, 0, 0),
        "where there is no memory",
    );
}

#[test]
fn a_descriptor_that_wraps_around_is_a_violation() {
    violates(
        &descriptor(u64::MAX - 4, 16, 0, 0),
        "where there is no memory",
    );
}

#[test]
fn a_descriptor_in_the_device_is_a_violation() {
    violates(
        &descriptor(DEVICE_GPA, 16, 0, 0),
        "where there is no memory",
    );
}

#[test]
fn a_writable_descriptor_in_the_kernel_image_is_a_violation() {
    violates(
        &descriptor(KERNEL_GPA, 16, WRITE, 0),
        "where there is no memory",
    );
}

#[test]
fn a_chain_that_loops_is_a_violation() {
    violates(&descriptor(SCRATCH, 16, NEXT, 0), "does not end");
}

#[test]
fn a_chain_that_loops_without_bytes_is_a_violation() {
    violates(&descriptor(SCRATCH, 0, NEXT, 0), "does not end");
}

#[test]
fn a_chain_that_is_too_long_is_a_violation() {
    violates(
        &descriptor(SCRATCH, CHAIN_MAX + 1, 0, 0),
        "more than 131072 bytes",
    );
}

#[test]
fn a_chain_that_leaves_the_table_is_a_violation() {
    violates(
        &descriptor(SCRATCH, 16, NEXT, 64),
        "descriptor 64, beyond the table",
    );
}

#[test]
fn an_indirect_descriptor_is_a_violation() {
    violates(&descriptor(SCRATCH, 16, INDIRECT, 0), "indirect");
}

#[test]
fn a_readable_descriptor_after_a_writable_one_is_a_violation() {
    let script = Script::new().descriptor(CONSOLE, 1, SCRATCH, 16, 0, 0);
    let script = script.descriptor(CONSOLE, 0, SCRATCH, 16, WRITE | NEXT, 1);
    violates(
        &script.offer(CONSOLE, 0).park(platform::NEVER),
        "after a writable one",
    );
}

#[test]
fn a_head_beyond_the_table_is_a_violation() {
    let script = Script::new().offer(CONSOLE, 0xffff).park(platform::NEVER);
    violates(&script, "descriptor 65535, beyond the table");
}

#[test]
fn an_index_that_runs_ahead_is_a_violation() {
    let index = va(ring_gpa(TX)) + AVAIL_OFFSET + 2;
    let script = Script::new()
        .store16(index, 65)
        .ring(TX)
        .park(platform::NEVER);
    violates(&script, "more than a queue ahead");
}

#[test]
fn messages_that_make_no_sense_are_violations() {
    let message = |words: [u32; 4], readable: u32, writable: u32, queue| {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let script = Script::new().bytes(SCRATCH, &bytes);
        let script = match (readable, writable) {
            (0, len) => script.descriptor(queue, 0, SCRATCH, len, WRITE, 0),
            (len, 0) => script.descriptor(queue, 0, SCRATCH, len, 0, 0),
            (len, room) => script
                .descriptor(queue, 0, SCRATCH, len, NEXT, 1)
                .descriptor(queue, 1, SCRATCH + 64, room, WRITE, 0),
        };
        script.offer(queue, 0).park(platform::NEVER)
    };
    let stdout = channel::STDOUT;
    let cases = [
        (
            message([stdout, 0, 0, 0], 4, 4, CONSOLE),
            "without a header",
        ),
        (
            message([stdout, 0, 0, 0], 0, 4, CONSOLE),
            "without a header",
        ),
        (
            message([stdout, 9, 0, 0], 16, 4, CONSOLE),
            "of another length",
        ),
        (
            message([stdout, 8, 0, 0], 16, 0, CONSOLE),
            "of another length",
        ),
        (
            message([stdout, 8, 0, 0], 16, 8, CONSOLE),
            "of another length",
        ),
        (message([5, 8, 0, 0], 16, 4, CONSOLE), "unknown channel"),
        (message([1, 1, 0, 0], 8, 8, CONTROL), "without a header"),
        (message([1, 1, 0, 1], 16, 8, CONTROL), "of another length"),
        (message([1, 1, 0, 0], 16, 4, CONTROL), "of another length"),
        (message([1, 1, 0, 0], 8, 0, TX), "without a header"),
        (message([1, 1, 1, 0], 16, 0, TX), "of another length"),
        (message([1, 1, 0, 0], 16, 0, TX), "no credit"),
        (message([1, 9, 0, 0], 16, 0, TX), "no credit"),
        (message([0; 4], 0, 15, RX), "too short"),
        (message([0; 4], 4, 32, RX), "not empty"),
    ];
    for (script, words) in cases {
        violates(&script, words);
    }
}

#[test]
fn registers_are_accessed_by_four_bytes_or_not_at_all() {
    let at = |offset| DEVICE_VA + offset;
    for script in [
        Script::new().load8(at(0)),
        Script::new().load16(at(0x70)),
        Script::new().expect64(at(0), 0),
        Script::new().store8(at(0x70), 0),
        Script::new().store16(at(0x30), 0),
        Script::new().store64(at(0x70), 0),
    ] {
        violates(&script, "-byte access to the device");
    }
}

#[test]
fn registers_that_do_not_exist_are_violations() {
    let at = |offset| DEVICE_VA + offset;
    for script in [
        Script::new().expect32(at(0x018), 0),
        Script::new().expect32(at(0x050), 0),
        Script::new().expect32(at(0x100), 0),
        Script::new().expect32(at(0xffc), 0),
        Script::new().expect32(at(0x002), 0),
        Script::new().store32(at(0x000), 0),
        Script::new().store32(at(0x034), 0),
        Script::new().store32(at(0x100), 0),
    ] {
        violates(&script, "register of the device");
    }
}

#[test]
fn a_queue_that_runs_cannot_be_configured() {
    let at = |offset| DEVICE_VA + offset;
    for register in [0x038, 0x044, 0x080, 0x084, 0x090, 0x094, 0x0a0, 0x0a4] {
        violates(&Script::new().store32(at(register), 0), "at the wrong time");
    }
    violates(
        &Script::new().store32(at(0x30), 4).store32(at(0x44), 0),
        "does not exist",
    );
}

#[test]
fn status_bits_out_of_order_are_violations() {
    let status = DEVICE_VA + 0x70;
    let reset = Script::new().store32(status, 0);
    violates(&reset.clone().store32(status, 4), "wrong order");
    violates(&reset.clone().store32(status, 2), "wrong order");
    violates(&reset.clone().store32(status, 16), "unknown");
    violates(&Script::new().store32(status, 1), "taken back");
    let features = DEVICE_VA + 0x20;
    violates(&reset.store32(features, 1), "wrong time");
}

#[test]
fn rings_outside_of_ram_are_violations() {
    let at = |offset| DEVICE_VA + offset;
    let ready = Script::new()
        .store32(at(0x70), 0)
        .store32(at(0x70), 3)
        .store32(at(0x24), 1)
        .store32(at(0x20), 1)
        .store32(at(0x70), 11);
    let outside = ready.clone().store32(at(0x84), 0x11).store32(at(0x44), 1);
    violates(&outside, "rings");
    violates(&ready.clone().store32(at(0x80), 8), "rings");
    violates(&ready.store32(at(0x38), 3), "rings");
}

#[test]
fn an_end_of_unknown_kind_is_a_violation() {
    violates(
        &Script::new().platform(platform::EXIT, u64::MAX),
        "unknown kind",
    );
    violates(
        &Script::new().platform(platform::EXIT, 10 << 32),
        "unknown kind",
    );
}

#[test]
fn the_platform_page_takes_eight_bytes_at_two_places() {
    let at = |offset| DEVICE_VA + platform::REGISTERS + offset;
    violates(
        &Script::new().store32(at(platform::EXIT), 0),
        "4-byte write",
    );
    violates(
        &Script::new().store64(at(0x10), 0),
        "platform register 0x10",
    );
    violates(&Script::new().store64(at(4), 0), "platform register 0x4");
    violates(&Script::new().expect64(at(0), 0), "a read from");
}

#[test]
fn a_write_to_the_kernel_image_is_a_violation() {
    violates(
        &Script::new().map_low(KERNEL_GPA).store32(LOW, 0),
        "read-only",
    );
}

#[test]
fn an_address_without_memory_is_a_violation() {
    let nowhere = Script::new().map_low(0x7f_0000_0000);
    violates(&nowhere.clone().store64(LOW, 0), "without memory");
    violates(&nowhere.expect64(LOW, 0), "without memory");
}

#[test]
fn a_triple_fault_is_a_crash() {
    // Neither the stack for traps nor the one for double faults is there.
    let script = Script::new()
        .store64(va(TRAP_GPA) + 4, 0x1000)
        .store64(va(TRAP_GPA) + 36, 0x1000)
        .undefined();
    ends(&script, End::Crash, "triple fault");
}

#[test]
fn a_program_cannot_forge_an_interrupt() {
    // Hardware refuses with #GP, page-table KVM with #UD.
    for forge in [Script::interrupt_32, Script::interrupt_128] {
        let script = forge(Script::new()).expect32(TRAPS, 1);
        let general_protection = script.clone().expect32(TRAP_VECTOR, 13).exit(0);
        let undefined = script.expect32(TRAP_VECTOR, 6).exit(0);
        let ends = [general_protection, undefined].map(|script| run(&script).0.end);
        assert!(ends.contains(&exited(0)), "{ends:?}");
    }
}

#[test]
fn a_program_has_no_privilege() {
    for forbidden in [Script::privileged, Script::halt, Script::out] {
        let script = forbidden(Script::new()).expect32(TRAP_VECTOR, 13).exit(0);
        common::succeeds(&script);
    }
    let breakpoint = Script::new().breakpoint().expect32(TRAP_VECTOR, 3).exit(0);
    common::succeeds(&breakpoint);
}

/// Numbers that look random and are the same in every run (xorshift64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[test]
fn rings_scribbled_over_while_they_are_used_hurt_nobody() {
    for seed in 1..=12 {
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15 ^ seed);
        let mut script = Script::new();
        // Sound messages keep the device at work between the scribbles.
        for _ in 0..300 {
            let queue = (numbers.next() % 4) as usize;
            let ring = va(ring_gpa(queue));
            let (place, value) = (numbers.next() % 0x800, numbers.next());
            script = match numbers.next() % 8 {
                0 => script.store64(ring + (place & !7), value),
                1 => script.store16(ring + AVAIL_OFFSET + 2, value % 80),
                2 => script.store16(ring + AVAIL_OFFSET + 4 + place % 128, value % 66),
                3 => {
                    script.descriptor(queue, value as u16 % 64, SCRATCH, 64, value as u16 >> 13, 1)
                }
                4 => script.offer_text(channel::STDOUT, b"text"),
                _ => script.ring(queue),
            };
        }
        let (outcome, _) = run(&script.exit(0));
        let sound = matches!(outcome.end, End::Violation) || outcome.end == exited(0);
        assert!(sound, "seed {seed}: {}", told(&outcome));
    }
}
