//! A group of rows: contenders that do the same thing, measured in turns.

use std::fmt::Write;

use crate::sample::{Failure, Sample};

/// How much is measured.
pub(crate) struct Size {
    pub(crate) runs: u32,
    pub(crate) instances: u32,
    pub(crate) seconds: u32,
}

/// What a number counts.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    Nanoseconds,
    Bytes,
    PerSecond,
}

/// One of those who do the same thing.
pub(crate) struct Contender {
    name: &'static str,
    run: Box<dyn FnMut(&Size) -> Sample>,
    /// Others are compared with it.
    is_base: bool,
    samples: Vec<f64>,
    failure: Option<Failure>,
}

impl Contender {
    /// One that is measured by `run`.
    pub(crate) fn new(name: &'static str, run: impl FnMut(&Size) -> Sample + 'static) -> Self {
        Self {
            name,
            run: Box::new(run),
            is_base: false,
            samples: Vec::new(),
            failure: None,
        }
    }

    /// Compares those that come later in the group with this one.
    pub(crate) fn base(mut self) -> Self {
        self.is_base = true;
        self
    }

    fn measure(&mut self, size: &Size) {
        if self.failure.is_some() {
            return;
        }
        match (self.run)(size) {
            Ok(sample) => self.samples.push(sample),
            Err(failure) => self.failure = Some(failure),
        }
    }

    /// The middle, and the quarters beside it.
    fn quartiles(&self) -> Option<[f64; 3]> {
        let mut sorted = self.samples.clone();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        Some([last / 4, last / 2, last - last / 4].map(|at| sorted[at]))
    }
}

/// Contenders and what they contend in.
pub(crate) struct Group {
    pub(crate) title: String,
    unit: Unit,
    /// Measured so many times less often than the rest.
    seldom: u32,
    contenders: Vec<Contender>,
}

impl Group {
    /// Contenders that are measured in turns, in this order.
    pub(crate) fn new(title: impl Into<String>, unit: Unit, contenders: Vec<Contender>) -> Self {
        Self {
            title: title.into(),
            unit,
            seldom: 1,
            contenders,
        }
    }

    /// Measures so many times less often than the rest, at least once.
    pub(crate) fn seldom(mut self, times: u32) -> Self {
        self.seldom = times;
        self
    }

    /// Measures all contenders and returns their rows of the table.
    pub(crate) fn measure(&mut self, size: &Size) -> String {
        // Once for nothing, so that files are in the page cache.
        let warm_up = u32::from(self.seldom == 1);
        for run in 0..(size.runs / self.seldom).max(1) + warm_up {
            for contender in &mut self.contenders {
                contender.measure(size);
                if run < warm_up {
                    contender.samples.clear();
                }
            }
        }
        self.rows()
    }

    fn rows(&self) -> String {
        let mut rows = format!("\n{}\n", self.title);
        let mut bases: Vec<(&str, f64)> = Vec::new();
        for contender in &self.contenders {
            // Writing to a string cannot fail.
            let _ = match contender
                .quartiles()
                .filter(|_| contender.failure.is_none())
            {
                None => {
                    let why = contender
                        .failure
                        .as_ref()
                        .map_or("no sample".into(), ToString::to_string);
                    writeln!(rows, "  {:<26} {why}", contender.name)
                }
                Some([low, median, high]) => {
                    let spread = format!("{} … {}", self.show(low), self.show(high));
                    let ratios = bases
                        .iter()
                        .map(|(name, base)| format!("{:.2} × {name}", median / base));
                    let ratios: Vec<_> = ratios.collect();
                    if contender.is_base {
                        bases.push((contender.name, median));
                    }
                    let row = format!(
                        "  {:<26} {:>10}   {spread:<24} {}",
                        contender.name,
                        self.show(median),
                        ratios.join(", ")
                    );
                    writeln!(rows, "{}", row.trim_end())
                }
            };
        }
        rows
    }

    fn show(&self, value: f64) -> String {
        let units = match self.unit {
            Unit::Nanoseconds => [(1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns")],
            Unit::Bytes => [
                (1024.0 * 1024.0 * 1024.0, "GiB"),
                (1024.0 * 1024.0, "MiB"),
                (1024.0, "KiB"),
                (1.0, "B"),
            ],
            Unit::PerSecond => [(1e9, "G/s"), (1e6, "M/s"), (1e3, "k/s"), (1.0, "/s")],
        };
        let fitting = units.into_iter().find(|(scale, _)| value.abs() >= *scale);
        let (scale, unit) = fitting.unwrap_or(units[3]);
        format!("{:.2} {unit}", value / scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contender(name: &'static str, values: &'static [f64]) -> Contender {
        let mut values = values.iter();
        Contender::new(name, move |_| {
            values.next().copied().ok_or(Failure::NotInstalled)
        })
    }

    #[test]
    fn the_middle_is_shown_and_compared_with_what_came_before() {
        let contenders = vec![
            contender("floor", &[9e9, 2e3, 1e3, 3e3]).base(),
            contender("peer", &[1.0]),
            contender("unicell", &[9e9, 4e3, 6e3, 5e3]),
        ];
        let mut group = Group::new("a thing", Unit::Nanoseconds, contenders);
        let rows = group.measure(&Size {
            runs: 3,
            instances: 1,
            seconds: 1,
        });
        let lines: Vec<_> = rows.lines().collect();
        assert_eq!(lines[1], "a thing");
        assert!(
            lines[2].contains("2.00 µs") && !lines[2].contains('×'),
            "{rows}"
        );
        assert!(lines[3].ends_with("not installed"), "{rows}");
        assert!(
            lines[4].contains("5.00 µs") && lines[4].ends_with("2.50 × floor"),
            "{rows}"
        );
    }

    #[test]
    fn values_are_shown_in_a_unit_that_fits() {
        let group = Group::new("", Unit::Bytes, Vec::new());
        assert_eq!(group.show(3.5 * 1024.0 * 1024.0), "3.50 MiB");
        assert_eq!(group.show(-2048.0), "-2.00 KiB");
        assert_eq!(group.show(0.0), "0.00 B");
    }
}
