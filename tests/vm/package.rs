//! Packages: the same bytes every time, and no damage goes unseen.

use std::fs;
use std::path::Path;
use std::process::Command;

use unicell_tests::boxes::{Tree, tree, unicell};
use unicell_tests::exit;
use unicell_tests::hosts::scale;
use unicell_tests::process::{Outcome, finish};

fn command(arguments: &[&Path]) -> Outcome {
    let mut command = Command::new(unicell());
    command.args(arguments);
    finish(command, b"")
}

fn pack(tree: &Tree, package: &Path) {
    let entrypoint = [Path::new("--entrypoint"), Path::new("/bin/hello")];
    let outcome = command(
        &[
            &[Path::new("pack"), tree.path(), Path::new("-o"), package],
            &entrypoint[..],
        ]
        .concat(),
    );
    assert_eq!(outcome.code, 0, "{outcome}");
}

fn run(package: &Path) -> Outcome {
    command(&[
        Path::new("run"),
        package,
        Path::new("--entrypoint"),
        Path::new("/bin/hello"),
    ])
}

#[test]
fn packing_twice_gives_the_same_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let (one, two) = (
        directory.path().join("one.cell"),
        directory.path().join("two.cell"),
    );
    for name in ["hello", "programs"] {
        pack(&tree(name), &one);
        pack(&tree(name), &two);
        assert!(
            fs::read(&one).unwrap() == fs::read(&two).unwrap(),
            "{name} differs"
        );
    }
}

#[test]
fn a_copy_of_the_directory_gives_the_same_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("copy");
    // Other inodes, other times, another order in the directory.
    let status = Command::new("cp")
        .arg("-r")
        .arg(tree("hello").path())
        .arg(&copy)
        .status()
        .unwrap();
    assert!(status.success());
    let (one, two) = (
        directory.path().join("one.cell"),
        directory.path().join("two.cell"),
    );
    pack(&tree("hello"), &one);
    pack(&Tree::at(&copy), &two);
    assert!(fs::read(&one).unwrap() == fs::read(&two).unwrap());
}

#[test]
fn a_package_and_its_directory_run_alike() {
    let hello = tree("hello");
    let (package, directory) = (run(&hello.package()), run(hello.path()));
    assert_eq!(package, directory);
    assert_eq!(package.out(), "hello from a box\n", "{package}");
}

#[test]
fn inspect_names_what_is_inside() {
    let outcome = command(&[Path::new("inspect"), &tree("hello").package()]);
    assert_eq!(outcome.code, 0, "{outcome}");
    assert!(outcome.out().lines().count() >= 3, "{outcome}");
}

#[test]
fn any_flipped_byte_is_detected() {
    let directory = tempfile::tempdir().unwrap();
    let package = directory.path().join("hello.cell");
    pack(&tree("hello"), &package);
    let whole = fs::read(&package).unwrap();
    // A prime stride reaches header, metadata and data; the ends are sure.
    let stride = (whole.len() / scale(200, 10)) | 1;
    let positions = (0..whole.len()).step_by(stride).chain([1, whole.len() - 1]);
    for position in positions {
        let mut damaged = whole.clone();
        damaged[position] ^= 0x10;
        fs::write(&package, &damaged).unwrap();
        let outcome = run(&package);
        // A byte that this run never reads need not be found by it, so that
        // a start does not pay for the size of the box; then the run is right.
        if outcome.code == 0 {
            assert_eq!(
                outcome.out(),
                "hello from a box\n",
                "byte {position}: {outcome}"
            );
        } else {
            assert_eq!(
                outcome.code,
                exit::PACKAGE_DAMAGED,
                "byte {position}: {outcome}"
            );
        }
    }
}

#[test]
fn a_truncated_or_foreign_file_is_no_package() {
    let directory = tempfile::tempdir().unwrap();
    let package = directory.path().join("hello.cell");
    pack(&tree("hello"), &package);
    let whole = fs::read(&package).unwrap();
    for length in [0, 1, 100, 4096, whole.len() / 2, whole.len() - 1] {
        fs::write(&package, &whole[..length]).unwrap();
        let outcome = run(&package);
        assert_eq!(
            outcome.code,
            exit::PACKAGE_DAMAGED,
            "{length} bytes: {outcome}"
        );
    }
    fs::write(&package, vec![0xa5; 100_000]).unwrap();
    assert_eq!(run(&package).code, exit::PACKAGE_DAMAGED);
}
