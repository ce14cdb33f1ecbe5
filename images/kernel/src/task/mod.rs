//! Threads and processes: their life, who runs, who waits for what.

pub mod accounts;
pub mod crash;
#[cfg(feature = "image")]
pub mod entry;
pub mod exit;
pub mod futex;
pub mod group;
pub mod identity;
pub mod limits;
mod line;
pub mod numbers;
pub mod process;
pub mod scheduler;
pub mod scheduling;
pub mod settings;
#[cfg(feature = "image")]
pub mod start;
pub mod thread;
pub mod timer;
mod wait_queue;

use alloc::sync::Arc;
use alloc::vec::Vec;

pub use identity::Credentials;
pub use line::{Line, Ticket, Waiter};
pub use process::Process;
pub use scheduler::{look_outside, wait, wait_for_device, wait_uninterrupted};
pub use thread::Thread;
pub use wait_queue::WaitQueue;

/// The running thread.
pub fn current() -> Arc<Thread> {
    scheduler::current()
}

/// The process of the running thread.
pub fn process() -> Arc<Process> {
    scheduler::current().process().clone()
}

/// The number of the running thread.
pub fn thread_id() -> u32 {
    scheduler::current().id()
}

/// Every process, by number.
pub fn processes() -> Vec<Arc<Process>> {
    numbers::all()
}

/// Memory ran out while `process` needed some: it is killed.
pub fn out_of_memory(process: &Arc<Process>) {
    exit::kill_for_memory(process);
}

/// Sends SIGPIPE to the running thread.
pub fn raise_sigpipe() {
    crate::signal::raise_on_current(crate::signal::SIGPIPE);
}
