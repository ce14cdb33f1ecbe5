//! One micro-VM.
//!
//! **For**: making a virtual machine with KVM, its memory, its processor state (straight into
//! ring 3) and its one device, and running it to its end.
//!
//! **Not for**: what the messages on the device mean (a [`Backend`] is given for that), which
//! program runs (the init block is opaque here), who may run it.
//!
//! **How it fits**: `unicell-guest-abi` says what guest and host agree on; `unicell-vmm`, the
//! process that an instance becomes, is a thin shell around [`process`] and [`link`].
//!
//! **Invariants**
//!
//! - Nothing that a guest does harms anything but its own instance: whatever it writes is copied
//!   before it is looked at, bounded and validated, and what makes no sense ends it with a reason.
//! - No wake-up is lost between a parking guest and news for it (`monitor`).
//! - Every initial processor state satisfies the rules by which VMX would judge it (`cpu::vmx`).

mod backend;
mod builder;
mod clock;
mod content;
mod cpu;
mod device;
#[doc(hidden)]
pub mod fuzz;
mod governor;
mod helper;
mod io;
pub mod jail;
mod kernel;
mod kvm;
pub mod link;
mod linked;
mod memory;
mod monitor;
mod outcome;
pub mod probe;
pub mod process;
mod report;
pub mod reproducible;
mod run;
mod spin;
mod stdio;
mod streams;
mod stride;
mod symbols;
mod tables;
mod timeline;
mod tsc;
mod vcpu;
mod window;

pub use backend::{Ask, Backend, Channel, Data, Nonsense, Room, Watch, Written};
pub use builder::{BuildError, Builder};
pub use clock::monotonic_ns;
pub use governor::Hold;
pub use kernel::{Kernel, KernelError};
pub use kvm::{KvmError, hardware_virtualisation};
pub use linked::Linked;
pub use memory::{BoxImage, MemoryError};
pub use outcome::{Call, End, Exits, Outcome, Stats};
pub use run::{Ended, Remains, StopHandle, Vm};
pub use stdio::Stdio;
pub use timeline::Timeline;
pub use window::Window;
