//! The process of an instance: unpacked, started, waited for.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::WaitIdStatus;
use unicell_gateway_api::instance as api;
use unicell_guest_abi::exit::ExitKind;
use unicell_guest_abi::layout;
use unicell_netstack::receipt::Digest;
use unicell_service::package::Package;
use unicell_vmm::jail::{self, Plan, Process, Spawned, Waiting};
use unicell_vmm::link::{
    Command as LinkCommand, Limits, LinkError, Message, Open, Start as LinkStart, null,
};
use unicell_vmm::reproducible::Reproduction;
use unicell_vmm::{BoxImage, End, Outcome, Window};

use crate::cache::{self, Cache};
use crate::exit_code::Code;
use crate::failure::{Failure, Result};
use crate::terminal::Terminal;

/// The process, as it was built with us.
static PROCESS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/unicell-vmm"));
const PROCESS_HASH: &str = env!("UNICELL_VMM_HASH");

/// The program that an instance's process runs, to be started any number of times.
pub(crate) struct Executable(OwnedFd);

impl Executable {
    /// Unpacks it, or finds it unpacked in the cache.
    pub(crate) fn open(cache: Option<&Cache>) -> io::Result<Self> {
        cache::executable(cache, PROCESS_HASH, PROCESS).map(Self)
    }

    /// What starts a process that waits to become an instance, once its standard input is a link.
    /// Of use as long as this is there.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(format!("/proc/self/fd/{}", self.0.as_raw_fd()));
        command.arg0("unicell-vmm");
        command
    }
}

/// The hash of the program of an instance's process.
pub(crate) fn process_digest() -> Digest {
    Digest(*blake3::hash(PROCESS).as_bytes())
}

/// A memory that no micro-VM can have.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnfitMemory {
    /// Not even the kernel has room.
    #[error("a memory of {} MiB is too small", .0 >> 20)]
    TooSmall(u64),
    /// The guest has no addresses for it.
    #[error("a memory of {} MiB is too large: the most is {} MiB", .0 >> 20, layout::RAM_MAX >> 20)]
    TooLarge(u64),
}

/// The RAM of a micro-VM that is to have so much memory, both in bytes.
pub(crate) fn ram(memory: u64) -> Result<u64, UnfitMemory> {
    let whole = memory.checked_next_multiple_of(layout::RAM_GRANULE);
    match whole.unwrap_or(u64::MAX) {
        wanted if wanted < layout::RAM_MIN => Err(UnfitMemory::TooSmall(wanted)),
        wanted if wanted > layout::RAM_MAX => Err(UnfitMemory::TooLarge(wanted)),
        wanted => Ok(wanted),
    }
}

/// Users of processes that belong to no node, a number for each process of this machine: the upper
/// end of what distributions leave free (systemd, "Users, Groups, UIDs and GIDs").
const USERS: u32 = 0x7000_0000;

/// The jail of an instance that belongs to no node: it has no control group, and writes to the files
/// that its user names.
fn plan() -> Plan {
    Plan {
        user: jail::is_privileged().then(|| USERS + std::process::id()),
        ..Plan::plain()
    }
}

/// Starts a process that enters its jail and waits to become an instance, so that it is ready when
/// we are.
pub(crate) fn spawn(cache: Option<&Cache>) -> std::result::Result<Spawned, LinkError> {
    let executable = Executable::open(cache).map_err(LinkError::Spawn)?;
    jail::spawn(executable.command(), &plan())
}

/// What is to be run.
pub(crate) struct Start<'a> {
    pub(crate) package: &'a Package,
    pub(crate) memory: u64,
    pub(crate) init: Vec<u8>,
    pub(crate) flags: u32,
    pub(crate) terminal: Option<Terminal>,
    /// Where the kernel's log goes.
    pub(crate) log: OwnedFd,
    pub(crate) timeout: Option<Duration>,
    /// Where the timeline begins, nanoseconds of the monotonic clock.
    pub(crate) since: u64,
    /// The size of the terminal that the program finds, whoever is behind it.
    pub(crate) window: Option<Window>,
    /// What the guest's randomness starts from, in a reproducible run.
    pub(crate) seed: Option<[u8; 32]>,
    /// What is promised of the run.
    pub(crate) reproduction: Reproduction,
    pub(crate) outside: Outside,
}

/// What a program has of our standard input, output and error.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outside {
    /// All of it.
    Everything,
    /// We see what it prints; its input is from elsewhere.
    Watched,
    /// Nothing.
    Nobody,
}

/// Runs an instance to its end. The program has our standard input, output and error.
pub(crate) fn run(process: Spawned, start: Start<'_>) -> Result<Outcome> {
    let image = BoxImage {
        file: start
            .package
            .file()
            .try_clone()
            .map_err(Failure::internal)?,
        offset: start.package.image_offset(),
        len: start.package.image_len(),
    };
    let own = |fd: io::Result<OwnedFd>| fd.map_err(Failure::internal);
    let stdin = match start.terminal {
        Some(terminal) if !terminal.typed_on => null(),
        _ if start.outside != Outside::Everything => null(),
        _ => io::stdin().as_fd().try_clone_to_owned(),
    };
    let output = |stream: &dyn AsFd| match start.outside {
        Outside::Nobody => own(null()),
        _ => own(stream.as_fd().try_clone_to_owned()),
    };
    let link_start = LinkStart {
        ram: start.memory,
        flags: start.flags,
        timeout_ns: start
            .timeout
            .map(|time| time.as_nanos().try_into().unwrap_or(u64::MAX)),
        since_ns: start.since,
        seed: start.seed,
        window: start.window,
        init: start.init,
        image: Some(image),
        stdin: own(stdin)?,
        stdout: output(&io::stdout())?,
        stderr: output(&io::stderr())?,
        log: start.log,
        limits: Limits::default(),
        reproduction: start.reproduction,
    };
    let Waiting { node, process, .. } = process.ready().map_err(Failure::internal)?;
    if let Err(error) = node.start(&link_start) {
        return Err(explain_loss(&error, &process));
    }
    // What only the instance should hold is given up: a reader of its output sees the end.
    drop(link_start);
    let node = Arc::new(node);
    let _raw = match start.terminal {
        Some(terminal) => Some(terminal.enter(Arc::clone(&node))?),
        None => None,
    };
    let outcome = loop {
        match node.receive() {
            Ok(Message::Ended(outcome)) => break *outcome,
            // No node decides here: nothing outside can be reached.
            Ok(Message::Open(Open { stream, .. })) => {
                let errno = rustix::io::Errno::NETUNREACH.raw_os_error() as u16;
                let refused = node.send(&LinkCommand::Refused { stream, errno });
                refused.map_err(|error| explain_loss(&error, &process))?;
            }
            Ok(_) => {}
            Err(error) => return Err(explain_loss(&error, &process)),
        }
    };
    Ok(outcome)
}

fn explain_loss(error: &LinkError, process: &Process) -> Failure {
    match process.wait().ok().and_then(|status| disorder(&status)) {
        Some(how) => Failure::internal(format!("the instance's process ended early, {how}")),
        None => Failure::internal(error),
    }
}

/// How a process ended, unless that was in order.
pub(crate) fn disorder(status: &WaitIdStatus) -> Option<String> {
    let signal = status.terminating_signal();
    let exit = status.exit_status().filter(|status| *status != 0);
    signal
        .map(|signal| format!("by signal {signal}"))
        .or(exit.map(|status| format!("with status {status}")))
}

/// What an end that is not the program's own means to users.
pub(crate) fn code(end: End) -> Code {
    match end {
        End::Guest { kind, .. } => match kind {
            ExitKind::NoEntrypoint => Code::NoEntrypoint,
            ExitKind::NotExecutable => Code::NotExecutable,
            ExitKind::ForeignArchitecture => Code::ForeignArchitecture,
            ExitKind::NoInterpreter => Code::NoInterpreter,
            ExitKind::BadBox => Code::DamagedPackage,
            ExitKind::MemoryTooSmall => Code::MemoryTooSmall,
            ExitKind::OutOfMemory => Code::OutOfMemory,
            ExitKind::Panic | ExitKind::Exited | ExitKind::Signaled => Code::KernelPanic,
        },
        End::MemoryLimit => Code::OutOfMemory,
        End::Violation | End::Crash => Code::Violation,
        End::TimedOut => Code::TimedOut,
        End::Spinning => Code::Spinning,
        End::Diverged => Code::Different,
        End::NoKvm => Code::NoKvm,
        End::Host | End::Stopped => Code::Internal,
    }
}

/// How an instance of a node ended.
pub(crate) fn end_of(outcome: &Outcome) -> api::Outcome {
    match outcome.end {
        End::Guest {
            kind: ExitKind::Exited,
            status,
        } => api::Outcome::Exited {
            status: status as u8,
        },
        End::Guest {
            kind: ExitKind::Signaled,
            status,
        } => api::Outcome::Signaled {
            signal: status as u8,
        },
        End::Stopped => api::Outcome::Stopped,
        End::TimedOut => api::Outcome::TimedOut,
        end => api::Outcome::Failed {
            code: code(end) as u16,
            reason: outcome.to_string(),
        },
    }
}

/// The exit code of an instance that has ended; what was not the program's doing is a failure.
pub(crate) fn exit_code(outcome: &Outcome) -> Result<ExitCode> {
    let code = match outcome.end {
        End::Guest {
            kind: ExitKind::Exited,
            status,
        } => return Ok(ExitCode::from(status as u8)),
        End::Guest {
            kind: ExitKind::Signaled,
            status,
        } => {
            return Ok(killed(status, &outcome.text));
        }
        end => code(end),
    };
    let mut what = outcome.to_string();
    let internal = matches!(code, Code::KernelPanic | Code::Violation);
    if let Some(report) = outcome.report.as_ref().filter(|_| internal) {
        what = format!("{what}\n{report}");
    }
    let failure = Failure::new(code, what);
    Err(match code {
        Code::NoKvm => failure.hint(
            "run `unicell doctor` to see what is missing; often the user has to be in group kvm",
        ),
        Code::MemoryTooSmall | Code::OutOfMemory => failure.hint("give more with --memory"),
        Code::NoEntrypoint => failure.hint("name a program inside the box with --entrypoint"),
        Code::NoInterpreter => {
            failure.hint("the box lacks the program's dynamic linker: pack libc with it")
        }
        Code::Spinning => failure.hint(
            "give more with --spin-limit, let it be interrupted with --when-spinning lower, or run \
             it with --level D0",
        ),
        Code::TimedOut => failure.hint("give more with --timeout"),
        _ => failure,
    })
}

/// Says which signal, as a shell does, with what is known of a fault.
fn killed(signal: u32, text: &str) -> ExitCode {
    const NAMES: [&str; 32] = [
        "0",
        "SIGHUP",
        "SIGINT",
        "SIGQUIT",
        "SIGILL",
        "SIGTRAP",
        "SIGABRT",
        "SIGBUS",
        "SIGFPE",
        "SIGKILL",
        "SIGUSR1",
        "SIGSEGV",
        "SIGUSR2",
        "SIGPIPE",
        "SIGALRM",
        "SIGTERM",
        "SIGSTKFLT",
        "SIGCHLD",
        "SIGCONT",
        "SIGSTOP",
        "SIGTSTP",
        "SIGTTIN",
        "SIGTTOU",
        "SIGURG",
        "SIGXCPU",
        "SIGXFSZ",
        "SIGVTALRM",
        "SIGPROF",
        "SIGWINCH",
        "SIGIO",
        "SIGPWR",
        "SIGSYS",
    ];
    let name = NAMES
        .get(signal as usize)
        .map_or_else(|| signal.to_string(), |name| (*name).into());
    anstream::eprintln!("unicell: the program was killed by {name}");
    if !text.is_empty() {
        anstream::eprintln!("{}", text.trim_end());
    }
    ExitCode::from(128_u32.saturating_add(signal).min(255) as u8)
}
