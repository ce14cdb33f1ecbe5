//! Bytes through a connection: between two instances, and from the host to one, beside a Unix
//! socket pair.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Instant;

use rustix::net::sockopt;
use unicell_gateway_api::run::LOCAL_BUFFER;
use unicell_tests::boxes::{Tree, tree};
use unicell_tests::node::{Instance, pair, start_with_addresses};
use unicell_vmm::link::{Command, Message, Transport};

use crate::group::{Contender, Group, Unit};
use crate::sample::{Failure, Sample};

/// Bytes that go through.
const BYTES: usize = 512 << 20;
/// Bytes that are written and read at once, by the threads of the host and by the programs in the
/// guests: the fewer, the more of the time is system calls.
const PARTS: [(usize, &str); 2] = [(128 << 10, "128 KiB"), (1 << 20, "1 MiB")];
const PROGRAM: &str = "/static/streams";

pub(crate) fn groups() -> Vec<Group> {
    PARTS.into_iter().map(group).collect()
}

fn group((part, name): (usize, &'static str)) -> Group {
    let contenders = vec![
        Contender::new("Unix socket pair", move |_| between_threads(part)).base(),
        Contender::new("unicell, guest to guest", move |_| guest_to_guest(part)),
        Contender::new("unicell, host to guest", move |_| host_to_guest(part)),
        Contender::new("unicell, guest to host", move |_| guest_to_host(part)),
    ];
    let title = format!("512 MiB through a connection, in pieces of {name}");
    Group::new(title, Unit::Nanoseconds, contenders)
}

fn broken(what: impl std::fmt::Display) -> Failure {
    let what = what.to_string();
    Failure::Ended { what }
}

fn programs() -> Tree {
    tree("programs")
}

fn fill(fd: OwnedFd, part: usize) {
    let (mut stream, part) = (UnixStream::from(fd), vec![0; part]);
    for _ in 0..BYTES / part.len() {
        // Whoever reads finds out.
        if stream.write_all(&part).is_err() {
            return;
        }
    }
}

/// Reads to the end. Returns how many bytes there were.
fn drain(fd: OwnedFd, part: usize) -> Result<usize, Failure> {
    let (mut stream, mut part) = (UnixStream::from(fd), vec![0; part]);
    let mut total = 0;
    loop {
        match stream.read(&mut part).map_err(broken)? {
            0 => return Ok(total),
            len => total += len,
        }
    }
}

fn whole(total: usize, began: Instant) -> Sample {
    if total < BYTES {
        return Err(broken(format!("{total} bytes came through")));
    }
    Ok(began.elapsed().as_nanos() as f64)
}

fn between_threads(part: usize) -> Sample {
    let (one, other) = pair(Transport::Tcp);
    let began = Instant::now();
    let writer = thread::spawn(move || fill(one, part));
    let total = drain(other, part)?;
    writer.join().map_err(|_| broken("the writer panicked"))?;
    whole(total, began)
}

/// An instance that takes a connection and throws away what comes, and that connection.
fn taker(part: usize) -> (Instance, OwnedFd) {
    let part = part.to_string();
    let arguments = [PROGRAM, "drain", "0.0.0.0", "7", &part];
    let mut taker = start_with_addresses(&programs(), &arguments);
    taker.line();
    let (ours, _) = taker.offer(Transport::Tcp, "10.0.0.3:9", 7);
    taker.message();
    (taker, ours)
}

/// Has a connection hold what a node lets one between two instances hold.
fn enlarge(end: &OwnedFd) -> Result<(), Failure> {
    sockopt::set_socket_send_buffer_size_force(end, LOCAL_BUFFER)
        .or_else(|_| sockopt::set_socket_send_buffer_size(end, LOCAL_BUFFER))
        .map_err(broken)
}

/// Waits until an instance has taken all.
fn taken(taker: Instance, began: Instant) -> Sample {
    let printed = taker.succeeds();
    let total = printed
        .trim()
        .strip_prefix("drained ")
        .and_then(|number| number.parse().ok());
    whole(total.ok_or_else(|| broken(&printed))?, began)
}

/// An instance that waits for its connection in order to send.
fn giver(part: usize) -> (Instance, u32) {
    let (bytes, part) = (BYTES.to_string(), part.to_string());
    let arguments = [PROGRAM, "flood", "10.1.0.1", "7", &bytes, &part];
    let mut giver = start_with_addresses(&programs(), &arguments);
    let stream = giver.wish().stream;
    (giver, stream)
}

fn host_to_guest(part: usize) -> Sample {
    let (taker, ours) = taker(part);
    let began = Instant::now();
    fill(ours, part);
    taken(taker, began)
}

fn guest_to_host(part: usize) -> Sample {
    let (giver, stream) = giver(part);
    let (ours, theirs) = pair(Transport::Tcp);
    let began = Instant::now();
    let socket = theirs.as_fd();
    giver.say(&Command::Opened { stream, socket });
    drop(theirs);
    let total = drain(ours, part)?;
    giver.succeeds();
    whole(total, began)
}

fn guest_to_guest(part: usize) -> Sample {
    let (taker, ours) = taker(part);
    let (mut giver, stream) = giver(part);
    // Bytes go one way: the buffer is that of who sends.
    enlarge(&ours)?;
    let began = Instant::now();
    let socket = ours.as_fd();
    giver.say(&Command::Opened { stream, socket });
    drop(ours);
    while !matches!(giver.message(), Message::Ended(_)) {}
    taken(taker, began)
}
