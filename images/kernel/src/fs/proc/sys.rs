//! `/sys`, as far as programs look at it: one processor, loopback, huge pages.

use alloc::format;
use alloc::vec::Vec;

use super::table::Value::{Empty, Link, Made, Text};
use super::table::{Table, tree};
use crate::memory::{PAGE_SIZE, frames};

tree!(
    /// What is in `/sys`.
    root,
    SYS
);

pub(super) static SYS: &Table = &[
    ("block", Empty),
    ("bus", Empty),
    ("class/block", Empty),
    ("class/net/lo", Link("../../devices/virtual/net/lo")),
    ("dev/block", Empty),
    ("dev/char", Empty),
    ("devices/system/cpu/cpu0/online", Text("1")),
    ("devices/system/cpu/cpu0/topology/core_cpus", Text("1")),
    ("devices/system/cpu/cpu0/topology/core_cpus_list", Text("0")),
    ("devices/system/cpu/cpu0/topology/core_id", Text("0")),
    ("devices/system/cpu/cpu0/topology/core_siblings", Text("1")),
    (
        "devices/system/cpu/cpu0/topology/core_siblings_list",
        Text("0"),
    ),
    ("devices/system/cpu/cpu0/topology/die_id", Text("0")),
    ("devices/system/cpu/cpu0/topology/package_cpus", Text("1")),
    (
        "devices/system/cpu/cpu0/topology/package_cpus_list",
        Text("0"),
    ),
    (
        "devices/system/cpu/cpu0/topology/physical_package_id",
        Text("0"),
    ),
    (
        "devices/system/cpu/cpu0/topology/thread_siblings",
        Text("1"),
    ),
    (
        "devices/system/cpu/cpu0/topology/thread_siblings_list",
        Text("0"),
    ),
    ("devices/system/cpu/isolated", Text("")),
    ("devices/system/cpu/kernel_max", Text("0")),
    ("devices/system/cpu/offline", Text("")),
    ("devices/system/cpu/online", Text("0")),
    ("devices/system/cpu/possible", Text("0")),
    ("devices/system/cpu/present", Text("0")),
    ("devices/system/node/has_cpu", Text("0")),
    ("devices/system/node/has_memory", Text("0")),
    ("devices/system/node/node0/cpu0", Link("../../cpu/cpu0")),
    ("devices/system/node/node0/cpulist", Text("0")),
    ("devices/system/node/node0/cpumap", Text("1")),
    ("devices/system/node/node0/distance", Text("10")),
    ("devices/system/node/node0/meminfo", Made(node_memory)),
    ("devices/system/node/online", Text("0")),
    ("devices/system/node/possible", Text("0")),
    ("devices/virtual/net/lo/addr_len", Text("6")),
    ("devices/virtual/net/lo/address", Text("00:00:00:00:00:00")),
    (
        "devices/virtual/net/lo/broadcast",
        Text("00:00:00:00:00:00"),
    ),
    ("devices/virtual/net/lo/carrier", Text("1")),
    ("devices/virtual/net/lo/flags", Text("0x9")),
    ("devices/virtual/net/lo/ifindex", Text("1")),
    ("devices/virtual/net/lo/iflink", Text("1")),
    ("devices/virtual/net/lo/mtu", Text("65536")),
    ("devices/virtual/net/lo/operstate", Text("unknown")),
    ("devices/virtual/net/lo/tx_queue_len", Text("1000")),
    ("devices/virtual/net/lo/type", Text("772")),
    (
        "devices/virtual/net/lo/uevent",
        Text("INTERFACE=lo\nIFINDEX=1"),
    ),
    ("firmware", Empty),
    ("fs/cgroup", Empty),
    ("kernel/mm/hugepages", Empty),
    (
        "kernel/mm/transparent_hugepage/defrag",
        Text("always defer defer+madvise madvise [never]"),
    ),
    (
        "kernel/mm/transparent_hugepage/enabled",
        Text("always [madvise] never"),
    ),
    (
        "kernel/mm/transparent_hugepage/hpage_pmd_size",
        Text("2097152"),
    ),
    (
        "kernel/mm/transparent_hugepage/shmem_enabled",
        Text("always within_size advise [never] deny force"),
    ),
    ("module", Empty),
    ("power", Empty),
];

/// Memory of the one node.
fn node_memory() -> Vec<u8> {
    let (total, used) = frames::usage();
    let kib = |pages: u64| pages * PAGE_SIZE / 1024;
    format!(
        "Node 0 MemTotal:       {:>8} kB\nNode 0 MemFree:        {:>8} kB\n\
         Node 0 MemUsed:        {:>8} kB\n",
        kib(total),
        kib(total - used),
        kib(used)
    )
    .into_bytes()
}
