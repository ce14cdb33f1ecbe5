//! `--trace=SUMMARY`: which system calls a program has made, in the table of `strace -c`.

use std::io::Write;

use unicell_vmm::Call;

/// Shows the calls, those that took the most time first, and their sums.
pub(crate) fn show(calls: &[Call]) {
    let mut out = anstream::stderr().lock();
    // If nobody reads it, there is nobody to be told.
    let _ = write(&mut out, calls);
}

fn write(out: &mut impl Write, calls: &[Call]) -> std::io::Result<()> {
    let mut calls: Vec<&Call> = calls.iter().collect();
    calls.sort_by(|a, b| (b.ns, b.calls, &a.name).cmp(&(a.ns, a.calls, &b.name)));
    // The numbers are the guest's word.
    let sum = |count: fn(&Call) -> u64| {
        calls
            .iter()
            .fold(0, |sum: u64, call| sum.saturating_add(count(call)))
    };
    let total = Call {
        name: "total".to_owned(),
        calls: sum(|call| call.calls),
        errors: sum(|call| call.errors),
        ns: sum(|call| call.ns),
    };
    let rule = "------ ----------- ----------- --------- --------- ----------------";
    writeln!(
        out,
        "{:>6} {:>11} {:>11} {:>9} {:>9} syscall\n{rule}",
        "% time", "seconds", "usecs/call", "calls", "errors"
    )?;
    for call in &calls {
        row(out, call, total.ns)?;
    }
    writeln!(out, "{rule}")?;
    row(out, &total, total.ns)
}

fn row(out: &mut impl Write, call: &Call, whole: u64) -> std::io::Result<()> {
    let percent = match whole {
        0 => 0.0,
        whole => call.ns as f64 * 100.0 / whole as f64,
    };
    let each = (call.ns / 1000).checked_div(call.calls).unwrap_or(0);
    let errors = match call.errors {
        0 => String::new(),
        errors => errors.to_string(),
    };
    writeln!(
        out,
        "{percent:6.2} {:11.6} {each:11} {:9} {errors:>9} {}",
        call.ns as f64 / 1e9,
        call.calls,
        call.name
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, calls: u64, errors: u64, ns: u64) -> Call {
        Call {
            name: name.to_owned(),
            calls,
            errors,
            ns,
        }
    }

    fn shown(calls: &[Call]) -> String {
        let mut out = Vec::new();
        write(&mut out, calls).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_table_is_that_of_strace() {
        let calls = [call("read", 3, 0, 6_000), call("open", 2, 1, 18_000)];
        let expected = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 75.00    0.000018           9         2         1 open
 25.00    0.000006           2         3           read
------ ----------- ----------- --------- --------- ----------------
100.00    0.000024           4         5         1 total
";
        assert_eq!(shown(&calls), expected);
    }

    #[test]
    fn a_guest_that_lies_or_made_no_call_breaks_nothing() {
        assert!(shown(&[]).ends_with(" total\n"));
        let most = call("lie", u64::MAX, u64::MAX, u64::MAX);
        assert!(shown(&[most.clone(), most]).contains(&u64::MAX.to_string()));
    }
}
