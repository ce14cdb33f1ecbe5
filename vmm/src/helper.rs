//! The second thread of an instance: it fills the memory while the first makes the machine, and
//! serves the device once the machine runs.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use kvm_bindings::CpuId;
use kvm_ioctls::Kvm;

use crate::builder::BuildError;
use crate::content::Content;
use crate::io::Io;
use crate::kvm;
use crate::memory::Memory;

/// The second thread. Dropping this before it serves the device ends it.
pub(crate) struct Helper {
    prepared: Receiver<Result<CpuId, BuildError>>,
    serve: SyncSender<Io>,
    thread: JoinHandle<()>,
}

impl Helper {
    /// Begins to fill `memory`, and to find out what the processor can do.
    pub(crate) fn spawn(
        kvm: Arc<Kvm>,
        content: Content,
        memory: Arc<Memory>,
    ) -> Result<Self, BuildError> {
        let (done, prepared) = sync_channel(1);
        let (serve, served) = sync_channel::<Io>(1);
        let thread = thread::Builder::new().name("io".into());
        let thread = thread.spawn(move || {
            // Nobody waits for the answer any more if the machine could not be made.
            let _ = done.send(prepare(&kvm, &content, &memory));
            drop((kvm, content, memory));
            if let Ok(io) = served.recv() {
                io.run();
            }
        });
        Ok(Self {
            prepared,
            serve,
            thread: thread.map_err(BuildError::Thread)?,
        })
    }

    /// Waits until memory is filled. Returns what the processor can do.
    pub(crate) fn prepared(&self) -> Result<CpuId, BuildError> {
        let panicked = |_| BuildError::Thread(std::io::Error::other("it panicked"));
        self.prepared.recv().map_err(panicked)?
    }

    /// Serves the device from now on, until the instance ends.
    pub(crate) fn serve(self, io: Io) -> JoinHandle<()> {
        // The thread waits for this, unless it has panicked: then joining it tells.
        let _ = self.serve.send(io);
        self.thread
    }
}

/// The features first: they are needed first, and filling memory holds up the making of a machine
/// while both want the map of this process' memory.
fn prepare(kvm: &Kvm, content: &Content, memory: &Memory) -> Result<CpuId, BuildError> {
    let cpuid = kvm::features(kvm)?;
    content.put(memory, &cpuid)?;
    Ok(cpuid)
}
