//! The least that KVM can be asked for, so that everything else has something to be compared with.
//!
//! `unicell-floor launch` makes a virtual machine, enters it once in ring 3, takes one exit and
//! ends. `unicell-floor WHAT COUNT` has its guest do something many times. Both print nanoseconds:
//! from nothing to the first exit, or for one time.
//!
//! **Not for**: anything but comparison. It shares no code with the VMM on purpose, only the
//! selectors that the guest ABI names.

mod guest;
mod machine;

use std::io::{Error, Result, Write};
use std::time::Instant;

use guest::{DEVICE, DOORBELL, Entry, FRESH, FRESH_MAX};
use machine::Machine;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["launch"] => launch(),
        [what, count] => count
            .parse()
            .map_err(|_| Error::other(format!("{count:?} is no number")))
            .and_then(|count| measure(what, count)),
        _ => Err(Error::other("unicell-floor launch | WHAT COUNT")),
    };
    let said = result.and_then(|ns| writeln!(std::io::stdout(), "{ns:.1}"));
    let status = match said {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("unicell-floor: {error}");
            1
        }
    };
    // At once: what is left is the kernel's to clean up, as with every instance.
    std::process::exit(status);
}

fn launch() -> Result<f64> {
    let start = Instant::now();
    Machine::new(0)?.start(Entry::Store, 1, DEVICE, 0)?;
    Ok(start.elapsed().as_nanos() as f64)
}

/// Nanoseconds of one of `count` times.
fn measure(what: &str, count: u64) -> Result<f64> {
    const SMALL: u64 = 4096;
    const HUGE: u64 = 2 << 20;
    let bounded = |most| match count {
        0 => Err(Error::other("a count of nothing")),
        _ if count > most => Err(Error::other(format!("a count above {most}"))),
        _ => Ok(()),
    };
    let ns = match what {
        "exit" => {
            bounded(u64::MAX)?;
            let mut machine = Machine::new(0)?;
            machine.start(Entry::Store, 1, DEVICE, 0)?;
            let start = Instant::now();
            for _ in 0..count {
                machine.next_exit()?;
            }
            start.elapsed()
        }
        "syscall" => {
            bounded(u64::MAX)?;
            let mut machine = Machine::new(0)?;
            machine.allow_system_calls()?;
            timed(&mut machine, Entry::Syscall, count, 0, 0)?
        }
        "doorbell" => {
            bounded(u64::MAX)?;
            let mut machine = Machine::new(0)?;
            let _event = machine.doorbell()?;
            timed(&mut machine, Entry::Store, count, DOORBELL, 0)?
        }
        "fault-4k" => {
            bounded(FRESH_MAX / 8 / SMALL)?;
            timed(&mut Machine::new(SMALL)?, Entry::Touch, count, FRESH, SMALL)?
        }
        "fault-2m" => {
            bounded(FRESH_MAX / HUGE)?;
            timed(&mut Machine::new(HUGE)?, Entry::Touch, count, FRESH, HUGE)?
        }
        _ => {
            return Err(Error::other(format!(
                "{what:?} is nothing that is measured"
            )));
        }
    };
    Ok(ns.as_nanos() as f64 / count as f64)
}

/// From the entry to the exit at the end, on a machine that has run before.
fn timed(
    machine: &mut Machine,
    entry: Entry,
    count: u64,
    at: u64,
    apart: u64,
) -> Result<std::time::Duration> {
    machine.start(Entry::Store, 1, DEVICE, 0)?;
    let start = Instant::now();
    machine.start(entry, count, at, apart)?;
    Ok(start.elapsed())
}
