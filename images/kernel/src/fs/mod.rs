//! Files: the box image and what is written over it, devices, pipes, `/proc`, `/sys`, descriptors.
//!
//! Three layers, from the bottom:
//!
//! - **What there is.** [`Inode`] is what a path leads to. [`tree`] has those that can be written,
//!   over the [`erofs`] image or over nothing; [`proc`] has those that are made up when they are
//!   looked at. [`mount`] says which lies over which, [`path`] finds the way.
//! - **What is open.** [`File`] is what can be done with something open: content of a tree, a pipe,
//!   a device, an event. It never waits: what cannot be done yet is EAGAIN.
//! - **Who has it open.** [`OpenFile`] adds position, flags and waiting, and [`FdTable`] numbers.
//!
//! Nothing is locked while the program's memory is touched if bringing that in could need the same
//! lock, and nothing is locked across a sleep.

pub mod anonymous;
pub mod budget;
mod claim;
mod context;
mod copy;
mod descriptors;
pub mod device;
pub mod epoll;
pub mod erofs;
pub mod eventfd;
pub mod file;
pub mod furnish;
pub mod inode;
pub mod inotify;
pub mod limit;
pub mod location;
pub mod lock;
mod mapping;
pub mod memfd;
pub mod mount;
pub mod mqueue;
pub mod open;
mod open_file;
pub mod owner;
pub mod path;
pub mod permission;
mod pidfd;
pub mod pipe;
mod pipe_ring;
pub mod proc;
mod program;
pub mod readiness;
mod root;
pub mod signalfd;
pub mod stat;
pub mod stdio;
pub mod timerfd;
pub mod tree;

pub use claim::Claim;
pub use context::FsContext;
pub use descriptors::FdTable;
pub use file::{Events, File};
pub use inode::Inode;
pub use location::Location;
pub use open::{How, open};
pub use open_file::OpenFile;
pub use pidfd::{open_pidfd, pidfd_process, pidfd_waits, signalled_process};
pub use program::{Program, executable_path, open_executable};
pub use root::{init, standard_descriptors};
pub use stat::{Kind, Stat};
