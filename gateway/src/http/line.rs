//! The connection of a request beside what hyper reads and writes of it: whether its caller has hung
//! up, and what it still sends when it has its answer.
//!
//! An answer that follows a log lasts until the caller goes. hyper learns of
//! that by reading, and stops reading when something came that is no part of
//! the request: one byte more, and a caller that is gone would keep its
//! connection until there is something to write to it.
//!
//! An answer may come before its request was read to the end: a refusal. If the
//! connection were closed then, with bytes of the request unread, the caller
//! would be told of a broken connection while it sends, and the answer be lost
//! (RFC 9112, 9.6). So what comes is read and dropped until the caller closes.

use std::future::pending;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// Bytes that are dropped at once.
const PART: usize = 16 << 10;

/// The connection of a request: an extension of it.
#[derive(Clone, Debug)]
pub(super) struct Line {
    descriptor: Arc<OwnedFd>,
    /// Whether there was a request that was not read to its end.
    unread: Arc<AtomicBool>,
}

impl Line {
    /// Of a connection. It is a second descriptor of it, so that what waits
    /// for the end takes no news from what reads.
    pub(super) fn of(stream: &impl AsFd) -> io::Result<Self> {
        Ok(Self {
            descriptor: Arc::new(stream.as_fd().try_clone_to_owned()?),
            unread: Arc::default(),
        })
    }

    /// The body of a request that comes over it.
    pub(super) fn body(&self, body: Incoming) -> Watched {
        let has_ended = body.is_end_stream();
        Watched {
            body,
            has_ended,
            unread: Arc::clone(&self.unread),
        }
    }

    /// Reads what was left unread until the caller closes its side, for so long at the most. To be
    /// called when nobody else reads any more, and everything is written.
    pub(super) async fn drain(self, bound: Duration) {
        if self.unread.load(Ordering::Relaxed) {
            // However it ends: the connection is of no more use.
            let _ = tokio::time::timeout(bound, self.drop_rest()).await;
        }
    }

    async fn drop_rest(&self) -> io::Result<()> {
        let line = self.stream()?;
        let mut part = vec![0; PART];
        loop {
            line.readable().await?;
            match line.try_read(&mut part) {
                Ok(0) => return Ok(()),
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
    }

    /// Any stream socket can be waited for and read through this type.
    fn stream(&self) -> io::Result<UnixStream> {
        UnixStream::from_std(self.descriptor.try_clone()?.into())
    }

    /// Ends when the caller has closed the connection, or its own side of it.
    pub(super) async fn hung_up(self) {
        if self.closed().await.is_err() {
            // Where it cannot be watched, writing to it will tell.
            pending::<()>().await;
        }
    }

    async fn closed(&self) -> io::Result<()> {
        let line = self.stream()?;
        while !line.ready(Interest::READABLE).await?.is_read_closed() {
            // Bytes, which are not ours: those that come next are news again.
            let pass = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
            let _ = line.try_io(Interest::READABLE, pass);
        }
        Ok(())
    }
}

/// A body of which is known afterwards whether it was read to its end.
#[derive(Debug)]
pub(super) struct Watched {
    body: Incoming,
    has_ended: bool,
    unread: Arc<AtomicBool>,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        self.has_ended |= matches!(frame, Poll::Ready(None)) || self.body.is_end_stream();
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.has_ended {
            self.unread.store(true, Ordering::Relaxed);
        }
    }
}
