//! What the process of an instance does: everything, from the start message to the outcome.

use kvm_ioctls::Kvm;

use crate::backend::Backend;
use crate::builder::{Blank, BuildError, Builder};
use crate::clock::monotonic_ns;
use crate::jail::{self, Guarded, Layer};
use crate::kernel::Kernel;
use crate::kvm;
use crate::link::{InstanceEnd, LinkError, Message, Start};
use crate::linked::Linked;
use crate::outcome::{End, Outcome};
use crate::reproducible::{Log, Logged, Reproduction, transcript};
use crate::run::{Remains, Vm};
use crate::stdio::Stdio;
use crate::timeline::Timeline;

/// Enters the jail that the node says over the link, and serves one instance of this kernel there.
/// Returns as [`serve`] does.
///
/// The process must have one thread, and it may end in favour of a child of it.
///
/// # Errors
///
/// As [`serve`].
pub fn serve_jailed(
    link: &InstanceEnd,
    kernel: &'static [u8],
) -> Result<Option<Remains>, LinkError> {
    let plan = link.plan()?;
    jail::hush()?;
    // Out of sight in the jail. That it cannot be had is told when the instance is to start.
    let kvm = kvm::open();
    let mut entered = match jail::enter(&plan) {
        Ok(entered) => entered,
        Err(error) => return unfit(link, &error),
    };
    // What the plan brought is used up.
    drop(plan);
    let blank = kvm.and_then(|kvm| blank(&kvm, kernel, entered.guarded()));
    // The first look at a clock asks the kernel where its clocks are, which no filter allows.
    monotonic_ns();
    if let Err(error) = entered.close() {
        return unfit(link, &error);
    }
    let bounded = entered.report().has(Layer::Limits);
    link.send(&Message::Ready(entered.report().clone()))?;
    instance(link, kernel, blank, bounded)
}

fn unfit(link: &InstanceEnd, error: &jail::JailError) -> Result<Option<Remains>, LinkError> {
    link.send(&Message::Unfit(error.to_string()))?;
    Ok(None)
}

/// The machine as far as it can be made by now. It does not need KVM's device any more.
fn blank(kvm: &Kvm, kernel: &'static [u8], guarded: Guarded) -> Result<Blank, BuildError> {
    let kernel = Kernel::from_static(kernel)?;
    Blank::new(kvm, &kernel, guarded, &mut Timeline::now())
}

/// Serves one instance of this kernel, as its node says over the link, in no jail: for a process that
/// is more than an instance. Returns what is left of it, if it ever ran, once its outcome is told.
///
/// # Errors
///
/// The link failed or closed, or what came over it makes no sense.
pub fn serve(link: &InstanceEnd, kernel: &'static [u8]) -> Result<Option<Remains>, LinkError> {
    let kvm = kvm::open();
    let blank = kvm.and_then(|kvm| blank(&kvm, kernel, Guarded::unguarded()));
    instance(link, kernel, blank, false)
}

fn instance(
    link: &InstanceEnd,
    kernel: &'static [u8],
    blank: Result<Blank, BuildError>,
    bounded: bool,
) -> Result<Option<Remains>, LinkError> {
    let mut start = link.start()?;
    let mut timeline = Timeline::since(start.since_ns);
    timeline.mark("process");
    if bounded {
        // Now that it is known how much it is.
        let image = start.image.as_ref().map_or(0, |image| image.len);
        jail::bound_memory(start.ram, image + transcript_room(&start.reproduction)?)?;
    }
    let built = blank.and_then(|blank| build(kernel, blank, &mut start, timeline.clone()));
    let mut vm = match built {
        Ok(vm) => vm,
        Err(error) => {
            let outcome = Outcome::failed(error.end(), error.to_string(), timeline);
            link.send(&Message::Ended(Box::new(outcome)))?;
            return Ok(None);
        }
    };
    link.send(&Message::Started)?;
    if let Some(ns) = start.timeout_ns {
        vm.set_deadline(monotonic_ns().saturating_add(ns));
    }
    let stdio = Stdio::new(start.stdin, start.stdout, start.stderr, start.log);
    let hold = vm.hold();
    hold.limit(start.limits);
    let linked = Linked::new(stdio, link.clone(), hold)?;
    let Reproduction { level, log, .. } = start.reproduction;
    let backend: Box<dyn Backend> = match level.is_reproducible() {
        false => Box::new(linked),
        true => match Logged::new(linked, kernel, log) {
            Ok(logged) => Box::new(logged),
            Err(error) => {
                let outcome = Outcome::failed(End::Host, error.to_string(), timeline);
                link.send(&Message::Ended(Box::new(outcome)))?;
                return Ok(None);
            }
        },
    };
    let ended = vm.run(backend);
    link.send(&Message::Ended(Box::new(ended.outcome)))?;
    Ok(Some(ended.remains))
}

/// Memory that it takes to read a transcript.
fn transcript_room(reproduction: &Reproduction) -> Result<u64, LinkError> {
    let Some(Log::Replay(file)) = &reproduction.log else {
        return Ok(0);
    };
    let len = rustix::fs::fstat(file)?.st_size;
    // The bytes, while their vector grows, and what they are parsed into.
    Ok(4 * (len as u64).min(transcript::MAX))
}

/// Makes the machine, of what it takes out of `start`.
fn build(
    kernel: &'static [u8],
    blank: Blank,
    start: &mut Start,
    timeline: Timeline,
) -> Result<Vm, BuildError> {
    let mut builder = Builder::new(Kernel::from_static(kernel)?)
        .timeline(timeline)
        .ram(start.ram)
        .flags(start.flags)
        .level(start.reproduction.level, start.reproduction.spin)
        .cpu(start.reproduction.cpu)
        .init(std::mem::take(&mut start.init));
    if let Some(seed) = start.seed {
        builder = builder.seed(seed);
    }
    if let Some(window) = start.window {
        builder = builder.terminal(window);
    }
    if let Some(image) = start.image.take() {
        builder = builder.image(image);
    }
    builder.build_on(blank)
}
