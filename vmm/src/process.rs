//! What the process of an instance does: everything, from the start message to the outcome.

use crate::builder::{BuildError, Builder};
use crate::clock::monotonic_ns;
use crate::kernel::Kernel;
use crate::link::{InstanceEnd, LinkError, Message, Start};
use crate::linked::Linked;
use crate::outcome::Outcome;
use crate::run::{Remains, Vm};
use crate::stdio::Stdio;
use crate::timeline::Timeline;

/// Serves one instance of this kernel, as its node says over the link. Returns what is left of it,
/// if it ever ran, once its outcome is told.
///
/// # Errors
///
/// The link failed or closed, or what came over it makes no sense.
pub fn serve(link: &InstanceEnd, kernel: &'static [u8]) -> Result<Option<Remains>, LinkError> {
    let mut start = link.start()?;
    let mut timeline = Timeline::since(start.since_ns);
    timeline.mark("process");
    let mut vm = match build(kernel, &mut start, timeline.clone()) {
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
    let ended = vm.run(Box::new(linked));
    link.send(&Message::Ended(Box::new(ended.outcome)))?;
    Ok(Some(ended.remains))
}

/// Makes the machine, of what it takes out of `start`.
fn build(kernel: &'static [u8], start: &mut Start, timeline: Timeline) -> Result<Vm, BuildError> {
    let mut builder = Builder::new(Kernel::from_static(kernel)?)
        .timeline(timeline)
        .ram(start.ram)
        .flags(start.flags)
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
    builder.build()
}
