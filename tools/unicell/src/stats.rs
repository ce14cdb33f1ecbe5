//! `--stats`: what a run cost.

use std::io::Write;

use unicell_guest_abi::layout::PAGE_SIZE;
use unicell_vmm::{Outcome, Stats};

use crate::inspect::bytes;

/// Shows the phases of the start, exits by cause, and what the guest has counted.
pub(crate) fn show(outcome: &Outcome) {
    let mut out = anstream::stderr().lock();
    // If nobody reads it, there is nobody to be told.
    let _ = write(&mut out, &outcome.stats);
    let _ = writeln!(
        out,
        "{:>12}  level of reproducible execution",
        outcome.level.name()
    );
}

fn write(out: &mut impl Write, stats: &Stats) -> std::io::Result<()> {
    let microseconds = |ns: u64| ns as f64 / 1000.0;
    writeln!(out, "{:>12} {:>12}  phase", "at", "took")?;
    let mut before = 0;
    for (phase, at) in stats.timeline.marks() {
        let took = microseconds(at.saturating_sub(before));
        writeln!(out, "{:>9.0} µs {took:>9.0} µs  {phase}", microseconds(at))?;
        before = at;
    }
    let (exits, guest) = (&stats.exits, &stats.guest);
    let rows = [
        ("exits to park", exits.parks),
        ("exits to registers", exits.registers),
        ("kicks", exits.kicks),
        ("injections", exits.injections),
        ("I/O wake-ups", exits.io_wakeups),
        ("device chains", exits.chains),
        ("system calls", guest.syscalls),
        ("page faults", guest.page_faults),
        ("ring-0 gates", guest.gates),
        ("thread switches", guest.switches),
        ("preemptions", guest.preemptions),
    ];
    for (name, count) in rows {
        writeln!(out, "{count:>12}  {name}")?;
    }
    writeln!(
        out,
        "{:>12}  memory in use at the end",
        bytes(guest.pages_used * PAGE_SIZE)
    )?;
    writeln!(
        out,
        "{:>12}  peak memory",
        bytes(guest.pages_peak * PAGE_SIZE)
    )
}
