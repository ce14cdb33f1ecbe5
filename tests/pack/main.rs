//! Packing large trees by the command line, which needs no KVM.

// All of it is tests: what cannot be done fails them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use unicell_tests::boxes::unicell;
use unicell_tests::process::finish;
use unicell_tests::session::Session;

const FILES: u32 = 50_000;
const DIRECTORIES: u32 = 100;

/// Makes a tree of many files, in this order and with times that count from here.
fn many(root: &Path, order: impl Iterator<Item = u32>, since: SystemTime) {
    for number in 0..DIRECTORIES {
        fs::create_dir_all(root.join(format!("d{number}"))).unwrap();
    }
    for number in order {
        let path = root.join(format!("d{}/f{number}", number % DIRECTORIES));
        // Some are alike.
        fs::write(&path, (number % 40_000).to_le_bytes().repeat(25)).unwrap();
        if number % 100 == 0 {
            let file = File::open(&path).unwrap();
            let time = since + Duration::from_secs(number.into());
            file.set_modified(time).unwrap();
        }
    }
}

fn pack(tree: &Path, package: &Path) -> Command {
    let mut command = Command::new(unicell());
    command.arg("pack").arg(tree).arg("-o").arg(package);
    command.args(["--entrypoint", "/d0/f0"]);
    command
}

/// A directory in memory: there entries lie in another order than on a disk.
fn in_memory() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        memory.into()
    } else {
        std::env::temp_dir()
    }
}

#[test]
fn many_files_have_one_id_wherever_they_lie_and_no_bar_without_a_terminal() {
    let (one, other) = (
        tempfile::tempdir().unwrap(),
        tempfile::tempdir_in(in_memory()).unwrap(),
    );
    let deeper = other.path().join("another/path");
    many(one.path(), 0..FILES, SystemTime::UNIX_EPOCH);
    many(&deeper, (0..FILES).rev(), SystemTime::now());
    let packages = tempfile::tempdir().unwrap();
    let (first, second) = (
        packages.path().join("first"),
        packages.path().join("second"),
    );

    let session = Session::start(pack(one.path(), &first), 24, 100);
    let (code, seen) = session.end();
    assert_eq!(code, 0, "{seen}");
    // A bar is drawn if it takes long enough to be looked at, and is cleared at the end.
    assert!(!seen.trim_end().ends_with(']'), "{seen}");

    let quiet = finish(pack(&deeper, &second), b"");
    assert_eq!(quiet.code, 0, "{quiet}");
    let warnings = quiet.err();
    assert!(
        !warnings.contains('[') && !warnings.contains('\u{1b}'),
        "{warnings}"
    );
    let (first, second) = (fs::read(first).unwrap(), fs::read(second).unwrap());
    assert!(first == second, "two packages of one tree");
    let id = quiet.out().split_whitespace().next().unwrap().to_owned();
    assert!(seen.contains(&id), "{id}: {seen}");
}
