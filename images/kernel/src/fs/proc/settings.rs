//! `/proc/sys`: what Linux lets be set, as it is here. Nothing can be set.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use super::table::Value::{Made, Text};
use super::table::{Table, tree};
use crate::random;
use crate::sync::Mutex;
use crate::syscall::system;
use crate::task;

tree!(
    /// What is in `/proc/sys`.
    root,
    SETTINGS
);

pub(super) static SETTINGS: &Table = &[
    ("fs/aio-max-nr", Text("65536")),
    ("fs/aio-nr", Text("0")),
    ("fs/dentry-state", Text("0\t0\t45\t0\t0\t0")),
    ("fs/epoll/max_user_watches", Text("1048576")),
    ("fs/file-max", Text("9223372036854775807")),
    ("fs/file-nr", Text("0\t0\t9223372036854775807")),
    ("fs/inode-nr", Text("0\t0")),
    ("fs/inotify/max_queued_events", Text("16384")),
    ("fs/inotify/max_user_instances", Text("128")),
    ("fs/inotify/max_user_watches", Text("65536")),
    ("fs/lease-break-time", Text("45")),
    ("fs/mqueue/msg_default", Text("10")),
    ("fs/mqueue/msg_max", Text("10")),
    ("fs/mqueue/msgsize_default", Text("8192")),
    ("fs/mqueue/msgsize_max", Text("8192")),
    ("fs/mqueue/queues_max", Text("256")),
    ("fs/nr_open", Text("1048576")),
    ("fs/overflowgid", Text("65534")),
    ("fs/overflowuid", Text("65534")),
    ("fs/pipe-max-size", Text("1048576")),
    ("fs/pipe-user-pages-hard", Text("0")),
    ("fs/pipe-user-pages-soft", Text("16384")),
    ("fs/protected_hardlinks", Text("0")),
    ("fs/protected_symlinks", Text("0")),
    ("fs/suid_dumpable", Text("0")),
    ("kernel/arch", Text("x86_64")),
    ("kernel/cap_last_cap", Text("40")),
    ("kernel/core_pattern", Text("core")),
    ("kernel/core_uses_pid", Text("0")),
    ("kernel/dmesg_restrict", Text("1")),
    ("kernel/domainname", Text("(none)")),
    ("kernel/hostname", Made(host_name)),
    ("kernel/io_uring_disabled", Text("2")),
    ("kernel/kptr_restrict", Text("1")),
    ("kernel/modules_disabled", Text("1")),
    ("kernel/msgmax", Text("8192")),
    ("kernel/msgmnb", Text("16384")),
    ("kernel/msgmni", Text("32000")),
    ("kernel/ngroups_max", Text("65536")),
    ("kernel/numa_balancing", Text("0")),
    ("kernel/osrelease", Made(release)),
    ("kernel/ostype", Text("Linux")),
    ("kernel/overflowgid", Text("65534")),
    ("kernel/overflowuid", Text("65534")),
    ("kernel/panic", Text("0")),
    ("kernel/perf_event_paranoid", Text("4")),
    ("kernel/pid_max", Text("4194304")),
    ("kernel/printk", Text("4\t4\t1\t7")),
    ("kernel/pty/max", Text("4096")),
    ("kernel/random/boot_id", Made(boot_id)),
    ("kernel/random/entropy_avail", Text("256")),
    ("kernel/random/poolsize", Text("256")),
    ("kernel/random/uuid", Made(uuid)),
    ("kernel/randomize_va_space", Text("0")),
    ("kernel/sched_rt_period_us", Text("1000000")),
    ("kernel/sched_rt_runtime_us", Text("950000")),
    ("kernel/seccomp/actions_avail", Text("")),
    ("kernel/sem", Text("32000\t1024000000\t500\t32000")),
    ("kernel/shmall", Text("18446744073692774399")),
    ("kernel/shmmax", Text("18446744073692774399")),
    ("kernel/shmmni", Text("4096")),
    ("kernel/sysrq", Text("0")),
    ("kernel/tainted", Text("0")),
    ("kernel/threads-max", Made(threads_max)),
    ("kernel/unprivileged_bpf_disabled", Text("2")),
    ("kernel/version", Made(version)),
    ("net/core/netdev_max_backlog", Text("1000")),
    ("net/core/optmem_max", Text("131072")),
    ("net/core/rmem_default", Text("212992")),
    ("net/core/rmem_max", Text("212992")),
    ("net/core/somaxconn", Text("4096")),
    ("net/core/wmem_default", Text("212992")),
    ("net/core/wmem_max", Text("212992")),
    ("net/ipv4/ip_default_ttl", Text("64")),
    ("net/ipv4/ip_forward", Text("0")),
    ("net/ipv4/ip_local_port_range", Text("32768\t60999")),
    ("net/ipv4/ip_nonlocal_bind", Text("0")),
    ("net/ipv4/ip_unprivileged_port_start", Text("1024")),
    ("net/ipv4/ping_group_range", Text("1\t0")),
    ("net/ipv4/tcp_fastopen", Text("1")),
    ("net/ipv4/tcp_fin_timeout", Text("60")),
    ("net/ipv4/tcp_keepalive_intvl", Text("75")),
    ("net/ipv4/tcp_keepalive_probes", Text("9")),
    ("net/ipv4/tcp_keepalive_time", Text("7200")),
    ("net/ipv4/tcp_max_syn_backlog", Text("2048")),
    ("net/ipv4/tcp_retries2", Text("15")),
    ("net/ipv4/tcp_rmem", Text("4096\t131072\t6291456")),
    ("net/ipv4/tcp_sack", Text("1")),
    ("net/ipv4/tcp_syncookies", Text("1")),
    ("net/ipv4/tcp_timestamps", Text("1")),
    ("net/ipv4/tcp_tw_reuse", Text("2")),
    ("net/ipv4/tcp_window_scaling", Text("1")),
    ("net/ipv4/tcp_wmem", Text("4096\t16384\t4194304")),
    ("net/ipv4/udp_rmem_min", Text("4096")),
    ("net/ipv4/udp_wmem_min", Text("4096")),
    ("net/ipv6/bindv6only", Text("0")),
    ("net/ipv6/conf/all/disable_ipv6", Text("0")),
    ("net/ipv6/conf/default/disable_ipv6", Text("0")),
    ("net/ipv6/conf/lo/disable_ipv6", Text("0")),
    ("net/unix/max_dgram_qlen", Text("10")),
    ("user/max_user_namespaces", Text("0")),
    ("vm/dirty_background_ratio", Text("10")),
    ("vm/dirty_ratio", Text("20")),
    ("vm/drop_caches", Text("0")),
    ("vm/legacy_va_layout", Text("0")),
    ("vm/max_map_count", Text("65530")),
    ("vm/memfd_noexec", Text("0")),
    ("vm/min_free_kbytes", Text("0")),
    ("vm/mmap_min_addr", Text("65536")),
    ("vm/nr_hugepages", Text("0")),
    ("vm/nr_overcommit_hugepages", Text("0")),
    ("vm/oom_kill_allocating_task", Text("1")),
    ("vm/overcommit_kbytes", Text("0")),
    ("vm/overcommit_memory", Text("0")),
    ("vm/overcommit_ratio", Text("50")),
    ("vm/panic_on_oom", Text("0")),
    ("vm/swappiness", Text("60")),
    ("vm/unprivileged_userfaultfd", Text("0")),
    ("vm/vfs_cache_pressure", Text("100")),
    ("vm/zone_reclaim_mode", Text("0")),
];

fn release() -> Vec<u8> {
    format!("{}\n", system::RELEASE).into_bytes()
}

fn version() -> Vec<u8> {
    format!("{}\n", system::VERSION).into_bytes()
}

fn threads_max() -> Vec<u8> {
    format!("{}\n", task::limits::THREADS).into_bytes()
}

fn host_name() -> Vec<u8> {
    let name = system::host_name();
    let len = name
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(name.len());
    [&name[..len], b"\n"].concat()
}

/// A random UUID (version 4) and a line feed.
fn uuid() -> Vec<u8> {
    let mut bytes = [0; 16];
    random::fill(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::new();
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\n');
    text.into_bytes()
}

/// The same for as long as the instance runs.
fn boot_id() -> Vec<u8> {
    static BOOT_ID: Mutex<Vec<u8>> = Mutex::new(Vec::new());
    let mut id = BOOT_ID.lock();
    if id.is_empty() {
        *id = uuid();
    }
    id.clone()
}
