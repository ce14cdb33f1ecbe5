//! What two ends tell of one stream: whether both can be right.

use unicell_gateway_api::id::InstanceId;
use unicell_gateway_api::instance::Transport;

/// What the two ends of a stream tell differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dispute {
    /// Whose ends they are: who sent, who received.
    pub(crate) ends: [InstanceId; 2],
    /// Bytes, says the one.
    pub(crate) sent: u64,
    /// Bytes, says the other.
    pub(crate) received: u64,
}

/// Whether what one end says that it has sent and what the other says that it has received can both
/// be true. What was not read when an end was closed is lost; of a datagram, the end may be.
pub(super) fn agree(transport: Transport, sent: u64, received: u64, holds: u64) -> bool {
    match transport {
        Transport::Tcp => received <= sent && sent - received <= holds,
        Transport::Udp => received <= sent,
    }
}
