//! What `/proc` tells of a process' state.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::Write;
use core::sync::atomic::Ordering;

use super::generated::Subject;
use super::{accounts, memory};
use crate::errno::{Errno, Result};
use crate::memory::PAGE_SIZE;
use crate::signal::{Actions, IGNORE, MAX, Set};
use crate::task::accounts::Used;
use crate::task::process::{Life, Stop};
use crate::task::thread::Run;
use crate::task::{Process, Thread, limits};
use crate::tty::devpts;

/// Ticks of the clock in which times are told (CLK_TCK): 100 in a second.
const TICK: u64 = 10_000_000;
/// PF_FORKNOEXEC and the like are nobody's business; Linux shows PF_RANDOMIZE for ordinary ones.
const FLAGS: u32 = 0x0040_0000;

pub(super) fn thread(process: &Process, subject: &Subject) -> Option<Arc<Thread>> {
    let threads = process.threads.lock();
    let of_number = threads.iter().find(|thread| thread.id() == subject.number);
    of_number.or_else(|| threads.first()).cloned()
}

/// The name of a thread, up to its NUL.
fn name_of(process: &Process, subject: &Subject) -> String {
    let name = match thread(process, subject) {
        Some(thread) => *thread.name.lock(),
        None => process.name(),
    };
    let len = name
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(name.len());
    String::from_utf8_lossy(&name[..len]).into_owned()
}

/// `/proc/PID/comm`.
pub(super) fn name(subject: &Subject) -> Result<Vec<u8>> {
    Ok(format!("{}\n", name_of(&*subject.process()?, subject)).into_bytes())
}

/// Writes to `/proc/PID/comm`.
pub(super) fn set_name(subject: &Subject, text: &[u8]) -> Result<()> {
    let thread = thread(&*subject.process()?, subject).ok_or(Errno::ESRCH)?;
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let mut name = [0; 16];
    let len = text.len().min(name.len() - 1);
    name[..len].copy_from_slice(&text[..len]);
    *thread.name.lock() = name;
    Ok(())
}

/// `/proc/PID/oom_score_adj`.
pub(super) fn preference(subject: &Subject) -> Result<Vec<u8>> {
    let preference = subject.process()?.oom_preference.load(Ordering::Relaxed);
    Ok(format!("{preference}\n").into_bytes())
}

/// Writes to `/proc/PID/oom_score_adj`. It is kept and told: nobody is picked by it.
pub(super) fn set_preference(subject: &Subject, text: &[u8]) -> Result<()> {
    let number = core::str::from_utf8(text).ok();
    let number = number.and_then(|text| text.trim().parse().ok());
    let wanted = number.filter(|wanted| (-1000..=1000).contains(wanted));
    let wanted = wanted.ok_or(Errno::EINVAL)?;
    subject
        .private()?
        .oom_preference
        .store(wanted, Ordering::Relaxed);
    Ok(())
}

/// The letter and the word for what a process does.
fn state(process: &Process, subject: &Subject) -> (char, &'static str) {
    if matches!(process.life(), Life::Zombie(_)) {
        return ('Z', "zombie");
    }
    if matches!(*process.stop.lock(), Stop::Stopped(..)) {
        return ('T', "stopped");
    }
    match thread(process, subject).map(|thread| thread.run()) {
        Some(Run::Ready | Run::Running) => ('R', "running"),
        _ => ('S', "sleeping"),
    }
}

/// The signals whose handler a test finds.
fn signals(actions: &Actions, test: impl Fn(u64) -> bool) -> u64 {
    let with = (1..=MAX).filter(|signal| test(actions.get(*signal).handler));
    with.fold(Set::default(), |set, signal| set.with(Set::of(signal)))
        .0
}

fn caught(actions: &Actions) -> u64 {
    signals(actions, |handler| handler > IGNORE)
}

fn ignored(actions: &Actions) -> u64 {
    signals(actions, |handler| handler == IGNORE)
}

/// The device number of a process' terminal and the group in its foreground.
fn terminal(process: &Process) -> (u64, i64) {
    let terminal = process.terminal.lock().clone();
    terminal.map_or((0, -1), |terminal| {
        let foreground = terminal.line().foreground;
        let number = devpts::device(terminal.number()).encode();
        (number, foreground.map_or(-1, i64::from))
    })
}

/// Bytes that a process' code and stack are at, where it is alive.
pub(super) fn stat(subject: &Subject) -> Result<Vec<u8>> {
    let process = subject.process()?;
    let usage = memory::usage(subject)?;
    let layout = process.space().layout();
    let (pending, mask) = match thread(&process, subject) {
        Some(thread) => {
            let signals = thread.signals.lock();
            (signals.pending.set().0, signals.mask.0)
        }
        None => (0, 0),
    };
    let scheduling = thread(&process, subject)
        .map(|thread| *thread.scheduling.lock())
        .unwrap_or_default();
    let actions = process.actions.lock().fork();
    let threads = process.threads.lock().len();
    let ticks = process.time() / TICK;
    let faults = process.accounts.get(Used::Faults);
    let child_faults = process.children_accounts.get(Used::Faults);
    let child_ticks = process.children_accounts.get(Used::Time) / TICK;
    let status = match process.life() {
        Life::Zombie(status) => status,
        _ => 0,
    };
    let (stack_limit, _) = process.limits.lock().get(0).unwrap_or((u64::MAX, u64::MAX));
    let (tty, foreground) = terminal(&process);
    let mut text = String::new();
    // Writing to a string cannot fail. Fields as in proc_pid_stat(5).
    let _ = write!(
        text,
        "{} ({}) {} {} {} {} {tty} {foreground} {FLAGS} {faults} {child_faults} 0 0 {ticks} 0 {child_ticks} 0 {} {} {threads} 0 {}",
        subject.number,
        name_of(&process, subject),
        state(&process, subject).0,
        process.parent_id(),
        process.group(),
        process.session(),
        scheduling.shown_priority(),
        scheduling.nice,
        process.started / TICK,
    );
    let _ = write!(
        text,
        " {} {} {stack_limit} {} {} {} 0 0 {pending} {mask} {} {} 0 0 0 17 0 {} {} 0 0 0",
        usage.size * PAGE_SIZE,
        usage.resident,
        layout.code.0,
        layout.code.1,
        layout.stack_start,
        ignored(&actions),
        caught(&actions),
        scheduling.priority,
        scheduling.policy,
    );
    let _ = writeln!(
        text,
        " {} {} {} {} {} {} {} {status}",
        layout.data.0,
        layout.data.1,
        layout.brk_start,
        layout.arguments.0,
        layout.arguments.1,
        layout.environment.0,
        layout.environment.1,
    );
    Ok(text.into_bytes())
}

/// `/proc/PID/status`.
pub(super) fn status(subject: &Subject) -> Result<Vec<u8>> {
    let process = subject.process()?;
    let credentials = process.credentials();
    let (letter, word) = state(&process, subject);
    let mut text = String::new();
    let mut tell = |name: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name}:\t{value}");
    };
    tell("Name", name_of(&process, subject));
    tell("Umask", format!("{:04o}", process.context().umask()));
    tell("State", format!("{letter} ({word})"));
    tell("Tgid", format!("{}", process.id()));
    tell("Ngid", "0".into());
    tell("Pid", format!("{}", subject.number));
    tell("PPid", format!("{}", process.parent_id()));
    tell("TracerPid", "0".into());
    let (uid, euid, suid) = (credentials.uid, credentials.euid, credentials.suid);
    let (fsuid, fsgid) = (credentials.fsuid, credentials.fsgid);
    tell("Uid", format!("{uid}\t{euid}\t{suid}\t{fsuid}"));
    let (gid, egid, sgid) = (credentials.gid, credentials.egid, credentials.sgid);
    tell("Gid", format!("{gid}\t{egid}\t{sgid}\t{fsgid}"));
    tell(
        "FDSize",
        format!(
            "{}",
            process.files().list().len().next_multiple_of(64).max(64)
        ),
    );
    let groups: Vec<String> = credentials
        .groups
        .iter()
        .map(|group| format!("{group} "))
        .collect();
    tell("Groups", groups.concat());
    tell("NStgid", process.id().to_string());
    tell("NSpid", subject.number.to_string());
    tell("NSpgid", process.group().to_string());
    tell("NSsid", process.session().to_string());
    if !matches!(process.life(), Life::Zombie(_)) {
        tell_memory(subject, &mut tell)?;
    }
    tell("Threads", format!("{}", process.threads.lock().len()));
    tell_signals(&process, subject, &mut tell);
    let set = |capabilities: u64| format!("{capabilities:016x}");
    tell("CapInh", set(credentials.inheritable));
    tell("CapPrm", set(credentials.permitted));
    tell("CapEff", set(credentials.effective));
    tell("CapBnd", set(credentials.bounding));
    tell("CapAmb", set(credentials.ambient));
    let settings = *process.settings.lock();
    tell(
        "NoNewPrivs",
        format!("{}", u32::from(settings.no_new_privileges)),
    );
    tell("Seccomp", "0".into());
    tell("Seccomp_filters", "0".into());
    tell("Cpus_allowed", "1".into());
    tell("Cpus_allowed_list", "0".into());
    tell("Mems_allowed", "1".into());
    tell("Mems_allowed_list", "0".into());
    let used = |what| accounts::of(&process, subject, what);
    tell("voluntary_ctxt_switches", used(Used::Waits).to_string());
    tell(
        "nonvoluntary_ctxt_switches",
        used(Used::Preemptions).to_string(),
    );
    Ok(text.into_bytes())
}

fn tell_memory(subject: &Subject, tell: &mut impl FnMut(&str, String)) -> Result<()> {
    let usage = memory::usage(subject)?;
    let mut tell_pages =
        |name: &str, pages: u64| tell(name, format!("{:>8} kB", pages * PAGE_SIZE / 1024));
    tell_pages("VmPeak", usage.size);
    tell_pages("VmSize", usage.size);
    tell_pages("VmLck", 0);
    tell_pages("VmPin", 0);
    tell_pages("VmHWM", usage.resident);
    tell_pages("VmRSS", usage.resident);
    tell_pages("RssAnon", usage.resident - usage.files);
    tell_pages("RssFile", usage.files);
    tell_pages("RssShmem", 0);
    tell_pages("VmData", usage.data);
    tell_pages("VmStk", usage.stack);
    tell_pages("VmExe", usage.code);
    tell_pages("VmLib", 0);
    tell_pages("VmPTE", 0);
    tell_pages("VmSwap", 0);
    tell_pages("HugetlbPages", 0);
    tell("CoreDumping", "0".into());
    tell("THP_enabled", "1".into());
    Ok(())
}

fn tell_signals(process: &Process, subject: &Subject, tell: &mut impl FnMut(&str, String)) {
    let (pending, mask) = match thread(process, subject) {
        Some(thread) => {
            let signals = thread.signals.lock();
            (signals.pending.set().0, signals.mask.0)
        }
        None => (0, 0),
    };
    let actions = process.actions.lock().fork();
    tell("SigQ", "0/4096".into());
    tell("SigPnd", format!("{pending:016x}"));
    tell("ShdPnd", format!("{:016x}", process.pending.lock().set().0));
    tell("SigBlk", format!("{mask:016x}"));
    tell("SigIgn", format!("{:016x}", ignored(&actions)));
    tell("SigCgt", format!("{:016x}", caught(&actions)));
}

/// `/proc/PID/limits`.
pub(super) fn limits(subject: &Subject) -> Result<Vec<u8>> {
    /// In the order of RLIMIT_*.
    const NAMES: [(&str, &str); limits::RESOURCES] = [
        ("Max cpu time", "seconds"),
        ("Max file size", "bytes"),
        ("Max data size", "bytes"),
        ("Max stack size", "bytes"),
        ("Max core file size", "bytes"),
        ("Max resident set", "bytes"),
        ("Max processes", "processes"),
        ("Max open files", "files"),
        ("Max locked memory", "bytes"),
        ("Max address space", "bytes"),
        ("Max file locks", "locks"),
        ("Max pending signals", "signals"),
        ("Max msgqueue size", "bytes"),
        ("Max nice priority", ""),
        ("Max realtime priority", ""),
        ("Max realtime timeout", "us"),
    ];
    let process = subject.process()?;
    let limits = process.limits.lock();
    let shown = |limit: u64| match limit {
        limits::INFINITY => String::from("unlimited"),
        limit => format!("{limit}"),
    };
    let mut text = format!(
        "{:<25} {:<20} {:<20} {:<10}\n",
        "Limit", "Soft Limit", "Hard Limit", "Units"
    );
    for (resource, (name, unit)) in NAMES.iter().enumerate() {
        let (soft, hard) = limits
            .get(resource)
            .unwrap_or((limits::INFINITY, limits::INFINITY));
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{name:<25} {:<20} {:<20} {unit:<10}",
            shown(soft),
            shown(hard)
        );
    }
    Ok(text.into_bytes())
}
