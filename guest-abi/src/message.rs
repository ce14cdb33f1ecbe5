//! Messages on the device's queues.
//!
//! **Console**: readable [`Console`] header and text, then 4 writable bytes in which the device
//! leaves 0 or the errno with which the text was lost (EPIPE when nobody reads any more).
//!
//! **Control**: readable [`Request`] and its payload, then a writable [`Reply`].
//!
//! **Streams** (tx and rx): a [`Stream`] header and `len` bytes. Flow control is by credit: who
//! receives grants bytes, who sends never exceeds the grant. The first grant to the device is in
//! the request that opens the stream, further ones are [`kind::CREDIT`] messages.

/// Header of a console message.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Console {
    /// One of [`channel`].
    pub channel: u32,
    /// Bytes of text that follow.
    pub len: u32,
}

/// Values of [`Console::channel`].
pub mod channel {
    /// The program's standard output.
    pub const STDOUT: u32 = 1;
    /// The program's standard error.
    pub const STDERR: u32 = 2;
    /// The kernel's log, whole lines.
    pub const LOG: u32 = 3;
    /// The trace of system calls, whole lines.
    pub const TRACE: u32 = 4;
}

/// A request on the control queue.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Request {
    /// One of [`op`].
    pub op: u32,
    /// The stream concerned, chosen by the driver for an opening.
    pub stream: u32,
    /// For an opening: bytes that the device may send before it is granted more.
    pub credit: u32,
    /// Bytes of payload that follow.
    pub len: u32,
}

/// Values of [`Request::op`].
pub mod op {
    /// Open the stream from which standard input is read. No payload.
    pub const OPEN_STDIN: u32 = 1;
    /// Forget a stream; nothing more is sent on it. No payload.
    pub const CLOSE: u32 = 2;
}

/// The answer to a [`Request`].
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Reply {
    /// 0, or an errno of Linux.
    pub errno: u32,
    /// Bytes that the driver may send on the stream before it is granted more.
    pub credit: u32,
}

/// Header of a stream message.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Stream {
    /// The stream.
    pub stream: u32,
    /// One of [`kind`].
    pub kind: u32,
    /// Bytes that follow ([`kind::DATA`]), else 0.
    pub len: u32,
    /// The grant in bytes ([`kind::CREDIT`]), an errno ([`kind::RESET`]) or a size
    /// ([`kind::WINDOW`]), else 0.
    pub value: u32,
}

/// Values of [`Stream::kind`].
pub mod kind {
    /// Bytes.
    pub const DATA: u32 = 1;
    /// No more bytes will come in this direction.
    pub const END: u32 = 2;
    /// More bytes may be sent.
    pub const CREDIT: u32 = 3;
    /// The stream is broken in both directions.
    pub const RESET: u32 = 4;
    /// The terminal behind standard input has another size: rows in the upper half of the value,
    /// columns in the lower. To the guest only; needs no credit.
    pub const WINDOW: u32 = 5;
}

const _: () = {
    assert!(size_of::<Console>() == 8);
    assert!(size_of::<Request>() == 16);
    assert!(size_of::<Reply>() == 8);
    assert!(size_of::<Stream>() == 16);
};
