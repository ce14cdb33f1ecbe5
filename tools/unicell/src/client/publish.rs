//! What is written for a slot that is to be reachable on the host.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use unicell_gateway_api::instance::Publish;

use super::transport;

/// `ADDRESS:PORT:SLOT` or `PORT:SLOT`, with `/udp` behind it for datagrams.
pub(super) fn publication(text: &str) -> Result<Publish, String> {
    let (place, transport) = transport::split(text)?;
    let (host, slot) = place
        .rsplit_once(':')
        .ok_or("write it as PORT:SLOT or ADDRESS:PORT:SLOT")?;
    let port = |text: &str| {
        let wrong = |_| format!("{text} is no port");
        text.parse::<u16>().map_err(wrong)
    };
    let host = match host.contains(':') {
        true => host
            .parse()
            .map_err(|_| format!("{host} is no ADDRESS:PORT"))?,
        false => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port(host)?),
    };
    Ok(Publish {
        slot: port(slot)?,
        transport,
        host,
    })
}

#[cfg(test)]
mod tests {
    use unicell_gateway_api::instance::Transport;

    use super::*;

    #[test]
    fn a_place_on_the_host_and_a_slot() {
        let host = |text: &str| text.parse::<SocketAddr>().unwrap();
        let good = [
            ("8080:80", ("127.0.0.1:8080", 80, Transport::Tcp)),
            ("0:80/tcp", ("127.0.0.1:0", 80, Transport::Tcp)),
            ("0.0.0.0:53:5353/udp", ("0.0.0.0:53", 5353, Transport::Udp)),
            ("[::1]:80:8080", ("[::1]:80", 8080, Transport::Tcp)),
        ];
        for (text, (place, slot, transport)) in good {
            let wanted = Publish {
                slot,
                transport,
                host: host(place),
            };
            assert_eq!(publication(text), Ok(wanted), "{text}");
        }
        for bad in [
            "",
            "80",
            "80:",
            ":80",
            "x:80",
            "80:70000",
            "1.2.3.4:80",
            "80:80/sctp",
        ] {
            assert!(publication(bad).is_err(), "{bad}");
        }
    }
}
