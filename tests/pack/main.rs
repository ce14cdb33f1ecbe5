//! Packing large trees by the command line, which needs no KVM.

// All of it is tests: what cannot be done fails them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use unicell_tests::boxes::unicell;
use unicell_tests::process::finish;
use unicell_tests::session::Session;

const FILES: u32 = 50_000;
const DIRECTORIES: u32 = 100;
/// How long packing has taken when its bar is drawn, at the least.
const PATIENCE: Duration = Duration::from_millis(700);

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

fn pack(tree: &Path, manifest: &Path, package: &Path) -> Command {
    let mut command = Command::new(unicell());
    command.arg("pack").arg(tree).arg("-o").arg(package);
    command.arg("--manifest").arg(manifest);
    command.env("TERM", "xterm");
    command
}

/// Clears a line of a terminal.
const CLEAR: &str = "\x1b[2K";

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
fn many_files_have_one_id_wherever_they_lie_and_a_bar_on_a_terminal_alone() {
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

    let manifest = "entrypoint = \"/d0/f0\"\n";
    let told = packages.path().join("service.toml");
    fs::write(&told, manifest).unwrap();

    // The command has begun when it opens its manifest, and waits for it until it has taken as
    // long as a user waits without a bar. From then on there is one, whatever the rest takes.
    let asked = packages.path().join("asked.toml");
    mknodat(CWD, &asked, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let mut session = Session::start(pack(one.path(), &asked, &first), 24, 100);
    let mut pipe = File::options().write(true).open(&asked).unwrap();
    thread::sleep(PATIENCE);
    pipe.write_all(manifest.as_bytes()).unwrap();
    drop(pipe);
    for phase in ["packing", "hashing", "identifying"] {
        session.expect(&format!("{phase} ["));
        session.expect(CLEAR);
    }
    let (code, seen) = session.end();
    assert_eq!(code, 0, "{seen}");
    let (_, left) = seen.rsplit_once(CLEAR).unwrap();
    assert!(!left.contains(" ["), "{left:?} of {seen:?}");

    let quiet = finish(pack(&deeper, &told, &second), b"");
    assert_eq!(quiet.code, 0, "{quiet}");
    let warnings = quiet.err();
    assert!(
        !warnings.contains('[') && !warnings.contains('\u{1b}'),
        "{warnings}"
    );
    let (first, second) = (fs::read(first).unwrap(), fs::read(second).unwrap());
    assert!(first == second, "two packages of one tree");
    let id = quiet.out().split_whitespace().next().unwrap().to_owned();
    assert!(left.contains(&id), "{id}: {seen}");
}
