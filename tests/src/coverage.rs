//! What the oracle's programs cover: their lines `name(what) = answer`, counted for each system
//! call. `tests/programs/oracle/tell.h` prints those lines, `docs/coverage.md` shows the counts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// What is known of each call, by its name.
#[derive(Clone, Debug, Default)]
pub struct Coverage(BTreeMap<String, Counts>);

/// How one call answered, over all programs.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    programs: BTreeSet<String>,
    successes: usize,
    errors: BTreeMap<String, usize>,
}

impl Coverage {
    /// Counts what a program printed.
    pub fn add(&mut self, program: &str, output: &str) {
        for (call, answer) in output.lines().filter_map(parse) {
            let counts = self.0.entry(call.into()).or_default();
            counts.programs.insert(program.into());
            if is_errno(answer) {
                *counts.errors.entry(answer.into()).or_default() += 1;
            } else {
                counts.successes += 1;
            }
        }
    }

    /// What is known of the call of this name.
    pub fn of(&self, call: &str) -> Option<&Counts> {
        self.0.get(call)
    }

    /// Keeps the calls of these names: a program may print a line of its own that looks like one.
    pub fn retain(&mut self, is_call: impl Fn(&str) -> bool) {
        self.0.retain(|call, _| is_call(call));
    }

    /// The rows of the table in `docs/coverage.md`, by name.
    pub fn rows(&self) -> String {
        let mut rows = String::new();
        for (call, counts) in &self.0 {
            let programs = counts.programs.iter().cloned().collect::<Vec<_>>();
            let errors = counts.errors.iter().map(|(name, count)| match count {
                1 => name.clone(),
                _ => format!("{name} ×{count}"),
            });
            let (successes, errors) = (counts.successes, errors.collect::<Vec<_>>().join(", "));
            let programs = programs.join(", ");
            let _ = writeln!(rows, "| `{call}` | {programs} | {successes} | {errors} |");
        }
        rows
    }
}

impl Counts {
    /// Whether so many successes and errors, at least, were seen.
    pub fn suffice(&self, successes: usize, errors: usize) -> bool {
        self.successes >= successes && self.errors.values().sum::<usize>() >= errors
    }
}

/// The call and the answer in a line `name(what) = answer`.
fn parse(line: &str) -> Option<(&str, &str)> {
    let (call, rest) = line.split_once('(')?;
    let (_, answer) = rest.rsplit_once(") = ")?;
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (!call.is_empty() && call.bytes().all(is_name)).then_some((call, answer))
}

fn is_errno(answer: &str) -> bool {
    answer.len() > 2
        && answer.starts_with('E')
        && answer
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn successes_and_errors_are_counted() {
        let mut coverage = Coverage::default();
        coverage.add(
            "files/open",
            "-- making\nopen(a file (new)) = 3\nopen(none) = ENOENT\nopen(none again) = ENOENT\n\
             mode 644\nmmap(some) = done\n",
        );
        assert_eq!(
            coverage.rows(),
            "| `mmap` | files/open | 1 |  |\n| `open` | files/open | 1 | ENOENT ×2 |\n"
        );
        assert!(coverage.of("open").unwrap().suffice(1, 2));
        assert!(!coverage.of("mmap").unwrap().suffice(1, 1));
        assert!(coverage.of("making").is_none());
    }
}
