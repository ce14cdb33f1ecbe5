//! Files as Rust's standard library uses them.

use std::fs::{self, File, FileTimes, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

fn tell<T: std::fmt::Debug>(what: &str, result: std::io::Result<T>) {
    match result {
        Ok(value) => println!("{what}: {value:?}"),
        Err(error) => println!("{what}: {:?} ({:?})", error.kind(), error.raw_os_error()),
    }
}

fn names(path: &str) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap().map(Result::unwrap);
    let mut names: Vec<_> = entries
        .map(|entry| {
            let kind = entry.file_type().unwrap();
            let name = entry.file_name().into_string().unwrap();
            format!("{name} {} {} {}", kind.is_file(), kind.is_dir(), kind.is_symlink())
        })
        .collect();
    names.sort();
    names
}

fn main() -> std::io::Result<()> {
    tell("write", fs::write("a", "text of a"));
    tell("read", fs::read_to_string("a"));
    tell("read nothing", fs::read("absent"));
    tell("create new", File::create_new("a").map(drop));
    tell("read a directory", fs::read("/work"));
    tell("copy", fs::copy("a", "b"));
    tell("copy from the box", fs::copy("/data/long", "long"));
    tell("copy nothing", fs::copy("absent", "c"));
    tell("rename", fs::rename("b", "c"));
    tell("hard link", fs::hard_link("c", "d"));
    tell("links", fs::metadata("d").map(|status| status.nlink()));
    tell("symbolic link", symlink("c", "l"));
    tell("where it leads", fs::read_link("l"));
    tell("canonical", fs::canonicalize("l"));
    tell("canonical nothing", fs::canonicalize("absent/x"));
    tell("exists", Path::new("l").try_exists());
    tell("set permissions", fs::set_permissions("c", Permissions::from_mode(0o640)));
    tell("mode", fs::metadata("c").map(|status| format!("{:o}", status.mode())));
    tell("directories", fs::create_dir_all("x/y/z"));
    tell("directory again", fs::create_dir("x"));
    tell("remove a full directory", fs::remove_dir("x"));
    tell("remove a directory as a file", fs::remove_file("x"));
    println!("{:?}", names("/work"));
    println!("{:?}", names("/data"));

    let mut file = OpenOptions::new().read(true).append(true).mode(0o600).open("a")?;
    file.write_all(b", more")?;
    tell("position", file.stream_position());
    tell("seek", file.seek(SeekFrom::Start(5)));
    let mut text = String::new();
    tell("read", file.read_to_string(&mut text));
    println!("{text}");
    tell("read at", file.read_exact_at(&mut [0; 4], 0));
    tell("read too much at", file.read_exact_at(&mut [0; 400], 0).map_err(|error| {
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        error
    }));
    tell("set length", file.set_len(4));
    let then = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    tell("set times", file.set_times(FileTimes::new().set_modified(then).set_accessed(then)));
    let told = file.metadata()?;
    println!("{:?} {}", told.modified()? == then, told.len());
    tell("lock", file.lock());
    tell("lock elsewhere", File::open("a")?.try_lock().map_err(std::io::Error::from));
    tell("unlock", file.unlock());
    tell("synchronise", file.sync_all());
    tell("synchronise data", file.sync_data());
    tell("to what is only read", File::open("a")?.write(b"x"));
    tell("remove all", fs::remove_dir_all("x"));
    tell("remove nothing", fs::remove_file("absent"));
    Ok(())
}
