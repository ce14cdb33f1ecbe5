//! Waiting until something can be done with one of several files.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::file::File;
use crate::errno::{Errno, Result};
use crate::task::{self, WaitQueue};
use crate::time;

/// Sleeps until `ready` gives something; none if the deadline (monotonic ns) comes first. It is
/// asked whenever one of the files may have changed, or `also` was woken.
///
/// # Errors
///
/// EINTR if a signal has to be handled first.
pub fn wait<T>(
    files: &[Arc<dyn File>],
    also: Option<&WaitQueue>,
    deadline: Option<u64>,
    mut ready: impl FnMut() -> Option<T>,
) -> Result<Option<T>> {
    for file in files {
        // What cannot be waited for tells so when it is asked.
        let _ = file.prepare();
    }
    let queues: Vec<&WaitQueue> = files
        .iter()
        .filter_map(|file| file.queue())
        .chain(also)
        .collect();
    loop {
        let own = files.iter().filter_map(|file| file.deadline()).min();
        let until = own.into_iter().chain(deadline).min();
        match task::wait(&queues, until, &mut ready) {
            Ok(value) => return Ok(Some(value)),
            Err(Errno::ETIMEDOUT) => {
                if deadline.is_some_and(|deadline| deadline <= time::monotonic()) {
                    // Found wanting: so what is outside is looked at, too.
                    if files.iter().any(|file| file.is_outside()) {
                        task::look_outside();
                    }
                    return Ok(ready());
                }
            }
            Err(Errno::RESTART) => return Err(Errno::RESTART_UNHANDLED),
            Err(errno) => return Err(errno),
        }
    }
}
