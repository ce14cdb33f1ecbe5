//! Greets the other members of a named network, and is greeted by those that come later.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use unicell_sdk::api::instance::Transport;

const NETWORK: &str = "greeters";

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", 7000))?;
    let name = std::fs::read_to_string("/etc/hostname")?;
    let network = unicell_sdk::Gateway::open()?.network(NETWORK)?;
    if network.members.is_empty() {
        let why = network.note.unwrap_or_default();
        println!("nobody to greet: {why}");
    }
    let slots = network.members.iter().flat_map(|member| &member.slots);
    for slot in slots.filter(|slot| slot.transport == Transport::Tcp) {
        if let Some(address) = slot.addresses.first() {
            match greeting(*address) {
                Ok(text) => println!("{address} says: {text}"),
                Err(error) => println!("{address} does not answer: {error}"),
            }
        }
    }
    for client in listener.incoming() {
        let mut client = client?;
        println!("{} came", client.peer_addr()?.ip());
        // One that does not listen is no reason to end.
        let _ = write!(client, "hello, I am {}", name.trim());
    }
    Ok(())
}

fn greeting(address: std::net::SocketAddr) -> std::io::Result<String> {
    let mut text = String::new();
    TcpStream::connect(address)?.read_to_string(&mut text)?;
    Ok(text)
}
