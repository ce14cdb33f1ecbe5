//! A virtual machine that is ready, and its run from the first instruction to the end.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use kvm_ioctls::{VcpuFd, VmFd};
use unicell_guest_abi::exit::{ExitKind, REPORT_FRAMES, REPORT_TEXT, Report};
use unicell_guest_abi::layout;
use unicell_guest_abi::platform::{CALL_ROWS, CallCount, Counters, Shared};

use crate::backend::Backend;
use crate::clock::ClockWriter;
use crate::device::Doorbells;
use crate::governor::{Governor, Hold};
use crate::helper::Helper;
use crate::io::{Failure, Instance, Io, Service, lock};
use crate::kvm::Machine;
use crate::memory::Memory;
use crate::monitor::{Monitor, Stop};
use crate::outcome::{Call, End, Exits, Outcome, Stats};
use crate::report::CrashReport;
use crate::reproducible::Promise;
use crate::symbols::Symbols;
use crate::timeline::Timeline;
use crate::vcpu::{Halt, Vcpu};

/// A virtual machine that has not run yet.
pub struct Vm {
    // Before the memory that its slots map: fields are dropped in this order.
    pub(crate) machine: Machine,
    pub(crate) helper: Helper,
    pub(crate) memory: Arc<Memory>,
    pub(crate) monitor: Arc<Monitor>,
    pub(crate) governor: Arc<Governor>,
    pub(crate) clock: ClockWriter,
    pub(crate) promise: Promise,
    pub(crate) symbols: Symbols,
    pub(crate) timeline: Timeline,
    pub(crate) deadline: u64,
}

/// Ends an instance from outside.
#[derive(Clone)]
pub struct StopHandle(Arc<Monitor>);

impl StopHandle {
    /// Orders the end of the instance, whether it runs already or not. Safe in a signal handler.
    pub fn stop(&self) {
        self.0.stop(Stop::Asked);
    }
}

impl Vm {
    /// A handle that ends the instance, from any thread.
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle(Arc::clone(&self.monitor))
    }

    /// A hold on the instance: what it uses, and what it may.
    #[must_use]
    pub fn hold(&self) -> Hold {
        Hold {
            governor: Arc::clone(&self.governor),
            memory: Arc::clone(&self.memory),
            monitor: Arc::clone(&self.monitor),
        }
    }

    /// Ends the instance when the monotonic clock shows this many nanoseconds.
    pub fn set_deadline(&mut self, monotonic_ns: u64) {
        self.deadline = monotonic_ns;
    }

    /// Runs the instance to its end, its vCPU on this thread and the device on another.
    pub fn run(self, backend: Box<dyn Backend>) -> Ended {
        let Machine {
            vcpu, doorbell, vm, ..
        } = self.machine;
        let mut remains = Remains {
            vcpu,
            _vm: vm,
            instance: Arc::new(Instance {
                memory: self.memory,
                monitor: self.monitor,
                governor: self.governor,
                service: Mutex::new(Service::new(backend)),
                clock: Mutex::new(self.clock),
                promise: self.promise,
            }),
        };
        let io = Io {
            instance: Arc::clone(&remains.instance),
            doorbell,
            deadline: self.deadline,
        };
        let outcome = run(&mut remains, self.helper, io, self.symbols, self.timeline);
        Ended { outcome, remains }
    }
}

fn run(
    remains: &mut Remains,
    helper: Helper,
    io: Io,
    symbols: Symbols,
    mut timeline: Timeline,
) -> Outcome {
    let instance = &remains.instance;
    let mut vcpu = match Vcpu::new(&mut remains.vcpu, instance) {
        Ok(vcpu) => vcpu,
        Err(error) => return Outcome::failed(End::Host, error.to_string(), timeline),
    };
    let thread = helper.serve(io);
    lock(&instance.clock).refresh(&instance.memory);
    timeline.mark("threads");
    let halt = vcpu.run();
    mark_start(&mut timeline, instance);
    timeline.mark("guest ended");
    let (end, text) = finish(halt, instance, thread);
    timeline.mark("text delivered");
    outcome(end, text, &vcpu, instance, symbols, timeline)
}

/// Notes when the guest says that its kernel and its program began, if they did.
fn mark_start(timeline: &mut Timeline, instance: &Instance) {
    let guest = counters(&instance.memory);
    let clock = lock(&instance.clock);
    for (phase, tsc) in [
        ("kernel", guest.kernel_start),
        ("program", guest.program_start),
    ] {
        if tsc != 0 {
            timeline.mark_at(phase, clock.moment(tsc));
        }
    }
}

/// An instance that has ended.
pub struct Ended {
    /// How.
    pub outcome: Outcome,
    /// What is left of its machine. To drop it takes longer than to make it, so whoever is in a
    /// hurry first tells the outcome.
    pub remains: Remains,
}

/// The machine of an instance that has ended.
pub struct Remains {
    // Before the memory that the slots map: fields are dropped in this order.
    vcpu: VcpuFd,
    _vm: VmFd,
    instance: Arc<Instance>,
}

/// Has the text delivered that a guest left which ended by itself. Returns what ended the instance,
/// and the sentence about it that is the host's to say.
fn finish(halt: Halt, instance: &Instance, io: JoinHandle<()>) -> (End, String) {
    let monitor = &instance.monitor;
    let halt = match halt {
        Halt::Exit(..) => match last_pass(instance) {
            Last::Delivered => halt,
            Last::Broken => Halt::Stop(Stop::Violation),
            Last::Waiting => {
                monitor.finish();
                // A thread that panicked has ordered the end before.
                let _ = io.join();
                monitor.stopped().map_or(halt, Halt::Stop)
            }
        },
        halt => halt,
    };
    monitor.stop(Stop::Halted);
    match halt {
        Halt::Exit(kind, status) => (End::Guest { kind, status }, String::new()),
        Halt::Violation(text) => (End::Violation, text),
        Halt::Crash(text) => (End::Crash, text),
        Halt::Host(text) => (End::Host, text),
        Halt::Stop(Stop::Asked) => (End::Stopped, String::new()),
        Halt::Stop(Stop::TimedOut) => (End::TimedOut, String::new()),
        Halt::Stop(Stop::Memory) => (End::MemoryLimit, String::new()),
        Halt::Stop(Stop::Spinning) => (End::Spinning, String::new()),
        Halt::Diverged => (End::Diverged, String::new()),
        Halt::Stop(_) => match lock(&instance.service).failure.take() {
            Some(failure @ Failure::Violation(_)) => (End::Violation, failure.to_string()),
            Some(failure) => (End::Host, failure.to_string()),
            None => (End::Host, "the I/O thread panicked".to_owned()),
        },
    }
}

/// What the last look at the device came to.
enum Last {
    Delivered,
    /// Some reader is slow.
    Waiting,
    /// The guest broke the protocol before it ended.
    Broken,
}

/// Delivers what is left, most often little or nothing, without a switch to the other thread.
fn last_pass(instance: &Instance) -> Last {
    let mut service = lock(&instance.service);
    let pass = service.pass(&instance.memory, Doorbells::Wanted);
    match pass {
        _ if service.failure.is_some() => Last::Broken,
        Ok(pass) if !pass.more && service.is_delivered() => Last::Delivered,
        Ok(_) => Last::Waiting,
        Err(violation) => {
            service.failure = Some(violation.into());
            Last::Broken
        }
    }
}

fn outcome(
    end: End,
    text: String,
    vcpu: &Vcpu<'_>,
    instance: &Instance,
    symbols: Symbols,
    timeline: Timeline,
) -> Outcome {
    let said = Said::of(&instance.memory);
    let (text, frames) = match end {
        End::Guest { kind, .. } if kind != ExitKind::Exited => (said.text, said.frames),
        _ => (text, Vec::new()),
    };
    let report = end.deserves_report().then(|| {
        let (regs, sregs) = vcpu.registers();
        let report = CrashReport {
            regs,
            sregs,
            frames,
            symbols,
        };
        report.to_string()
    });
    let mut service = lock(&instance.service);
    service.backend.ended();
    let guest = counters(&instance.memory);
    let recorded = service.backend.recorded(guest.syscalls);
    Outcome {
        end,
        text,
        report,
        stats: Stats {
            timeline,
            exits: Exits {
                io_wakeups: service.wakeups,
                chains: service.chains,
                ..vcpu.exits
            },
            guest,
            calls: calls(&instance.memory),
        },
        level: instance.promise.level(),
        recorded,
    }
}

/// What the guest left in its report page.
struct Said {
    text: String,
    frames: Vec<u64>,
}

impl Said {
    fn of(memory: &Memory) -> Self {
        // The page lies in every RAM.
        let Ok(report) = memory.read::<Report>(layout::REPORT_GPA) else {
            return Self {
                text: String::new(),
                frames: Vec::new(),
            };
        };
        let text = &report.text[..(report.text_len as usize).min(REPORT_TEXT)];
        let frames = &report.frames[..(report.frame_count as usize).min(REPORT_FRAMES)];
        Self {
            text: crate::outcome::printable(String::from_utf8_lossy(text).trim_end()),
            frames: frames.to_vec(),
        }
    }
}

fn counters(memory: &Memory) -> Counters {
    let at = layout::SHARED_GPA + std::mem::offset_of!(Shared, counters) as u64;
    memory.read(at).unwrap_or_default()
}

/// The system calls that the guest has counted, if it counts any and says where.
fn calls(memory: &Memory) -> Vec<Call> {
    let told = layout::SHARED_GPA + std::mem::offset_of!(Shared, calls) as u64;
    let table = memory.read::<u64>(told).unwrap_or(0);
    if table == 0 {
        return Vec::new();
    }
    let row = |at: usize| table.checked_add((at * size_of::<CallCount>()) as u64);
    (0..CALL_ROWS)
        .map_while(|at| memory.read::<CallCount>(row(at)?).ok())
        .filter(|count| count.calls != 0)
        .map(Call::from)
        .collect()
}
