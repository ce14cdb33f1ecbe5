//! Messages on the device's queues.
//!
//! **Console**: readable [`Console`] header and text, then 4 writable bytes in which the device
//! leaves 0 or the errno with which the text was lost (EPIPE when nobody reads any more).
//!
//! **Control**: readable [`Request`] and its payload, then a writable [`Reply`].
//!
//! **Streams** (tx and rx): a [`Stream`] header and `len` bytes. Flow control is by credit: who
//! receives grants bytes, who sends never exceeds the grant. The first grant comes with the message
//! that opens the stream, further ones are [`kind::CREDIT`] messages.
//!
//! A connection is opened by [`kind::OPEN`] or [`kind::INCOMING`], and is there when the other side
//! answers with its first [`kind::CREDIT`]; [`kind::RESET`] refuses it. Its number is free again when both
//! sides have sent [`kind::END`], or the driver has sent [`kind::RESET`]: it answers each reset of
//! the device with one, so that the device knows when no message can come any more.

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
    /// Bytes that follow ([`kind::DATA`]; an [`Endpoint`] for [`kind::OPEN`],
    /// [`kind::INCOMING`] and [`kind::REFUSED`]), else 0.
    pub len: u32,
    /// The grant in bytes ([`kind::CREDIT`], [`kind::OPEN`], [`kind::INCOMING`]), an errno
    /// ([`kind::RESET`]), a size ([`kind::WINDOW`]) or a number ([`kind::REFUSED`]), else 0.
    pub value: u32,
}

/// The far end of a connection, and the port at the guest's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Endpoint {
    /// One of [`transport`].
    pub transport: u32,
    /// The port at the far end.
    pub port: u16,
    /// The guest's own port.
    pub own_port: u16,
    /// The address of the far end, IPv6 or IPv4-mapped.
    pub address: [u8; 16],
}

/// Values of [`Endpoint::transport`], as the Internet Protocol numbers them.
pub mod transport {
    /// Bytes in order.
    pub const TCP: u32 = 6;
    /// Datagrams: each is one [`super::kind::DATA`] message. There is no [`super::kind::END`].
    pub const UDP: u32 = 17;
}

/// Numbers of streams from this one on are given by the device, to what comes in; those below by
/// the driver.
pub const FIRST_INCOMING: u32 = 1 << 31;
/// Streams that a guest can have at once; more are refused with ENOBUFS.
pub const STREAMS_MAX: usize = 4096;
/// Bytes of data in one message, at most. A driver posts buffers for this much and a header, or
/// loses the ends of datagrams.
pub const DATA_MAX: usize = 64 << 10;

/// Values of [`Stream::kind`].
pub mod kind {
    /// Bytes.
    pub const DATA: u32 = 1;
    /// No more bytes will come in this direction.
    pub const END: u32 = 2;
    /// More bytes may be sent.
    pub const CREDIT: u32 = 3;
    /// The stream is broken in both directions, or refused; with errno 0 it is merely over.
    pub const RESET: u32 = 4;
    /// The terminal behind standard input has another size: rows in the upper half of the value,
    /// columns in the lower. To the guest only; needs no credit.
    pub const WINDOW: u32 = 5;
    /// From the driver: connect to an [`super::Endpoint`].
    pub const OPEN: u32 = 6;
    /// From the device: an [`super::Endpoint`] connects.
    pub const INCOMING: u32 = 7;
    /// From the driver, of no stream: it has refused by itself to connect to an
    /// [`super::Endpoint`], which the gateway may want to know. The value says how often it has
    /// refused since it said so last, to whatever endpoints.
    pub const REFUSED: u32 = 8;
}

const _: () = {
    assert!(size_of::<Console>() == 8);
    assert!(size_of::<Request>() == 16);
    assert!(size_of::<Reply>() == 8);
    assert!(size_of::<Stream>() == 16);
    assert!(size_of::<Endpoint>() == 24);
    assert!(DATA_MAX + size_of::<Stream>() <= crate::device::CHAIN_MAX as usize);
};
