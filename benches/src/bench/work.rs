//! Work for the processor: the same files natively and in a guest, whole processes.

use std::path::Path;
use std::process::Command;

use crate::files::Files;
use crate::group::{Contender, Group, Unit};
use crate::sample::{Failure, duration};

/// A program of a box that works for about a second.
struct Work {
    title: &'static str,
    /// A box of the end-to-end tests; `None` for our own programs.
    test_box: Option<&'static str>,
    program: &'static str,
    arguments: &'static [&'static str],
}

const PYTHON: &str = "/usr/bin/python3.11";

/// Work by a Python script of ours.
macro_rules! python {
    ($name:literal) => {
        Work {
            title: concat!("work: python3 ", $name),
            test_box: Some("python"),
            program: PYTHON,
            arguments: &["-c", include_str!(concat!("../../programs/", $name, ".py"))],
        }
    };
}

/// Work by a C program of ours.
macro_rules! own {
    ($name:literal) => {
        Work {
            title: concat!("work: C ", $name),
            test_box: None,
            program: "/bin/work",
            arguments: &[$name],
        }
    };
}

const WORKS: [Work; 11] = [
    own!("integer"),
    own!("float"),
    own!("matrix"),
    own!("memcpy"),
    own!("chase"),
    python!("pidigits"),
    python!("regex"),
    python!("json"),
    python!("sha256"),
    python!("deflate"),
    Work {
        title: "work: sqlite3 in memory",
        test_box: Some("sqlite"),
        program: "/usr/bin/sqlite3",
        arguments: &[":memory:", include_str!("../../programs/table.sql")],
    },
];

pub(crate) fn groups(files: &Files) -> Result<Vec<Group>, Failure> {
    WORKS.iter().map(|work| group(files, work)).collect()
}

fn group(files: &Files, work: &Work) -> Result<Group, Failure> {
    let tree = match work.test_box {
        Some(name) => files.test_box(name),
        None => files.programs.clone(),
    };
    let mut contenders = Vec::new();
    match files.package(&tree) {
        Ok(package) => {
            let mut native = native(&tree, work);
            let guest = |level| {
                let mut guest = files.run(&package, work.program);
                guest.args(["--memory", "1G", "--level", level, "--"]);
                guest.args(work.arguments);
                guest
            };
            let (mut guest, mut reproducible) = (guest("D0"), guest("D1"));
            contenders.push(Contender::new("native", move |_| duration(&mut native)).base());
            contenders.push(Contender::new("unicell", move |_| duration(&mut guest)));
            contenders.push(Contender::new("unicell, D1", move |_| {
                duration(&mut reproducible)
            }));
        }
        Err(Failure::NotInstalled) => {
            contenders.push(Contender::new("no such box", |_| {
                Err(Failure::NotInstalled)
            }));
        }
        Err(failure) => return Err(failure),
    }
    Ok(Group::new(work.title, Unit::Nanoseconds, contenders))
}

/// The program with the box as its root and nothing else of the host changed, which anyone may do
/// who may have user namespaces.
fn native(tree: &Path, work: &Work) -> Command {
    let mut command = Command::new("unshare");
    command
        .arg("--map-root-user")
        .arg(format!("--root={}", tree.display()))
        .arg("--wd=/");
    command.arg(work.program).args(work.arguments);
    command
}
