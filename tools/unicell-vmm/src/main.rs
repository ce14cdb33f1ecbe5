//! The process that an instance becomes.
//!
//! **For**: one instance, told by its node over the link that it inherits as standard input.
//! **Not for**: people; they use `unicell`.
//!
//! What becomes of the guest is told over the link. The exit status says only whether the link was
//! understood: 0 if so, 1 if not.
//!
//! **Invariant**: this process starts no other, and reads nothing but the link and the descriptors
//! that came over it.

use std::process::exit;

use unicell_kernel_image::KERNEL;
use unicell_vmm::link::{InstanceEnd, LinkError, Message, Start};
use unicell_vmm::{
    BuildError, Builder, Kernel, Linked, Outcome, Stdio, Timeline, Vm, monotonic_ns,
};

fn main() {
    // Started by a descriptor, the process would be known by its number. Only for those who look.
    let _ = rustix::thread::set_name(c"unicell-vmm");
    let status = match serve() {
        // A node that is gone, before the start or at the end, has been told all that it wants.
        Ok(()) | Err(LinkError::Closed) => 0,
        Err(error) => {
            eprintln!("unicell-vmm: {error}");
            1
        }
    };
    // At once: what is left is the kernel's to clean up.
    exit(status);
}

fn serve() -> Result<(), LinkError> {
    let link = InstanceEnd::inherited()?;
    let mut start = link.start()?;
    let mut timeline = Timeline::since(start.since_ns);
    timeline.mark("process");
    let mut vm = match build(&mut start, timeline.clone()) {
        Ok(vm) => vm,
        Err(error) => {
            let outcome = Outcome::failed(error.end(), error.to_string(), timeline);
            return link.send(&Message::Ended(Box::new(outcome)));
        }
    };
    link.send(&Message::Started)?;
    if let Some(ns) = start.timeout_ns {
        vm.set_deadline(monotonic_ns().saturating_add(ns));
    }
    let stdio = Stdio::new(start.stdin, start.stdout, start.stderr, start.log);
    let stop = vm.stop_handle();
    let ended = vm.run(Box::new(Linked::new(stdio, link.clone(), stop)));
    let sent = link.send(&Message::Ended(Box::new(ended.outcome)));
    // Destroying the machine takes longer than making it: left to the end of the process, which
    // nobody waits for.
    std::mem::forget(ended.remains);
    sent
}

/// Makes the machine, of what it takes out of `start`.
fn build(start: &mut Start, timeline: Timeline) -> Result<Vm, BuildError> {
    let mut builder = Builder::new(Kernel::from_static(KERNEL)?)
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
