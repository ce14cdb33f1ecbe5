//! Tables and amounts, as people read them.

use std::fmt::Display;

use anstream::println;
use serde::Serialize;

use crate::failure::{Failure, Result};

/// Prints an answer as JSON, in one piece.
pub(super) fn json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(Failure::internal)?;
    println!("{text}");
    Ok(())
}

/// Prints rows under their headings, as wide as they need to be.
pub(super) fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) {
    print!("{}", lay_out(headings, rows));
}

/// Rows under their headings. The last column is not filled up.
pub(super) fn lay_out<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> String {
    let headings = headings.map(str::to_owned);
    let all = || std::iter::once(&headings).chain(rows);
    let widths: [usize; N] = std::array::from_fn(|column| {
        let width = |row: &[String; N]| row[column].chars().count();
        all().map(width).max().unwrap_or_default()
    });
    let mut text = String::new();
    for row in all() {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(&format!("{cell:width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Bytes, in the unit that leaves one to four digits.
pub(super) fn bytes(count: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut amount = count as f64;
    let mut unit = 0;
    while amount >= 1000.0 && unit + 1 < units.len() {
        amount /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{count} B"),
        _ => format!("{amount:.1} {}", units[unit]),
    }
}

/// A time in nanoseconds, to three digits or so.
pub(super) fn time(ns: u64) -> String {
    let seconds = ns as f64 / 1e9;
    match ns {
        0..1_000_000 => format!("{:.0} µs", seconds * 1e6),
        1_000_000..1_000_000_000 => format!("{:.1} ms", seconds * 1e3),
        1_000_000_000..600_000_000_000 => format!("{seconds:.1} s"),
        _ => format!(
            "{}h{:02}m",
            ns / 3_600_000_000_000,
            ns / 60_000_000_000 % 60
        ),
    }
}

/// Several things in one cell.
pub(super) fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    match items.is_empty() {
        true => "-".to_owned(),
        false => items.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest() {
        let rows = [
            ["1".to_owned(), "first".to_owned()],
            ["1000".to_owned(), "b".to_owned()],
        ];
        assert_eq!(
            lay_out(["ID", "NAME"], &rows),
            "ID    NAME\n1     first\n1000  b\n"
        );
    }

    #[test]
    fn amounts_have_units() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(64 << 20), "64.0 MiB");
        assert_eq!(bytes(1023 << 20), "1.0 GiB");
        assert_eq!(time(999_000), "999 µs");
        assert_eq!(time(1_500_000), "1.5 ms");
        assert_eq!(time(3_660_000_000_000), "1h01m");
    }
}
