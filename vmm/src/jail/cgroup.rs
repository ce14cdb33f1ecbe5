//! Control groups: of version 2, or of version 1 where the host has its controllers there.
//!
//! Written out, and not by a crate: what is needed is to make a directory, to write three numbers
//! and to hand out the descriptor of one file. The crates that are kept move a process by its number
//! and a path, while here the process enters by a descriptor, before it has a path or a number; and
//! they bring a client of systemd's bus along.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::plan::{Obstacle, failed};

/// What processes of an instance may use together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of memory, what the host's kernel keeps for them included.
    pub memory: u64,
    /// Processor time of each period, in microseconds.
    pub cpu_quota_us: u64,
    /// The period, in microseconds.
    pub cpu_period_us: u64,
    /// Threads.
    pub threads: u64,
}

/// The controllers that are needed.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

/// Where control groups for instances are made: below the node's own.
#[derive(Debug)]
pub struct Groups {
    version: Version,
    made: AtomicU64,
}

#[derive(Debug)]
enum Version {
    /// The one directory.
    V2(PathBuf),
    /// A directory for each of [`CONTROLLERS`].
    V1([PathBuf; 3]),
}

/// The control group of one instance.
#[derive(Debug)]
pub struct Group {
    /// One directory, or one for each of [`CONTROLLERS`].
    directories: Vec<PathBuf>,
}

impl Groups {
    /// Finds where this process may make groups.
    ///
    /// # Errors
    ///
    /// Why it may not, in a few words.
    pub fn find() -> Result<Self, String> {
        let mounts = read("/proc/self/mounts")?;
        let own = read("/proc/self/cgroup")?;
        let version = match v2(&mounts, &own) {
            Ok(directory) => Version::V2(directory),
            Err(why) => v1(&mounts, &own).map(Version::V1).ok_or(why)?,
        };
        let groups = Self {
            version,
            made: AtomicU64::new(0),
        };
        groups.parents().iter().for_each(|parent| sweep(parent));
        // Only making one tells whether it can be done.
        let trial = groups.make().map_err(|error| error.to_string())?;
        trial.remove();
        Ok(groups)
    }

    /// The version of the interface: 1 or 2.
    #[must_use]
    pub fn version(&self) -> u32 {
        match self.version {
            Version::V1(_) => 1,
            Version::V2(_) => 2,
        }
    }

    fn parents(&self) -> &[PathBuf] {
        match &self.version {
            Version::V2(directory) => std::slice::from_ref(directory),
            Version::V1(directories) => directories,
        }
    }

    /// Makes a group.
    ///
    /// # Errors
    ///
    /// The host refuses.
    pub fn make(&self) -> io::Result<Group> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let name = format!("unicell-{}-{number}", std::process::id());
        let mut group = Group {
            directories: Vec::new(),
        };
        for parent in self.parents() {
            let directory = parent.join(&name);
            if let Err(error) = fs::create_dir(&directory) {
                group.remove();
                let text = format!("{}: {error}", directory.display());
                return Err(io::Error::new(error.kind(), text));
            }
            group.directories.push(directory);
        }
        Ok(group)
    }
}

impl Group {
    /// What a process enters the group by ([`super::Plan::cgroups`]).
    ///
    /// # Errors
    ///
    /// The host refuses.
    pub fn doors(&self) -> io::Result<Vec<OwnedFd>> {
        let open = |directory: &PathBuf| {
            let file = File::options()
                .write(true)
                .open(directory.join("cgroup.procs"));
            file.map(OwnedFd::from)
        };
        self.directories.iter().map(open).collect()
    }

    /// Its directories.
    #[must_use]
    pub fn directories(&self) -> &[PathBuf] {
        &self.directories
    }

    /// Bounds what is in it.
    ///
    /// # Errors
    ///
    /// The host refuses.
    pub fn bound(&self, bounds: &Bounds) -> io::Result<()> {
        let (quota, period) = (bounds.cpu_quota_us, bounds.cpu_period_us);
        let memory = bounds.memory.to_string();
        let threads = bounds.threads.to_string();
        match &self.directories[..] {
            [all] => {
                write(all, "cpu.max", &format!("{quota} {period}"))?;
                write(all, "memory.max", &memory)?;
                write(all, "pids.max", &threads)
            }
            [cpu, memory_group, pids] => {
                write(cpu, "cpu.cfs_period_us", &period.to_string())?;
                write(cpu, "cpu.cfs_quota_us", &quota.to_string())?;
                write(memory_group, "memory.limit_in_bytes", &memory)?;
                write(pids, "pids.max", &threads)
            }
            _ => Err(io::Error::other("a control group without a directory")),
        }
    }

    /// Lets all others go before what is in it, or not any more. Who goes last has what nobody else
    /// wants of the processors, and hardly more (`cpu.idle`: Documentation/admin-guide/cgroup-v2.rst,
    /// "CPU Interface Files"; of version 1 too, both since Linux 5.15).
    ///
    /// # Errors
    ///
    /// The host refuses, or is older.
    pub fn give_way(&self, gives_way: bool) -> io::Result<()> {
        // The first one has the controller of processor time.
        let cpu = self.directories.first();
        cpu.map_or(Ok(()), |cpu| {
            write(cpu, "cpu.idle", if gives_way { "1" } else { "0" })
        })
    }

    /// Removes it, once its processes are gone.
    pub fn remove(&self) {
        for directory in &self.directories {
            // What stays is found and removed when the node starts again.
            let _ = remove(directory);
        }
    }
}

/// How long a group may take to become empty, and how often it is looked at.
const PATIENCE: u32 = 500;
const BREATH: Duration = Duration::from_millis(1);

/// Removes a group whose processes are gone, or about to go.
///
/// Linux takes a task out of its group in `finish_task_switch`, after it has switched away from it for
/// the last time (commit d245698d727a, "cgroup: Defer task cgroup unlink until after the task is done
/// switching out"; 6.19, and stable kernels that took it over). wait(2) may say before that it is
/// gone: between the two its group is busy, for as long as the host lets that processor go on. Since
/// commit 1b164b876c36, "cgroup: Wait for dying tasks to leave on rmdir", rmdir(2) waits by itself;
/// kernels between the two have to be asked again. Of version 2 `cgroup.events` would tell; version
/// 1 has nothing that does but `release_agent`, a program that the host's root names for a whole
/// hierarchy (Documentation/admin-guide/cgroup-v1/cgroups.rst, section 1.4). So asking is what works
/// for both.
///
/// # Errors
///
/// Somebody is still in it, or the host refuses.
pub fn remove(directory: &Path) -> io::Result<()> {
    for _ in 0..PATIENCE {
        match fs::remove_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => thread::sleep(BREATH),
            result => return result,
        }
    }
    fs::remove_dir(directory)
}

/// Removes the empty groups of processes that are gone: a node that was killed removes nothing.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let maker = name.to_str().and_then(|name| {
            let (pid, _) = name.strip_prefix("unicell-")?.split_once('-')?;
            pid.parse::<u32>().ok()
        });
        if maker.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            // One that still has processes stays.
            let _ = remove(&entry.path());
        }
    }
}

/// Enters the groups by their doors.
pub(super) fn join(doors: &[OwnedFd]) -> Result<(), Obstacle> {
    if doors.is_empty() {
        return Err(Obstacle::Lacking("the node made none".to_owned()));
    }
    for door in doors {
        // Zero is the process that writes.
        rustix::io::write(door, b"0\n").map_err(failed("write of cgroup.procs"))?;
    }
    Ok(())
}

fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}

fn write(directory: &Path, file: &str, text: &str) -> io::Result<()> {
    let path = directory.join(file);
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    File::options()
        .write(true)
        .open(&path)
        .and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()))
        .map_err(named)
}

/// The directory of our own group in the hierarchy of which `proc` has the line: a mount's place,
/// and the part of the path below its root.
fn own_directory(mounts: &str, kind: &str, option: Option<&str>, own: &str) -> Option<PathBuf> {
    let place = mounts.lines().find_map(|line| {
        let fields: Vec<_> = line.split(' ').collect();
        let [_, place, found, options, ..] = fields[..] else {
            return None;
        };
        let fits = option.is_none_or(|option| options.split(',').any(|found| found == option));
        (found == kind && fits).then_some(place)
    })?;
    let path = own.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let fits = match option {
            Some(option) => controllers.split(',').any(|found| found == option),
            None => controllers.is_empty(),
        };
        fits.then_some(path)
    })?;
    Some(Path::new(place).join(path.trim_start_matches('/')))
}

/// Our own group's directory, its controllers given to the groups below it.
fn v2(mounts: &str, own: &str) -> Result<PathBuf, String> {
    let directory = own_directory(mounts, "cgroup2", None, own)
        .ok_or_else(|| "control groups are not mounted".to_owned())?;
    let controllers = fs::read_to_string(directory.join("cgroup.controllers")).unwrap_or_default();
    let offered = |wanted: &&str| controllers.split_whitespace().any(|found| found == *wanted);
    if let Some(absent) = CONTROLLERS.iter().find(|wanted| !offered(wanted)) {
        return Err(format!("version 2 has no controller `{absent}` here"));
    }
    let give = || write(&directory, "cgroup.subtree_control", "+cpu +memory +pids");
    match give() {
        // A group with groups below it has no processes itself: the node moves to one of them.
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
            let node = directory.join("node");
            fs::create_dir_all(&node).map_err(|error| error.to_string())?;
            write(&node, "cgroup.procs", "0").map_err(|error| error.to_string())?;
            give().map_err(|error| format!("{error} (others are in the node's control group)"))?;
        }
        Err(error) => return Err(error.to_string()),
        Ok(()) => {}
    }
    Ok(directory)
}

/// Our own group's directory for each controller.
fn v1(mounts: &str, own: &str) -> Option<[PathBuf; 3]> {
    let [cpu, memory, pids] =
        CONTROLLERS.map(|name| own_directory(mounts, "cgroup", Some(name), own));
    let directories = [cpu?, memory?, pids?];
    directories
        .iter()
        .all(|path| path.is_dir())
        .then_some(directories)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n\
        cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0\n\
        cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n\
        cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
    const OWN: &str = "4:memory:/a/b\n1:cpu,cpuacct:/\n0::/c\nnonsense\n";

    #[test]
    fn the_own_group_is_found_in_each_hierarchy() {
        let found = |kind, option| own_directory(HYBRID, kind, option, OWN);
        let path = |text: &str| Some(PathBuf::from(text));
        assert_eq!(found("cgroup2", None), path("/sys/fs/cgroup/unified/c"));
        assert_eq!(
            found("cgroup", Some("memory")),
            path("/sys/fs/cgroup/memory/a/b")
        );
        assert_eq!(
            found("cgroup", Some("cpu")),
            path("/sys/fs/cgroup/cpu,cpuacct/")
        );
        assert_eq!(found("cgroup", Some("pids")), None);
    }
}
