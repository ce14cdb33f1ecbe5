//! How a transport is written behind a place.

use unicell_gateway_api::instance::Transport;

/// The place, and the transport behind it: `/tcp`, which may be left out, or `/udp`.
pub(super) fn split(text: &str) -> Result<(&str, Transport), String> {
    match text.split_once('/') {
        None => Ok((text, Transport::Tcp)),
        Some((place, "tcp")) => Ok((place, Transport::Tcp)),
        Some((place, "udp")) => Ok((place, Transport::Udp)),
        Some((_, other)) => Err(format!("{other}: a transport is tcp or udp")),
    }
}
