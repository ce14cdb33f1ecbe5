//! The second thread of an instance: it fills the memory while the first gives it to the machine,
//! and serves the device once the machine runs.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use crate::builder::BuildError;
use crate::content::Content;
use crate::io::Io;
use crate::jail::{Guarded, JailError};
use crate::memory::{Memory, MemoryError};

/// The second thread. Dropping this before it serves the device ends it.
pub(crate) struct Helper {
    ready: Receiver<Result<(), JailError>>,
    fill: SyncSender<(Content, Arc<Memory>)>,
    filled: Receiver<Result<(), MemoryError>>,
    serve: SyncSender<Io>,
    thread: JoinHandle<()>,
}

impl Helper {
    /// A thread that waits for work, once it has the filter of its role if `guarded` has one
    /// ([`Helper::ready`]).
    pub(crate) fn spawn(guarded: Guarded) -> Result<Self, BuildError> {
        let (there, ready) = sync_channel::<Result<(), JailError>>(1);
        let (fill, to_fill) = sync_channel::<(Content, Arc<Memory>)>(1);
        let (done, filled) = sync_channel(1);
        let (serve, served) = sync_channel::<Io>(1);
        let thread = thread::Builder::new().name("io".into());
        let thread = thread.spawn(move || {
            let entered = guarded.guard_io();
            let stopped = entered.is_err();
            // Nobody waits for an answer any more if the machine could not be made.
            let _ = there.send(entered);
            if stopped {
                return;
            }
            if let Ok((content, memory)) = to_fill.recv() {
                let _ = done.send(content.put(&memory));
            }
            if let Ok(io) = served.recv() {
                io.run();
            }
        });
        Ok(Self {
            ready,
            fill,
            filled,
            serve,
            thread: thread.map_err(BuildError::Thread)?,
        })
    }

    /// Waits until the thread has its filter: once, before it is given anything to do.
    pub(crate) fn ready(&self) -> Result<(), BuildError> {
        Ok(self.ready.recv().map_err(panicked)??)
    }

    /// Begins to fill memory.
    pub(crate) fn fill(&self, content: Content, memory: Arc<Memory>) {
        // If the thread is gone, the wait for the end of this tells.
        let _ = self.fill.send((content, memory));
    }

    /// Waits until memory is filled.
    pub(crate) fn filled(&self) -> Result<(), BuildError> {
        Ok(self.filled.recv().map_err(panicked)??)
    }

    /// Serves the device from now on, until the instance ends.
    pub(crate) fn serve(self, io: Io) -> JoinHandle<()> {
        // The thread waits for this, unless it has panicked: then joining it tells.
        let _ = self.serve.send(io);
        self.thread
    }
}

fn panicked(_: std::sync::mpsc::RecvError) -> BuildError {
    BuildError::Thread(std::io::Error::other("it panicked"))
}
