//! What this host has besides KVM, as its kernel's files tell.

use std::fs;

use rustix::process::{Resource, getrlimit};
use serde::Serialize;

use super::landlock;

/// How control groups are mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Cgroups {
    /// Version 2 alone.
    V2,
    /// Version 2 beside version 1, which has the controllers.
    Hybrid,
    /// Version 1 alone.
    V1,
    /// Not at all.
    None,
}

/// Bounds for what runs here. Sizes are in bytes.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Limits {
    pub(super) cores: usize,
    pub(super) memory: u64,
    pub(super) memory_available: u64,
    pub(super) open_files: u64,
    /// The most that this user may set `open_files` to.
    pub(super) open_files_max: u64,
    pub(super) user_namespaces: bool,
    pub(super) landlock: Option<u32>,
    pub(super) cgroups: Cgroups,
    /// The controllers of version 2.
    pub(super) cgroup_controllers: Vec<String>,
    /// The mounted controllers of version 1.
    pub(super) cgroup_v1_controllers: Vec<String>,
}

impl Limits {
    /// This host's.
    pub(super) fn of_host() -> Self {
        let files = getrlimit(Resource::Nofile);
        let meminfo = read("/proc/meminfo");
        let mounts = read("/proc/self/mounts");
        let (cgroups, root) = cgroups(&mounts);
        let controllers = read(&format!("{root}/cgroup.controllers"));
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory: kilobytes(&meminfo, "MemTotal"),
            memory_available: kilobytes(&meminfo, "MemAvailable"),
            open_files: files.current.unwrap_or(u64::MAX),
            open_files_max: files.maximum.unwrap_or(u64::MAX),
            user_namespaces: user_namespaces(),
            landlock: landlock::version(),
            cgroups,
            cgroup_controllers: controllers.split_whitespace().map(str::to_owned).collect(),
            cgroup_v1_controllers: v1_controllers(&mounts),
        }
    }
}

/// The processor's name.
pub(super) fn cpu_model() -> String {
    let cpuinfo = read("/proc/cpuinfo");
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"));
    let name = line.and_then(|line| line.split_once(':'));
    name.map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned())
}

/// A file's text; empty if it cannot be read, which for the kernel's files says as much.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// A line of /proc/meminfo (proc(5)), in bytes.
fn kilobytes(meminfo: &str, name: &str) -> u64 {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    number.map_or(0, |number| number.saturating_mul(1024))
}

/// Whether this user may make user namespaces (user_namespaces(7); the second file is Debian's,
/// the third Ubuntu's).
fn user_namespaces() -> bool {
    let number = |path: &str| read(path).trim().parse::<u64>().ok();
    let most = number("/proc/sys/user/max_user_namespaces").unwrap_or(0);
    let root = rustix::process::geteuid().is_root();
    let allowed = number("/proc/sys/kernel/unprivileged_userns_clone").unwrap_or(1) != 0
        && number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").unwrap_or(0) == 0;
    most > 0 && (root || allowed)
}

/// The layout, and where version 2 is mounted.
fn cgroups(mounts: &str) -> (Cgroups, String) {
    let of_type = |kind: &str| {
        let fields = mounts
            .lines()
            .map(|line| line.split(' ').collect::<Vec<_>>());
        let mut found = fields.filter(|fields| fields.get(2) == Some(&kind));
        found.find_map(|fields| fields.get(1).map(|at| (*at).to_owned()))
    };
    match (of_type("cgroup2"), of_type("cgroup")) {
        (Some(root), None) => (Cgroups::V2, root),
        (Some(root), Some(_)) => (Cgroups::Hybrid, root),
        (None, Some(_)) => (Cgroups::V1, String::new()),
        (None, None) => (Cgroups::None, String::new()),
    }
}

/// What the options of the mounts of version 1 name, controllers among them.
fn v1_controllers(mounts: &str) -> Vec<String> {
    let fields = mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>());
    let of_v1 = fields.filter(|fields| fields.get(2) == Some(&"cgroup"));
    let options = of_v1.filter_map(|fields| Some(fields.get(3)?.split(',').map(str::to_owned)));
    let mut names: Vec<String> = options.flatten().collect();
    names.retain(|name| !matches!(&**name, "rw" | "relatime" | "nosuid" | "nodev" | "noexec"));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroup_layouts_are_told_apart() {
        let v1 = "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n";
        let v2 = "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(cgroups(v1).0, Cgroups::V1);
        assert_eq!(v1_controllers(&[v1, v2].concat()), ["cpu"]);
        assert_eq!(cgroups(v2), (Cgroups::V2, "/sys/fs/cgroup/unified".into()));
        assert_eq!(cgroups(&[v1, v2].concat()).0, Cgroups::Hybrid);
        assert_eq!(
            cgroups("proc /proc proc rw 0 0\nnonsense\n").0,
            Cgroups::None
        );
    }

    #[test]
    fn memory_is_told_in_bytes() {
        let text = "MemTotal:        8148044 kB\nMemAvailable:    123 kB\n";
        assert_eq!(kilobytes(text, "MemAvailable"), 123 * 1024);
        assert_eq!(kilobytes(text, "Mem"), 0);
        assert_eq!(kilobytes("", "MemTotal"), 0);
    }
}
