//! What a node is installed with: the unit of systemd, held against systemd's own tools.

// All of it is tests: what cannot be done fails them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use unicell_tests::boxes::{repository, unicell};
use unicell_tests::hosts::skip;
use unicell_tests::process::finish;

/// Where the unit has the program.
const INSTALLED: &str = "/usr/local/bin/unicell";
/// What the page for operators says before the number.
const EXPOSURE: &str = "`systemd-analyze security` puts its exposure at ";

/// The unit as it is installed, but with the program where it is here.
fn unit(directory: &tempfile::TempDir) -> PathBuf {
    let unit = fs::read_to_string(repository().join("tools/unicell/unicell.service")).unwrap();
    assert!(unit.contains(&format!("ExecStart={INSTALLED} node ")));
    let path = directory.path().join("unicell.service");
    let here = unicell().display().to_string();
    fs::write(&path, unit.replace(INSTALLED, &here)).unwrap();
    path
}

fn analyze(arguments: &[&str], unit: &PathBuf) -> Option<Command> {
    let mut command = Command::new("systemd-analyze");
    command.arg("--version");
    if command.output().is_err() {
        skip("there is no systemd-analyze (Debian's package systemd)");
        return None;
    }
    let mut command = Command::new("systemd-analyze");
    command.args(arguments).arg(unit);
    Some(command)
}

#[test]
fn systemd_knows_every_setting_of_the_unit() {
    let directory = tempfile::tempdir().unwrap();
    let unit = unit(&directory);
    if let Some(verify) = analyze(&["verify"], &unit) {
        let said = finish(verify, b"");
        // What it does not know it only warns of.
        let about: Vec<_> = said.err().lines().map(str::to_owned).collect();
        let about = about.iter().filter(|line| line.contains("unicell.service"));
        assert_eq!(about.count(), 0, "{said}");
        assert_eq!(said.code, 0, "{said}");
    }
}

#[test]
fn the_unit_exposes_no_more_than_its_page_says() {
    let page = fs::read_to_string(repository().join("docs/operations.md")).unwrap();
    let (_, after) = page.split_once(EXPOSURE).expect("the page says it");
    let said: f64 = after.split_whitespace().next().unwrap().parse().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let unit = unit(&directory);
    if let Some(security) = analyze(&["security", "--offline=true", "--no-pager"], &unit) {
        let found = finish(security, b"").out();
        let (_, after) = found.split_once("Overall exposure level").expect("it says");
        let (_, level) = after.split_once(": ").unwrap();
        let level: f64 = level.split_whitespace().next().unwrap().parse().unwrap();
        assert!(level <= said, "{level} is more than {said}\n{found}");
    }
}
