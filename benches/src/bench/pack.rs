//! Packing a tree of many small files, beside tools that write the same files into one.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use crate::files::Files;
use crate::group::{Contender, Group, Unit};
use crate::sample::{Failure, duration};

const FILES: u32 = 50_000;
const DIRECTORIES: u32 = 500;

pub(crate) fn groups(files: &Files) -> Vec<Group> {
    let (tree, out) = (files.scratch("many"), files.scratch("many.out"));
    let contender = |name, program: &Path, arguments: &[&str]| {
        let (mut command, tree) = (Command::new(program), tree.clone());
        command.args(arguments).arg(&out).arg(&tree);
        Contender::new(name, move |_| {
            many(&tree).map_err(|error| Failure::Host(error.to_string()))?;
            duration(&mut command)
        })
    };
    let pack = ["pack", "--entrypoint", "/d0/f0", "-o"];
    let contenders = vec![
        contender("tar -c", "tar".as_ref(), &["-cf"]).base(),
        contender("mkfs.erofs", "mkfs.erofs".as_ref(), &[]),
        contender("unicell pack", &files.unicell, &pack),
    ];
    let title = "packing 50,000 files of 100 to 6,000 bytes";
    vec![Group::new(title, Unit::Nanoseconds, contenders).seldom(5)]
}

/// Makes the tree, unless it is there.
fn many(tree: &Path) -> io::Result<()> {
    if tree.is_dir() {
        return Ok(());
    }
    let fresh = tree.with_extension("new");
    for number in 0..DIRECTORIES {
        fs::create_dir_all(fresh.join(format!("d{number}")))?;
    }
    for number in 0..FILES {
        let path = fresh.join(format!("d{}/f{number}", number % DIRECTORIES));
        let len = 25 + number as usize * 7919 % 1475;
        fs::write(path, number.to_le_bytes().repeat(len))?;
    }
    fs::rename(fresh, tree)
}
