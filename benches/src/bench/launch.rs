//! Launch of a static program that says hello.

use std::cell::RefCell;
use std::process::Command;
use std::rc::Rc;

use crate::files::Files;
use crate::group::{Contender, Group, Unit};
use crate::sample::{Failure, Stream, duration, number, words};

pub(crate) fn groups(files: &Files) -> Result<Vec<Group>, Failure> {
    Ok(vec![whole_process(files)?, vm_only(files)?])
}

fn whole_process(files: &Files) -> Result<Group, Failure> {
    let hello = files.package(&files.programs)?;
    let mut native = Command::new(files.programs.join("bin/hello"));
    let mut floor = Command::new(&files.floor);
    floor.arg("launch");
    let mut bwrap = Command::new("bwrap");
    bwrap
        .arg("--unshare-all")
        .arg("--ro-bind")
        .arg(&files.programs)
        .args(["/", "/bin/hello"]);
    let mut runc = runc(files);
    let mut unicell = files.run(&hello, "/bin/hello");
    let contenders = vec![
        Contender::new("native fork and exec", move |_| duration(&mut native)),
        Contender::new("bare KVM", move |_| duration(&mut floor)).base(),
        Contender::new("bwrap --unshare-all", move |_| duration(&mut bwrap)).base(),
        Contender::new("runc run", move |_| duration(&mut runc)).base(),
        Contender::new("unicell run", move |_| duration(&mut unicell)),
    ];
    Ok(Group::new(
        "launch of a static hello, whole process",
        Unit::Nanoseconds,
        contenders,
    ))
}

/// `target/bench/runc` holds a bundle that the script has made.
fn runc(files: &Files) -> Command {
    let mut command = Command::new("runc");
    let bundle = files.programs.with_file_name("runc");
    let name = format!("unicell-bench-{}", std::process::id());
    command.args(["run", "--bundle"]).arg(bundle).arg(name);
    command
}

fn vm_only(files: &Files) -> Result<Group, Failure> {
    let hello = files.package(&files.programs)?;
    let mut floor = Command::new(&files.floor);
    floor.arg("launch");
    let mut unicell = files.run(&hello, "/bin/hello");
    unicell.arg("--stats");
    // Both of one run, which the first of the two makes.
    let stats = Rc::new(RefCell::new(String::new()));
    let same_stats = Rc::clone(&stats);
    let contenders = vec![
        Contender::new("bare KVM, to first exit", move |_| {
            number(&mut floor, Stream::Out)
        })
        .base(),
        Contender::new("unicell, to the kernel", move |_| {
            stats.replace(words(&mut unicell, Stream::Err)?);
            between(&stats.borrow(), "process", "kernel")
        }),
        Contender::new("unicell, to the program", move |_| {
            between(&same_stats.borrow(), "process", "program")
        }),
    ];
    Ok(Group::new(
        "launch of a static hello, VM only",
        Unit::Nanoseconds,
        contenders,
    ))
}

/// Nanoseconds between two phases in what `--stats` prints: `AT µs TOOK µs PHASE`.
fn between(stats: &str, from: &str, to: &str) -> Result<f64, Failure> {
    let at = |phase: &str| {
        let found = stats.lines().find_map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            match words[..] {
                [at, "µs", _, "µs", name] if name == phase => at.parse::<f64>().ok(),
                _ => None,
            }
        });
        found.ok_or_else(|| Failure::Ended {
            what: format!("--stats tells no phase {phase:?}"),
        })
    };
    Ok((at(to)? - at(from)?) * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_are_read_from_what_stats_prints() {
        let stats = "          at         took  phase\n     2427 µs      2427 µs  process\n     \
                     2475 µs        48 µs  memory slots\n    11768 µs      7875 µs  program\n";
        assert_eq!(between(stats, "process", "program").unwrap(), 9_341_000.0);
        assert!(between(stats, "process", "memory").is_err());
    }
}
