//! Each layer of the jail against what it is for, with the other layers off: the probe enters it by
//! the same code as an instance's process, and then tries.

#![allow(clippy::expect_used)]

use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use unicell_tests::hosts::skip;
use unicell_vmm::jail::cgroup::{Bounds, Groups};
use unicell_vmm::jail::{self, Layer, Plan};

/// What became of the probe.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Done,
    Refused(i32),
    Killed(i32),
}

use Fate::{Done, Killed, Refused};

/// A user of nobody's.
const USER: u32 = 0x7fff_0000;

fn plan(layers: &[Layer]) -> Plan {
    Plan {
        layers: layers.into(),
        user: jail::is_privileged().then_some(USER),
        file_size: Some(0),
        ..Plan::plain()
    }
}

/// Lets the probe try something in a jail of which all layers have to hold.
#[track_caller]
fn attempt_in(plan: &Plan, act: &str, operand: impl Into<i64>) -> Fate {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jail-probe"));
    command.arg(act).arg(operand.into().to_string());
    let spawned = jail::spawn(command, plan).expect("the probe starts");
    let waiting = spawned.ready().expect("the probe enters its jail");
    assert_eq!(waiting.report.lacks, [], "{act}");
    let status = waiting.process.wait().expect("the probe ends");
    match (status.exit_status(), status.terminating_signal()) {
        (Some(0), _) => Done,
        (Some(errno), _) => Refused(errno),
        (None, Some(signal)) => Killed(signal),
        (None, None) => panic!("{act}: neither an exit nor a signal"),
    }
}

#[track_caller]
fn attempt(layers: &[Layer], act: &str, operand: impl Into<i64>) -> Fate {
    attempt_in(&plan(layers), act, operand)
}

/// A process that the probe would harm.
struct Victim(Child);

impl Victim {
    fn new() -> Self {
        let mut sleep = Command::new("sleep");
        Self(sleep.arg("1000").spawn().expect("sleep starts"))
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A socket of ours that has a name and no file.
struct Named {
    number: u32,
    _listener: UnixListener,
}

impl Named {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // Of this process and this test.
        let number = std::process::id() * 16 + NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("unicell-jail-test-{number}");
        let address = SocketAddr::from_abstract_name(name).expect("it is a name");
        let listener = UnixListener::bind_addr(&address).expect("nobody has it");
        Self {
            number,
            _listener: listener,
        }
    }

    fn number(&self) -> u32 {
        self.number
    }
}

/// Tests of layers that only a privileged node has.
fn unprivileged() -> bool {
    let lacking = !jail::is_privileged();
    if lacking {
        skip("this user may not give others a user of their own");
    }
    lacking
}

#[test]
fn without_a_jail_everything_works() {
    if unprivileged() {
        return;
    }
    // Else the refusals below would prove nothing.
    let victim = Victim::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it has an address").port();
    assert_eq!(attempt(&[], "open", 0), Done);
    assert_eq!(attempt(&[], "kill", victim.pid()), Done);
    assert_eq!(attempt(&[], "proc", victim.pid()), Done);
    assert_eq!(attempt(&[], "ptrace", victim.pid()), Done);
    assert_eq!(attempt(&[], "connect", port), Done);
    let named = Named::new();
    assert_eq!(attempt(&[], "abstract", named.number()), Done);
    assert_eq!(attempt(&[], "address-space", 2_i64 << 30), Done);
    for act in [
        "bind",
        "socket",
        "namespace",
        "user-namespace",
        "execute-memory",
        "file",
        "random",
        "epoll",
    ] {
        assert_eq!(attempt(&[], act, 0), Done, "{act}");
        // A process with threads has no user namespace but the one that it is in.
        if !["file", "user-namespace"].contains(&act) {
            assert_eq!(attempt(&[], &format!("io-thread:{act}"), 0), Done, "{act}");
        }
    }
}

#[test]
fn descriptors_are_not_inherited() {
    let file = std::fs::File::open("/etc/passwd").expect("it is there");
    let kept = rustix::io::fcntl_dupfd_cloexec(&file, 100).expect("a descriptor is left");
    let flags = rustix::io::FdFlags::empty();
    rustix::io::fcntl_setfd(&kept, flags).expect("a descriptor can be kept");
    assert_eq!(
        attempt(&[], "descriptor", kept.as_raw_fd()),
        Refused(libc::EBADF)
    );
}

#[test]
fn the_root_is_empty_and_cannot_be_written() {
    let layers = match jail::is_privileged() {
        true => &[Layer::Namespaces, Layer::Root][..],
        false => &[Layer::UserNamespace, Layer::Namespaces, Layer::Root],
    };
    assert_eq!(attempt(layers, "open", 0), Refused(libc::ENOENT));
    assert_eq!(attempt(layers, "execute", 0), Refused(libc::ENOENT));
    assert_eq!(
        attempt(layers, "proc", std::process::id()),
        Refused(libc::ENOENT)
    );
    assert_eq!(attempt(layers, "create", 0), Refused(libc::EROFS));
}

#[test]
fn no_other_process_is_in_sight() {
    let victim = Victim::new();
    let layers = match jail::is_privileged() {
        true => &[Layer::Namespaces][..],
        false => &[Layer::UserNamespace, Layer::Namespaces],
    };
    assert_eq!(attempt(layers, "kill", victim.pid()), Refused(libc::ESRCH));
    assert_eq!(
        attempt(layers, "ptrace", victim.pid()),
        Refused(libc::ESRCH)
    );
    assert_eq!(
        attempt(layers, "look-into", victim.pid()),
        Refused(libc::ESRCH)
    );
}

#[test]
fn the_network_leads_nowhere() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it has an address").port();
    let own = match jail::is_privileged() {
        true => &[Layer::Network][..],
        false => &[Layer::UserNamespace, Layer::Network],
    };
    assert_eq!(attempt(own, "connect", port), Refused(libc::ENETUNREACH));
    if !jail::is_privileged() {
        return;
    }
    let shared = Plan {
        network: Some(jail::empty_network().expect("a privileged process makes one")),
        ..plan(own)
    };
    assert_eq!(
        attempt_in(&shared, "connect", port),
        Refused(libc::ENETUNREACH)
    );
}

#[test]
fn another_user_may_not_do_what_the_node_may() {
    if unprivileged() {
        return;
    }
    let victim = Victim::new();
    let layers = &[Layer::User];
    assert_eq!(attempt(layers, "kill", victim.pid()), Refused(libc::EPERM));
    assert_eq!(
        attempt(layers, "ptrace", victim.pid()),
        Refused(libc::EPERM)
    );
    assert_eq!(attempt(layers, "proc", victim.pid()), Refused(libc::EACCES));
    assert_eq!(attempt(layers, "create", 0), Refused(libc::EACCES));
    assert_eq!(attempt(layers, "mount", 0), Refused(libc::EPERM));
}

#[test]
fn capabilities_of_a_user_namespace_reach_nothing_of_the_host() {
    let victim = Victim::new();
    let layers = &[Layer::UserNamespace];
    for act in ["ptrace", "look-into"] {
        let fate = attempt(layers, act, victim.pid());
        assert_eq!(fate, Refused(libc::EPERM), "{act}");
    }
    for act in ["mount", "bpf", "host-name"] {
        assert_eq!(attempt(layers, act, 0), Refused(libc::EPERM), "{act}");
    }
    no_kexec(layers);
}

#[test]
fn without_privileges_nothing_privileged_is_done() {
    if unprivileged() {
        return;
    }
    let victim = Victim::new();
    let layers = &[Layer::Privileges];
    for act in ["ptrace", "look-into"] {
        let fate = attempt(layers, act, victim.pid());
        assert_eq!(fate, Refused(libc::EPERM), "{act}");
    }
    for act in ["mount", "namespace", "bpf", "userfaultfd", "host-name"] {
        assert_eq!(attempt(layers, act, 0), Refused(libc::EPERM), "{act}");
    }
    no_kexec(layers);
}

/// A kernel that has no kexec says so first.
#[track_caller]
fn no_kexec(layers: &[Layer]) {
    let fate = attempt(layers, "kexec", 0);
    assert!(
        [Refused(libc::EPERM), Refused(libc::ENOSYS)].contains(&fate),
        "{fate:?}"
    );
}

#[test]
fn landlock_denies_paths_ports_and_tracing() {
    if !has(Layer::Landlock) {
        return skip("this host has no Landlock");
    }
    let victim = Victim::new();
    let layers = &[Layer::Landlock];
    assert_eq!(attempt(layers, "open", 0), Refused(libc::EACCES));
    assert_eq!(attempt(layers, "create", 0), Refused(libc::EACCES));
    assert_eq!(attempt(layers, "execute", 0), Refused(libc::EACCES));
    assert_eq!(
        attempt(layers, "ptrace", victim.pid()),
        Refused(libc::EPERM)
    );
}

/// Of rights that came with later versions of Landlock (landlock(7)): connections and ports with 4,
/// signals and abstract sockets with 6.
#[test]
fn landlock_denies_what_has_no_path_where_the_host_knows_how() {
    let version = landlock_version();
    let layers = &[Layer::Landlock];
    if version < 4 {
        return skip("this host's Landlock knows nothing of the network");
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it has an address").port();
    assert_eq!(attempt(layers, "connect", port), Refused(libc::EACCES));
    assert_eq!(attempt(layers, "bind", 0), Refused(libc::EACCES));
    if version < 6 {
        return skip("this host's Landlock knows nothing of signals");
    }
    let (victim, named) = (Victim::new(), Named::new());
    assert_eq!(attempt(layers, "kill", victim.pid()), Refused(libc::EPERM));
    let fate = attempt(layers, "abstract", named.number());
    assert_eq!(fate, Refused(libc::EPERM));
}

/// The version of the host's Landlock; 0 without one.
#[allow(unsafe_code)]
fn landlock_version() -> i64 {
    /// LANDLOCK_CREATE_RULESET_VERSION of linux/landlock.h.
    const VERSION: u32 = 1;
    let (none, size) = (std::ptr::null::<u8>(), 0_usize);
    // SAFETY: no attributes are read with this flag.
    unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, size, VERSION) }.max(0)
}

/// Whether this host has a layer, as the jail itself says.
fn has(layer: Layer) -> bool {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jail-probe"));
    command.arg("none").stdout(Stdio::null());
    let spawned = jail::spawn(command, &plan(&[layer])).expect("the probe starts");
    let waiting = spawned.ready().expect("the probe enters its jail");
    waiting.process.wait().expect("the probe ends");
    waiting.report.has(layer)
}

/// What no thread of an instance may do.
const UNLISTED: [&str; 0] = [];

#[test]
fn a_system_call_that_is_not_listed_is_the_last() {
    let layers = &[Layer::Seccomp];
    for act in UNLISTED {
        assert_eq!(attempt(layers, act, 1), Killed(libc::SIGSYS), "{act}");
    }
}

/// The thread that serves the device may do less than the other, which has a machine to put together.
#[test]
fn the_io_thread_has_a_list_of_its_own() {
    let layers = &[Layer::Seccomp];
    for act in ["random", "epoll"] {
        assert_eq!(attempt(layers, act, 0), Done, "{act}");
        let fate = attempt(layers, &format!("io-thread:{act}"), 0);
        assert_eq!(fate, Killed(libc::SIGSYS), "{act}");
    }
    for act in UNLISTED.into_iter().chain(["more-address-space"]) {
        let fate = attempt(layers, &format!("io-thread:{act}"), 1);
        assert_eq!(fate, Killed(libc::SIGSYS), "{act}");
    }
}

#[test]
fn address_space_is_bounded_for_good() {
    let layers = &[Layer::Limits];
    let fate = attempt(layers, "address-space", 0);
    assert_eq!(fate, Refused(libc::ENOMEM));
    assert_eq!(attempt(layers, "address-space", 2_i64 << 30), Done);
    let layers = match jail::is_privileged() {
        true => &[Layer::Privileges][..],
        false => &[Layer::UserNamespace, Layer::Privileges],
    };
    // It takes CAP_SYS_RESOURCE, which root has outside of containers.
    let fate = attempt(layers, "more-address-space", 0);
    assert_eq!(fate, Refused(libc::EPERM));
}

#[test]
fn descriptors_files_and_threads_are_bounded() {
    assert_eq!(
        attempt(&[Layer::Limits], "descriptors", 0),
        Refused(libc::EMFILE)
    );
    assert_eq!(attempt(&[Layer::Limits], "file", 0), Killed(libc::SIGXFSZ));
    if unprivileged() {
        return;
    }
    // Bounded for a user; root has no bound. What was forked ends with the first of its namespace.
    let layers = &[Layer::Namespaces, Layer::User, Layer::Limits];
    assert_eq!(attempt(layers, "forks", 0), Refused(libc::EAGAIN));
}

#[test]
fn a_control_group_bounds_memory_and_threads() {
    const BOUNDS: Bounds = Bounds {
        memory: 64 << 20,
        cpu_quota_us: 30_000,
        cpu_period_us: 100_000,
        threads: 6,
    };
    let groups = match Groups::find() {
        Ok(groups) => groups,
        Err(why) => return skip(&why),
    };
    let attempt = |act: &str, operand: i64| {
        let group = groups.make().expect("a group can be made");
        group.bound(&BOUNDS).expect("a group can be bounded");
        let plan = Plan {
            cgroups: group.doors().expect("a group can be entered"),
            ..plan(&[Layer::Cgroup, Layer::Namespaces])
        };
        let fate = attempt_in(&plan, act, operand);
        group.remove();
        let left = group.directories().iter().filter(|path| path.exists());
        assert_eq!(left.count(), 0, "a group is left");
        fate
    };
    assert_eq!(attempt("memory", 8 << 20), Done);
    assert_eq!(attempt("memory", 512 << 20), Killed(libc::SIGKILL));
    assert_eq!(attempt("forks", 0), Refused(libc::EAGAIN));

    let group = groups.make().expect("a group can be made");
    group.bound(&BOUNDS).expect("a group can be bounded");
    let (file, said) = match groups.version() {
        1 => ("cpu.cfs_quota_us", "30000"),
        _ => ("cpu.max", "30000 100000"),
    };
    let path = group.directories()[0].join(file);
    let quota = std::fs::read_to_string(path).expect("the bound can be read");
    assert_eq!(quota.trim(), said);
    let idle = group.directories()[0].join("cpu.idle");
    for (gives_way, said) in [(true, "1"), (false, "0")] {
        group.give_way(gives_way).expect("a group can give way");
        let idle = std::fs::read_to_string(&idle).expect("it can be read");
        assert_eq!(idle.trim(), said);
    }
    group.remove();
}
