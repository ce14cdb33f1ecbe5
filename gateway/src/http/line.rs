//! Whether a caller has hung up, also while nothing is read of its connection.
//!
//! An answer that follows a log lasts until the caller goes. hyper learns of
//! that by reading, and stops reading when something came that is no part of
//! the request: one byte more, and a caller that is gone would keep its
//! connection until there is something to write to it.

use std::future::pending;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use tokio::io::Interest;
use tokio::net::UnixStream;

/// The connection of a request: an extension of it.
#[derive(Clone, Debug)]
pub(super) struct Line(Arc<OwnedFd>);

impl Line {
    /// Of a connection. It is a second descriptor of it, so that what waits
    /// for the end takes no news from what reads.
    pub(super) fn of(stream: &impl AsFd) -> io::Result<Self> {
        Ok(Self(Arc::new(stream.as_fd().try_clone_to_owned()?)))
    }

    /// Ends when the caller has closed the connection, or its own side of it.
    pub(super) async fn hung_up(self) {
        if self.closed().await.is_err() {
            // Where it cannot be watched, writing to it will tell.
            pending::<()>().await;
        }
    }

    async fn closed(&self) -> io::Result<()> {
        // Any stream socket can be waited for through this type.
        let line = UnixStream::from_std(self.0.try_clone()?.into())?;
        while !line.ready(Interest::READABLE).await?.is_read_closed() {
            // Bytes, which are not ours: those that come next are news again.
            let pass = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
            let _ = line.try_io(Interest::READABLE, pass);
        }
        Ok(())
    }
}
