//! `/proc` itself, and the directory of a process.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::generated::{Child, Item, Subject};
use super::{accounts, kernel, memory, net, status};
use crate::errno::{Errno, Result};
use crate::fs::inode::Target;
use crate::fs::{Kind, Location, OpenFile, anonymous, mount};
use crate::task::process::Life;
use crate::task::{self, Process};

/// Bytes of arguments or environment that are shown, at most.
const STRINGS_MAX: u64 = 1 << 20;

/// A name that is always there.
pub(super) fn item(name: &'static str, child: Child) -> Item {
    (Cow::Borrowed(name), child, Subject::default())
}

/// What is in `/proc`.
pub(super) fn root(_: &Subject) -> Result<Vec<Item>> {
    let mut items = vec![
        item("self", Child::Link(own)),
        item("thread-self", Child::Link(own_thread)),
        item(
            "mounts",
            Child::Link(|_| Ok(Target::Path(b"self/mounts".to_vec()))),
        ),
        item(
            "net",
            Child::Link(|_| Ok(Target::Path(b"self/net".to_vec()))),
        ),
    ];
    items.extend(kernel::items());
    for process in task::processes() {
        let name = Cow::Owned(process.id().to_string());
        items.push((
            name,
            Child::Directory(directory),
            Subject::of(&process, process.id()),
        ));
    }
    Ok(items)
}

fn own(_: &Subject) -> Result<Target> {
    Ok(Target::Path(task::process().id().to_string().into_bytes()))
}

fn own_thread(_: &Subject) -> Result<Target> {
    let (process, thread) = (task::process().id(), task::thread_id());
    Ok(Target::Path(
        format!("{process}/task/{thread}").into_bytes(),
    ))
}

/// What is in the directory of a process, and of a thread.
const ENTRIES: &[(&str, Child)] = &[
    ("auxv", Child::Text(auxiliary)),
    ("cgroup", Child::Text(|_| Ok(b"0::/\n".to_vec()))),
    ("cmdline", Child::Text(arguments)),
    ("comm", Child::Setting(status::name, status::set_name)),
    (
        "coredump_filter",
        Child::Text(|_| Ok(b"00000033\n".to_vec())),
    ),
    ("cpuset", Child::Text(|_| Ok(b"/\n".to_vec()))),
    ("cwd", Child::Link(working_directory)),
    ("environ", Child::Text(environment)),
    ("exe", Child::Link(executable)),
    ("fd", Child::Directory(descriptors)),
    ("fdinfo", Child::Directory(descriptor_infos)),
    ("gid_map", Child::Text(own_numbers)),
    ("io", Child::Text(accounts::io)),
    ("limits", Child::Text(status::limits)),
    ("loginuid", Child::Text(|_| Ok(b"4294967295".to_vec()))),
    ("maps", Child::Text(memory::maps)),
    ("mountinfo", Child::Text(mountinfo)),
    ("mounts", Child::Text(mounts)),
    ("net", Child::Directory(net::directory)),
    ("ns", Child::Directory(namespaces)),
    ("oom_adj", Child::Text(|_| Ok(b"0\n".to_vec()))),
    ("oom_score", Child::Text(|_| Ok(b"0\n".to_vec()))),
    (
        "oom_score_adj",
        Child::Setting(status::preference, status::set_preference),
    ),
    ("personality", Child::Text(|_| Ok(b"00000000\n".to_vec()))),
    ("root", Child::Link(root_directory)),
    ("schedstat", Child::Text(accounts::schedstat)),
    ("sessionid", Child::Text(|_| Ok(b"4294967295".to_vec()))),
    ("setgroups", Child::Text(|_| Ok(b"allow\n".to_vec()))),
    ("smaps", Child::Text(memory::smaps)),
    ("smaps_rollup", Child::Text(memory::rollup)),
    ("stat", Child::Text(status::stat)),
    ("statm", Child::Text(memory::statm)),
    ("status", Child::Text(status::status)),
    ("syscall", Child::Text(|_| Ok(b"running\n".to_vec()))),
    ("timerslack_ns", Child::Text(|_| Ok(b"50000\n".to_vec()))),
    ("uid_map", Child::Text(own_numbers)),
    ("wchan", Child::Text(|_| Ok(b"0".to_vec()))),
];

fn directory(subject: &Subject) -> Result<Vec<Item>> {
    let mut items = thread_directory(subject)?;
    items.push((
        Cow::Borrowed("task"),
        Child::Directory(threads),
        subject.clone(),
    ));
    Ok(items)
}

fn thread_directory(subject: &Subject) -> Result<Vec<Item>> {
    subject.process()?;
    let entry =
        |(name, child): &(&'static str, Child)| (Cow::Borrowed(*name), *child, subject.clone());
    Ok(ENTRIES.iter().map(entry).collect())
}

fn threads(subject: &Subject) -> Result<Vec<Item>> {
    let process = subject.process()?;
    let ids: Vec<u32> = process
        .threads
        .lock()
        .iter()
        .map(|thread| thread.id())
        .collect();
    let of = |id: u32| {
        let name = Cow::Owned(id.to_string());
        (
            name,
            Child::Directory(thread_directory),
            Subject::of(&process, id),
        )
    };
    Ok(ids.into_iter().map(of).collect())
}

/// The numbers of users and groups are the box's own.
fn own_numbers(_: &Subject) -> Result<Vec<u8>> {
    Ok(b"         0          0 4294967295\n".to_vec())
}

/// Names of namespaces, each with the number of the one that there is (as Linux numbers its first
/// ones).
fn namespaces(subject: &Subject) -> Result<Vec<Item>> {
    macro_rules! links {
        ($($name:literal: $target:literal),*) => {
            Ok(vec![$((
                Cow::Borrowed($name),
                Child::Link(|subject| {
                    subject.private()?;
                    Ok(Target::Path($target.to_vec()))
                }),
                subject.clone(),
            )),*])
        };
    }
    links! {
        "cgroup": b"cgroup:[4026531835]",
        "ipc": b"ipc:[4026531839]",
        "mnt": b"mnt:[4026531841]",
        "net": b"net:[4026531840]",
        "pid": b"pid:[4026531836]",
        "pid_for_children": b"pid:[4026531836]",
        "time": b"time:[4026531834]",
        "time_for_children": b"time:[4026531834]",
        "user": b"user:[4026531837]",
        "uts": b"uts:[4026531838]"
    }
}

/// The strings between two addresses of a process.
fn strings(process: &Process, (start, end): (u64, u64)) -> Result<Vec<u8>> {
    let len = end.saturating_sub(start).min(STRINGS_MAX);
    let mut bytes = vec![0; len as usize];
    process.space().read(start, &mut bytes)?;
    Ok(bytes)
}

fn arguments(subject: &Subject) -> Result<Vec<u8>> {
    let process = subject.process()?;
    // A zombie has no memory to show.
    Ok(strings(&process, process.space().layout().arguments).unwrap_or_default())
}

fn environment(subject: &Subject) -> Result<Vec<u8>> {
    let process = subject.private()?;
    Ok(strings(&process, process.space().layout().environment).unwrap_or_default())
}

fn auxiliary(subject: &Subject) -> Result<Vec<u8>> {
    let process = subject.private()?;
    Ok(strings(&process, process.space().layout().auxiliary).unwrap_or_default())
}

/// The process, if it still has what a zombie has given up.
fn alive(subject: &Subject) -> Result<Arc<Process>> {
    let process = subject.private()?;
    match process.life() {
        Life::Zombie(_) => Err(Errno::ENOENT),
        _ => Ok(process),
    }
}

fn executable(subject: &Subject) -> Result<Target> {
    let path = alive(subject)?.executable();
    if path.is_empty() {
        return Err(Errno::ENOENT);
    }
    let who = task::process().credentials();
    let walk = crate::fs::path::Walk {
        root: mount::root(),
        who: &who,
        resolve: 0,
    };
    match walk
        .walk(mount::root(), &path, false)
        .and_then(crate::fs::path::Found::existing)
    {
        Ok(location) => Ok(Target::Magic(location, path.to_vec())),
        // It was removed or replaced by something else than a file.
        Err(_) => Ok(Target::Path(path.to_vec())),
    }
}

/// A link to a directory.
fn link_to(location: Location) -> Target {
    let shown = location.display(&mount::root());
    Target::Magic(location, shown)
}

fn working_directory(subject: &Subject) -> Result<Target> {
    Ok(link_to(Location::of(alive(subject)?.context().directory())))
}

fn root_directory(subject: &Subject) -> Result<Target> {
    Ok(link_to(Location::of(alive(subject)?.context().root())))
}

fn for_each_descriptor(subject: &Subject, child: Child) -> Result<Vec<Item>> {
    let process = subject.private()?;
    let of = |fd: u32| (Cow::Owned(fd.to_string()), child, Subject::of(&process, fd));
    Ok(process.files().list().into_iter().map(of).collect())
}

fn descriptors(subject: &Subject) -> Result<Vec<Item>> {
    for_each_descriptor(subject, Child::Link(descriptor))
}

fn open_file(subject: &Subject) -> Result<Arc<OpenFile>> {
    let files = subject.process()?.files();
    files.get(subject.number as i32).map_err(|_| Errno::ENOENT)
}

fn descriptor(subject: &Subject) -> Result<Target> {
    let file = open_file(subject)?;
    Ok(Target::Magic(anonymous::location(&file), file.display()))
}

fn descriptor_infos(subject: &Subject) -> Result<Vec<Item>> {
    for_each_descriptor(subject, Child::Text(descriptor_info))
}

fn descriptor_info(subject: &Subject) -> Result<Vec<u8>> {
    let file = open_file(subject)?;
    let (mut flags, stat) = (file.flags(), file.stat());
    if subject
        .process()?
        .files()
        .is_close_on_exec(subject.number as i32)?
    {
        flags |= linux_raw_sys::general::O_CLOEXEC;
    }
    let (position, mount) = (file.position(), stat.device);
    let (ino, details) = (stat.ino, file.file().details());
    Ok(
        format!("pos:\t{position}\nflags:\t0{flags:o}\nmnt_id:\t{mount}\nino:\t{ino}\n{details}")
            .into_bytes(),
    )
}

/// All mounts: type, path, options.
fn mount_list() -> Vec<(&'static str, u32, &'static str, &'static str)> {
    let root = mount::root();
    let options = "rw,noatime";
    let mut list = vec![(
        root.filesystem().name,
        root.filesystem().device,
        "/",
        options,
    )];
    for path in mount::paths() {
        let walk = crate::fs::path::Walk {
            root: root.clone(),
            who: &crate::task::Credentials::default(),
            resolve: 0,
        };
        let found = walk.walk(root.clone(), path.as_bytes(), true);
        if let Ok(location) = found.and_then(crate::fs::path::Found::existing) {
            debug_assert_eq!(location.inode.kind(), Kind::Directory);
            let filesystem = location.inode.filesystem();
            list.push((
                filesystem.name,
                filesystem.device,
                path,
                "rw,nosuid,noatime",
            ));
        }
    }
    list
}

fn mounts(_: &Subject) -> Result<Vec<u8>> {
    let line = |(name, _, path, options): &(&str, u32, &str, &str)| {
        format!("{name} {path} {name} {options} 0 0\n")
    };
    Ok(mount_list()
        .iter()
        .map(line)
        .collect::<alloc::string::String>()
        .into_bytes())
}

fn mountinfo(_: &Subject) -> Result<Vec<u8>> {
    let list = mount_list();
    let root = list.first().map_or(0, |(_, device, ..)| *device);
    let line = |(name, device, path, options): &(&str, u32, &str, &str)| {
        let parent = if *path == "/" { 1 } else { root };
        format!("{device} {parent} 0:{device} / {path} {options} - {name} {name} rw\n")
    };
    Ok(list
        .iter()
        .map(line)
        .collect::<alloc::string::String>()
        .into_bytes())
}
