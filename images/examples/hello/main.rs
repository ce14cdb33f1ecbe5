//! A web server that says hello. It knows nothing of Unicell.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

const TEXT: &str = "Hello from a micro-VM.\n";

fn main() -> io::Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", 80))?;
    println!("listening on port 80");
    for client in listener.incoming() {
        // One that hangs up early is no reason to end.
        let _ = answer(&client?);
    }
    Ok(())
}

fn answer(mut client: &TcpStream) -> io::Result<()> {
    // The head of the request ends with an empty line; what it asks for is all the same.
    for line in BufReader::new(client).lines() {
        if line?.is_empty() {
            break;
        }
    }
    let length = TEXT.len();
    write!(
        client,
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{TEXT}"
    )
}
