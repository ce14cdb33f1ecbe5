//! What is told of a program that a fault ends: a few lines for whoever started the instance, and
//! on request a report that says as much as one looks for first in a core dump.

use alloc::format;
use alloc::string::String;
use core::fmt::Write;
use core::sync::atomic::{AtomicBool, Ordering};

use super::{Thread, current};
use crate::arch::Frame;
use crate::device::console;
use crate::memory::user;
use crate::mm::{Area, Backing};
use crate::signal::Info;

/// Words of the stack that a report shows.
const STACK_WORDS: u64 = 32;

static REPORTS: AtomicBool = AtomicBool::new(false);

/// Turns the reports on or off. Called once.
pub fn init(on: bool) {
    REPORTS.store(on, Ordering::Relaxed);
}

/// In a few lines: the exception (or none), the registers, where the instruction is. Reports at
/// length on the log if that was asked for.
pub fn describe(exception: Option<u8>, info: &Info) -> String {
    let thread = current();
    let frame = thread.context().frame();
    let registers = registers(&frame);
    if REPORTS.load(Ordering::Relaxed) {
        report(&thread, info, &frame, &registers);
    }
    let what = exception.map_or_else(String::new, |vector| format!("exception {vector} "));
    let areas = thread.process().space().areas();
    let place = areas.iter().find(|area| holds(area, frame.rip));
    let place = place.map_or_else(String::new, |area| {
        format!("\n    in {} + {:#x}", name(area), frame.rip - area.start)
    });
    format!(
        "{what}at {:#x}, address {:#x}\n{registers}{place}",
        frame.rip,
        info.address()
    )
}

fn registers(frame: &Frame) -> String {
    let registers = [
        ("rax", frame.rax),
        ("rbx", frame.rbx),
        ("rcx", frame.rcx),
        ("rdx", frame.rdx),
        ("rsi", frame.rsi),
        ("rdi", frame.rdi),
        ("rbp", frame.rbp),
        ("rsp", frame.rsp),
        ("r8", frame.r8),
        ("r9", frame.r9),
        ("r10", frame.r10),
        ("r11", frame.r11),
        ("r12", frame.r12),
        ("r13", frame.r13),
        ("r14", frame.r14),
        ("r15", frame.r15),
        ("rflags", frame.rflags),
    ];
    let mut text = String::new();
    for (at, (name, value)) in registers.iter().enumerate() {
        let end = if at % 4 == 3 { "\n" } else { " " };
        // Writing to a string does not fail.
        let _ = write!(text, "{name:>6} {value:016x}{end}");
    }
    text
}

fn report(thread: &Thread, info: &Info, frame: &Frame, registers: &str) {
    let process = thread.process();
    let text = |name: &[u8]| {
        let end = name.iter().position(|byte| *byte == 0);
        String::from_utf8_lossy(&name[..end.unwrap_or(name.len())]).into_owned()
    };
    line(format_args!(
        "crash: process {} ({}, {}), thread {} ({})",
        process.id(),
        text(&process.name()),
        text(&process.executable()),
        thread.id(),
        text(&*thread.name.lock()),
    ));
    line(format_args!(
        "  signal {}, code {}, address {:#x}, at {:#x}",
        info.signal(),
        info.code(),
        info.address(),
        frame.rip
    ));
    for registers in registers.lines() {
        line(format_args!("  {registers}"));
    }
    let areas = process.space().areas();
    mappings("the instruction", &areas, frame.rip);
    mappings("the address", &areas, info.address());
    mappings("the stack pointer", &areas, frame.rsp);
    stack(frame.rsp);
}

/// The mapping that holds an address, and those before and after it.
fn mappings(what: &str, areas: &[Area], address: u64) {
    line(format_args!("  mappings near {what}, {address:#x}"));
    let first = areas.iter().position(|area| area.end > address);
    let first = first.unwrap_or(areas.len()).saturating_sub(1);
    for area in areas.iter().skip(first).take(3) {
        let bit = |set: bool, letter: char| if set { letter } else { '-' };
        line(format_args!(
            "    {:012x}-{:012x} {}{}{}{} {}{}",
            area.start,
            area.end,
            bit(area.protection.read, 'r'),
            bit(area.protection.write, 'w'),
            bit(area.protection.execute, 'x'),
            if area.shared { 's' } else { 'p' },
            name(area),
            if holds(area, address) { " <" } else { "" },
        ));
    }
}

fn stack(pointer: u64) {
    line(format_args!("  stack"));
    let start = pointer & !7;
    for row in 0..STACK_WORDS / 4 {
        let address = start.wrapping_add(32 * row);
        let Ok(words) = user::read::<[u64; 4]>(address) else {
            line(format_args!("    {address:012x} cannot be read"));
            return;
        };
        let [a, b, c, d] = words;
        line(format_args!(
            "    {address:012x} {a:016x} {b:016x} {c:016x} {d:016x}"
        ));
    }
}

fn holds(area: &Area, address: u64) -> bool {
    (area.start..area.end).contains(&address)
}

fn name(area: &Area) -> String {
    match &area.backing {
        Backing::Object(object, _) => String::from_utf8_lossy(&object.name()).into_owned(),
        Backing::Anonymous => String::from(area.label),
    }
}

fn line(text: core::fmt::Arguments<'_>) {
    console::report(text);
}
