//! Bytes between frames and whoever reads or writes them.
//!
//! The program's memory may have to be brought in while it is touched, from the very file that is
//! being read or written; so bytes are copied by way of a buffer, with nothing locked.

use crate::errno::Result;
use crate::io::{Sink, Source};
use crate::memory::Frame;

const BUFFER: usize = 1024;

/// Copies bytes of a frame, as many as are wanted.
///
/// # Errors
///
/// EFAULT.
pub(super) fn from_frame(
    frame: &Frame,
    offset: usize,
    len: usize,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let end = offset + len.min(sink.remaining());
    let mut buffer = [0; BUFFER];
    let mut at = offset;
    while at < end {
        let part = &mut buffer[..BUFFER.min(end - at)];
        frame.read(at, part);
        at += sink.write(part)?;
    }
    Ok(())
}

/// Fills bytes of a frame, as many as there are. Returns how many.
///
/// # Errors
///
/// EFAULT if not even the first could be had.
pub(super) fn to_frame(
    frame: &Frame,
    offset: usize,
    len: usize,
    source: &mut Source<'_>,
) -> Result<usize> {
    let end = offset + len.min(source.remaining());
    let mut buffer = [0; BUFFER];
    let mut at = offset;
    while at < end {
        let part = &mut buffer[..BUFFER.min(end - at)];
        let wanted = part.len();
        let had = match source.read_some(part) {
            Ok(had) => had,
            Err(_) if at > offset => break,
            Err(errno) => return Err(errno),
        };
        frame.write(at, &part[..had]);
        at += had;
        if had < wanted {
            break;
        }
    }
    Ok(at - offset)
}
