//! A helper of `sort`: fetches lines from its parent, and answers with the same lines in order.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

fn main() -> Result<(), Box<dyn Error>> {
    let mut parent = TcpStream::connect(("parent", 7000))?;
    let lines = BufReader::new(&parent).lines();
    let mut numbers: Vec<u64> = lines
        .map(|line| Ok(line?.parse()?))
        .collect::<Result<_, Box<dyn Error>>>()?;
    numbers.sort_unstable();
    let lines: String = numbers.iter().map(|number| format!("{number}\n")).collect();
    parent.write_all(lines.as_bytes())?;
    Ok(())
}
