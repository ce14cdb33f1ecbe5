//! A web page that counts its visitors, in a redis of its own.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let redis = unicell_sdk::Gateway::open()?.spawn("redis")?;
    // It says when it can be reached.
    for entry in redis.logs()? {
        if entry?.text.contains("Ready to accept connections") {
            break;
        }
    }
    // An ordinary host name: the alias of the specification.
    let mut redis = BufReader::new(TcpStream::connect(("redis", 6379))?);
    let listener = TcpListener::bind(("0.0.0.0", 80))?;
    println!("listening on port 80");
    for client in listener.incoming() {
        let visitors = increment(&mut redis)?;
        // One that hangs up early is no reason to end.
        let _ = answer(&client?, visitors);
    }
    Ok(())
}

/// Redis' own protocol: one command a line, `:` before a number.
fn increment(redis: &mut BufReader<TcpStream>) -> Result<u64> {
    redis.get_mut().write_all(b"INCR visitors\r\n")?;
    let mut line = String::new();
    redis.read_line(&mut line)?;
    let number = line.trim_end().strip_prefix(':');
    Ok(number
        .ok_or_else(|| format!("redis answers {line:?}"))?
        .parse()?)
}

fn answer(mut client: &TcpStream, visitors: u64) -> io::Result<()> {
    for line in BufReader::new(client).lines() {
        if line?.is_empty() {
            break;
        }
    }
    let text = format!("You are visitor number {visitors}.\n");
    let length = text.len();
    write!(
        client,
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}"
    )
}
