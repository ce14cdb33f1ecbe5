//! Parking, preemption, time and standard input: who has its turn when.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use common::guest::{CODE, TRAP_VECTOR, TRAPS, spin_offset};
use common::script::{LOW, WRITE};
use common::{SCRATCH, Script, exited, run, stdio, succeeds, told, va, vm};
use unicell_guest_abi::device::{AVAIL_OFFSET, CONSOLE, CONTROL, QUEUE_SIZE, RX, TX, USED_OFFSET};
use unicell_guest_abi::device::{DEVICE_ID, MAGIC, ring_gpa};
use unicell_guest_abi::layout::{DEVICE_VA, KERNEL_BASE, KERNEL_GPA, PAGE_SIZE, SHARED_GPA};
use unicell_guest_abi::message::{channel, kind, op};
use unicell_guest_abi::platform::{NEVER, Shared};
use unicell_vmm::{Stdio, monotonic_ns};

const MS: u64 = 1_000_000;
const CONTENDED: u64 = va(SHARED_GPA) + std::mem::offset_of!(Shared, contended) as u64;
const DEADLINE: u64 = va(SHARED_GPA) + std::mem::offset_of!(Shared, deadline) as u64;
const PREEMPT: u64 = va(SHARED_GPA) + std::mem::offset_of!(Shared, preempt) as u64;

/// A guest whose threads want nothing.
fn quiet() -> Script {
    Script::new().store64(DEADLINE, NEVER)
}

/// Runs an endless loop in the program's half; goes on with the next step after an interrupt.
fn program(script: Script) -> Script {
    let code = KERNEL_GPA + PAGE_SIZE + (CODE - KERNEL_BASE);
    script.map_low(code).jump(LOW + spin_offset())
}

#[test]
fn a_program_is_interrupted_while_another_thread_waits() {
    let script = program(quiet().store32(CONTENDED, 1));
    // And again: nothing of the first interrupt is left in the way.
    let script = program(script).expect32(TRAP_VECTOR, 32).expect32(TRAPS, 2);
    succeeds(&script.exit(0));
}

#[test]
fn a_program_is_interrupted_at_the_deadline_of_a_sleeping_thread() {
    let script = program(quiet().store64(DEADLINE, monotonic_ns() + 20 * MS));
    let begin = monotonic_ns();
    succeeds(&script.expect32(TRAP_VECTOR, 32).exit(0));
    assert!(monotonic_ns() - begin >= 15 * MS);
}

#[test]
fn a_deadline_that_is_always_past_interrupts_again_and_again() {
    let script = (0..10).fold(quiet().store64(DEADLINE, 0), |script, _| program(script));
    succeeds(&script.expect32(TRAPS, 10).exit(0));
}

#[test]
fn a_program_that_wants_nothing_is_left_alone() {
    let mut vm = vm(&program(quiet()));
    vm.set_deadline(monotonic_ns() + 50 * MS);
    let outcome = vm.run(Box::new(stdio().0)).outcome;
    assert_eq!(outcome.stats.exits.injections, 0);
}

#[test]
fn a_kernel_is_told_by_the_word_and_not_interrupted() {
    let script = quiet().store32(CONTENDED, 1).spin_until16(PREEMPT, 1);
    succeeds(&script.expect32(TRAPS, 0).exit(0));
}

#[test]
fn news_interrupts_a_program_that_asked_for_it() {
    let used_event = va(ring_gpa(CONSOLE)) + AVAIL_OFFSET + 4 + 2 * u64::from(QUEUE_SIZE);
    let script = quiet().store16(used_event, 0);
    let script = program(script.offer_text(channel::STDOUT, b"news"));
    let used = Script::used_index(CONSOLE);
    succeeds(
        &script
            .expect32(TRAP_VECTOR, 32)
            .spin_until16(used, 1)
            .exit(0),
    );
}

#[test]
fn a_park_ends_at_its_deadline() {
    let begin = monotonic_ns();
    succeeds(&quiet().park(begin + 30 * MS).park(0).exit(0));
    assert!(monotonic_ns() - begin >= 30 * MS);
}

#[test]
fn no_wake_up_is_lost() {
    // Each round is a race between the guest that parks and the device that has news.
    const ROUNDS: u64 = 3_000;
    let avail = va(ring_gpa(CONSOLE)) + AVAIL_OFFSET + 2;
    let used_event = avail + 2 + 2 * u64::from(QUEUE_SIZE);
    let counter = va(SCRATCH) + 64;
    let script = quiet()
        .store64(counter, ROUNDS)
        .offer_text(channel::STDOUT, b"")
        .park_until_used(CONSOLE)
        .store16(used_event, 0);
    let again = script.here();
    let script = script
        .add16(avail, 1)
        .add16(used_event, 1)
        .ring(CONSOLE)
        .park_until_equal16(Script::used_index(CONSOLE), avail)
        .repeat(counter, again);
    let (outcome, _) = run(&script.exit(0));
    assert_eq!(outcome.end, exited(0), "{}", told(&outcome));
    assert_eq!(outcome.stats.exits.chains, ROUNDS + 1);
}

#[test]
fn the_guest_computes_the_time_of_the_host() {
    // Header, the clock page (five words), and the time stamp at which it was read.
    let shared = va(SHARED_GPA);
    let text = SCRATCH + 8;
    let mut script = quiet().store32(va(SCRATCH), channel::STDOUT.into());
    script = script.store32(va(SCRATCH) + 4, 48);
    for word in 0..5 {
        script = script.copy64(va(text) + 8 * word, shared + 8 * word);
    }
    script = script
        .time_stamp(va(text) + 40)
        .descriptor(CONSOLE, 0, SCRATCH, 56, 1, 1)
        .descriptor(CONSOLE, 1, SCRATCH + 64, 4, WRITE, 0)
        .offer(CONSOLE, 0)
        .park_until_used(CONSOLE);
    let before = monotonic_ns();
    let vm = vm(&script.exit(0));
    let (backend, mut reader) = stdio();
    let outcome = vm.run(Box::new(backend)).outcome;
    let after = monotonic_ns();
    assert_eq!(outcome.end, exited(0), "{}", told(&outcome));
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    let word = |n: usize| u64::from_le_bytes(bytes[8 * n..8 * n + 8].try_into().unwrap());
    let (seq, tsc, mono_ns, offset, mult, now) =
        (word(0), word(1), word(2), word(3), word(4), word(5));
    assert_eq!(seq % 2, 0, "nobody writes while the guest reads");
    assert!(now >= tsc, "the guest's counter is behind its page");
    let ns = mono_ns + ((u128::from(now - tsc) * u128::from(mult)) >> 32) as u64;
    assert!((before..after).contains(&ns), "{before} {ns} {after}");
    let real = std::time::UNIX_EPOCH + Duration::from_nanos(ns.wrapping_add(offset));
    let apart = real.elapsed().unwrap();
    assert!(apart < Duration::from_secs(5), "{apart:?}");
}

#[test]
fn the_kernel_is_entered_with_floating_point_as_linux_has_it() {
    let script = quiet().floating_point_state(va(SCRATCH));
    let script = script.expect32(va(SCRATCH), 0x1f80);
    succeeds(&script.expect32(va(SCRATCH) + 4, 0x37f).exit(0));
}

#[test]
fn a_driver_may_set_the_device_up_by_the_book() {
    let at = |offset| DEVICE_VA + offset;
    let ring = ring_gpa(CONSOLE);
    let script = quiet()
        .expect32(at(0), MAGIC.into())
        .expect32(at(0x8), DEVICE_ID.into())
        .expect32(at(0x70), 15)
        .store32(at(0x70), 0)
        .expect32(at(0x70), 0)
        .store32(at(0x70), 1)
        .store32(at(0x70), 3)
        .store32(at(0x14), 1)
        .expect32(at(0x10), 1)
        .store32(at(0x14), 0)
        .expect32(at(0x10), 1 << 29)
        .store32(at(0x24), 1)
        .store32(at(0x20), 1)
        .store32(at(0x24), 0)
        .store32(at(0x20), 1 << 29)
        .store32(at(0x70), 11)
        .expect32(at(0x70), 11)
        .store32(at(0x30), CONSOLE as u64)
        .expect32(at(0x34), QUEUE_SIZE.into())
        .expect32(at(0x44), 0)
        .store32(at(0x38), QUEUE_SIZE.into())
        .store32(at(0x80), ring)
        .store32(at(0x84), 0)
        .store32(at(0x90), ring + AVAIL_OFFSET)
        .store32(at(0x94), 0)
        .store32(at(0xa0), ring + USED_OFFSET)
        .store32(at(0xa4), 0)
        .store32(at(0x44), 1)
        .expect32(at(0x44), 1)
        .store32(at(0x70), 15);
    assert_eq!(
        succeeds(&script.print(channel::LOG, b"by the book").exit(0)),
        "by the book"
    );
}

#[test]
fn features_that_were_not_offered_are_not_accepted() {
    let status = DEVICE_VA + 0x70;
    let script = quiet()
        .store32(status, 0)
        .store32(status, 3)
        .store32(DEVICE_VA + 0x20, 1)
        .store32(status, 11)
        .expect32(status, 3);
    succeeds(&script.exit(0));
}

/// Where guests take messages.
const BUFFER: u64 = SCRATCH + 0x1000;
const REQUEST: u64 = SCRATCH + 0x200;

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// A guest that opens standard input as stream 7, with some credit.
fn open_input(credit: u32) -> Script {
    quiet()
        .bytes(REQUEST, &words(&[op::OPEN_STDIN, 7, credit, 0]))
        .descriptor(CONTROL, 0, REQUEST, 16, 1, 1)
        .descriptor(CONTROL, 1, REQUEST + 16, 8, WRITE, 0)
        .store64(va(REQUEST) + 16, u64::MAX)
        .offer(CONTROL, 0)
        .park_until_used(CONTROL)
        .expect32(va(REQUEST) + 16, 0)
}

/// Reads `input` as the guest would: opens the stream with some credit, offers a buffer, prints what
/// came, grants as much again, so many times. Returns the data, `|` for the end.
fn echo(input: OwnedFd, rounds: usize, credit: u32) -> String {
    let grant = SCRATCH + 0x240;
    let mut script = open_input(credit)
        .bytes(grant, &words(&[7, kind::CREDIT, 0, credit]))
        .descriptor(TX, 0, grant, 16, 0, 0)
        .descriptor(RX, 0, BUFFER, 16 + 2 * credit, WRITE, 0);
    for _ in 0..rounds {
        // The message as it came is the text: header and all.
        script = script
            .bytes(BUFFER, &[0; 64])
            .offer(RX, 0)
            .park_until_used(RX)
            .expect32(va(BUFFER), 7)
            .bytes(SCRATCH, &words(&[channel::STDOUT, 24]))
            .descriptor(CONSOLE, 0, SCRATCH, 8, 1, 1)
            .descriptor(CONSOLE, 1, BUFFER + 4, 24, 1, 2)
            .descriptor(CONSOLE, 2, SCRATCH + 8, 4, WRITE, 0)
            .offer(CONSOLE, 0)
            .park_until_used(CONSOLE)
            .offer(TX, 0);
    }
    let vm = vm(&script.exit(0));
    let (reader, writer) = std::io::pipe().unwrap();
    let writer: OwnedFd = writer.into();
    let copy = || writer.try_clone().unwrap();
    let backend = Stdio::new(input, copy(), copy(), copy());
    drop(writer);
    let outcome = vm.run(Box::new(backend)).outcome;
    assert_eq!(outcome.end, exited(0), "{}", told(&outcome));
    let mut bytes = Vec::new();
    File::from(OwnedFd::from(reader))
        .read_to_end(&mut bytes)
        .unwrap();
    let mut text = String::new();
    for message in bytes.chunks(24) {
        let word = |n: usize| u32::from_le_bytes(message[4 * n..4 * n + 4].try_into().unwrap());
        let (what, len) = (word(0), word(1) as usize);
        match what {
            kind::DATA => text += str::from_utf8(&message[12..12 + len]).unwrap(),
            kind::END => text += "|",
            _ => panic!("a message of kind {what}"),
        }
        assert!(len <= credit as usize, "more than was granted");
    }
    text
}

#[test]
fn standard_input_comes_from_a_file_by_credit() {
    let path = std::env::temp_dir().join(format!("unicell-stdin-{}", std::process::id()));
    let options = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path);
    let mut file = options.unwrap();
    std::fs::remove_file(&path).unwrap();
    file.write_all(b"abcdefghij").unwrap();
    file.rewind().unwrap();
    assert_eq!(echo(file.into(), 4, 4), "abcdefghij|");
}

#[test]
fn standard_input_comes_from_a_pipe_as_it_is_written() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let writing = thread::spawn(move || {
        for part in [&b"one "[..], b"two "] {
            writer.write_all(part).unwrap();
        }
    });
    assert_eq!(echo(reader.into(), 3, 4), "one two |");
    writing.join().unwrap();
}

#[test]
fn a_guest_waits_for_input_that_comes_later() {
    let (input, mut typing) = std::io::pipe().unwrap();
    let (mut output, console) = std::io::pipe().unwrap();
    let console: OwnedFd = console.into();
    let copy = || console.try_clone().unwrap();
    let backend = Stdio::new(input.into(), copy(), copy(), copy());
    drop(console);
    let script = open_input(4).print(channel::STDOUT, b"?");
    let script = script
        .descriptor(RX, 0, BUFFER, 24, WRITE, 0)
        .offer(RX, 0)
        .park_until_used(RX)
        .expect32(va(BUFFER) + 4, kind::DATA.into())
        .expect32(va(BUFFER) + 16, u32::from_le_bytes(*b"late").into());
    let vm = vm(&script.exit(0));
    let instance = thread::spawn(move || vm.run(Box::new(backend)).outcome);
    output.read_exact(&mut [0]).unwrap();
    // The guest has nothing to do now but to wait.
    typing.write_all(b"late").unwrap();
    let outcome = instance.join().unwrap();
    assert_eq!(outcome.end, exited(0), "{}", told(&outcome));
}

#[test]
fn standard_input_that_is_not_opened_is_not_read() {
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"left").unwrap();
    drop(writer);
    let vm = vm(&quiet().park(monotonic_ns() + 10 * MS).exit(0));
    let null = || File::open("/dev/null").unwrap().into();
    let input = reader.try_clone().unwrap().into();
    let outcome = vm
        .run(Box::new(Stdio::new(input, null(), null(), null())))
        .outcome;
    assert_eq!(outcome.end, exited(0), "{}", told(&outcome));
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "left");
}
