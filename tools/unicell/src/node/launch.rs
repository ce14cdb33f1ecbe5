//! What the gateway asks for, as the process of an instance and the host are told it.

use unicell_gateway_api::address::Address;
use unicell_gateway_api::instance as api;
use unicell_gateway_api::run::{Launch, RunError};
use unicell_guest_abi::init::{File, Furnishing, Init};
use unicell_guest_abi::layout;
use unicell_vmm::jail::cgroup::Bounds;
use unicell_vmm::link::{self, CpuQuota, Start};
use unicell_vmm::reproducible::Reproduction;
use unicell_vmm::{BoxImage, monotonic_ns};

use crate::instance::{UnfitMemory, ram};

/// The period of a share of processor time, in nanoseconds.
const PERIOD_NS: u64 = 20_000_000;
/// Shares of processor time are in thousandths of one.
const WHOLE_CPU: u32 = 1000;

/// Threads of an instance's process: its two, and what KVM starts in its name.
const THREADS: u64 = 8;
/// Memory of a process beside its guest's: a part of that for tables, and as much for itself, its
/// streams, and pages of the box that nobody has read before. Those go again under pressure.
const TABLES_EACH: u64 = 8;
const OWN_MEMORY: u64 = 128 << 20;
/// The period of the host's own bound on processor time, in microseconds, and the least that it
/// takes for a quota.
const HOST_PERIOD_US: u64 = 100_000;
const HOST_QUOTA_US_MIN: u64 = 1_000;

/// What the process is told to become.
pub(super) fn start_frame(launch: Launch) -> Result<Start, RunError> {
    let refuse = |what: String| RunError::Refused(what);
    let unfit = |unfit: UnfitMemory| refuse(unfit.to_string());
    // RAM cannot grow: it is as large as it may ever become, and what may be used of it is limited.
    let most = launch.most.memory.min(layout::RAM_MAX);
    let ram = ram(most.max(launch.limits.memory)).map_err(unfit)?;
    let init = init_block(&launch);
    if init.len() as u64 > unicell_guest_abi::init::MAX {
        return Err(refuse(format!(
            "arguments, environment and files together have {} bytes, more than {}",
            init.len(),
            unicell_guest_abi::init::MAX
        )));
    }
    Ok(Start {
        ram,
        flags: 0,
        timeout_ns: launch
            .timeout
            .map(|time| time.as_nanos().try_into().unwrap_or(u64::MAX)),
        since_ns: monotonic_ns(),
        seed: None,
        init,
        image: Some(BoxImage {
            file: launch.image.file.try_clone()?,
            offset: launch.image.offset,
            len: launch.image.len,
        }),
        stdin: link::null()?,
        stdout: launch.output.stdout,
        stderr: launch.output.stderr,
        log: launch.output.log,
        window: None,
        limits: limits(launch.limits),
        reproduction: Reproduction::default(),
    })
}

fn init_block(launch: &Launch) -> Vec<u8> {
    let program = &launch.program;
    let files: Vec<_> = launch
        .files
        .iter()
        .map(|file| File {
            path: file.path.as_bytes(),
            mode: file.mode,
            contents: &file.bytes,
        })
        .collect();
    let furnishing = Furnishing {
        hostname: Some(launch.hostname.as_bytes()),
        ipv4: Some(Address::Own.v4().octets()),
        ipv6: Some(Address::Own.v6().octets()),
        overlay: Some(launch.limits.disk),
        files: &files,
    };
    let args: Vec<&[u8]> = std::iter::once(&program.entry)
        .chain(&program.args)
        .map(String::as_bytes)
        .collect();
    let env = program.env.iter().map(String::as_bytes);
    let mut block = Vec::new();
    Init::encode(
        (program.entry.as_bytes(), program.workdir.as_bytes()),
        args.into_iter(),
        env,
        &furnishing,
        &mut block,
    );
    block
}

pub(super) fn limits(limits: api::Limits) -> link::Limits {
    // One vCPU: more than one processor's time is as much as there is.
    let cpu = (limits.cpu_milli < WHOLE_CPU).then(|| CpuQuota {
        quota_ns: PERIOD_NS * u64::from(limits.cpu_milli.max(1)) / u64::from(WHOLE_CPU),
        period_ns: PERIOD_NS,
    });
    link::Limits {
        cpu,
        memory: Some(limits.memory),
    }
}

/// What the host holds the whole process to. The instance's own bounds are held by its process; this
/// is what holds if that has been taken over. The thread that serves the device has as much of the
/// processor's time as the guest.
pub(super) fn bounds(limits: api::Limits) -> Bounds {
    let quota = 2 * HOST_PERIOD_US * u64::from(limits.cpu_milli) / u64::from(WHOLE_CPU);
    Bounds {
        memory: limits.memory + limits.memory / TABLES_EACH + OWN_MEMORY,
        cpu_quota_us: quota.max(HOST_QUOTA_US_MIN),
        cpu_period_us: HOST_PERIOD_US,
        threads: THREADS,
    }
}
