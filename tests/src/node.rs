//! A test as the node of an instance: it decides about connections, and holds their other ends.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::thread::{self, JoinHandle};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use unicell_guest_abi::exit::ExitKind;
use unicell_guest_abi::init::{Furnishing, Init};
use unicell_service::package::Package;
use unicell_vmm::link::{
    Command, InstanceEnd, Limits, LinkError, Message, NodeEnd, Open, Start, Transport, null,
};
use unicell_vmm::{BoxImage, End, Outcome, monotonic_ns};

use crate::boxes::Tree;

/// The address that the instances of tests have.
pub const OWN: [u8; 4] = [10, 0, 0, 2];
/// The same of IPv6.
pub const OWN_V6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
/// How long an instance may take, in ns: never reached by a sound one.
const LIMIT_NS: u64 = 120_000_000_000;

/// An instance that runs, seen from its node.
pub struct Instance {
    /// The node's end of the link.
    pub node: NodeEnd,
    /// What the program prints, on standard output and error.
    printed: File,
    process: Option<JoinHandle<()>>,
}

/// Starts a program of a box, in a machine of this process, with addresses and these files.
pub fn start(tree: &Tree, command: &[&str], furnishing: &Furnishing<'_>) -> Instance {
    let (node, theirs) = NodeEnd::pair().expect("a link can be made");
    let process = thread::spawn(move || {
        let link = InstanceEnd::new(theirs);
        // A node that is gone has been told all that it wants.
        let _ = unicell_vmm::process::serve(&link, unicell_kernel_image::KERNEL);
    });
    let package = tree.package();
    let package = Package::open(&package).expect("the package was packed by this test");
    let (output, theirs) = std::io::pipe().expect("a pipe can be made");
    let theirs: OwnedFd = theirs.into();
    let again = || theirs.try_clone().expect("a descriptor is left");
    let mut init = Vec::new();
    Init::encode(
        (command[0].as_bytes(), b"/"),
        command.iter().map(|argument| argument.as_bytes()),
        [].into_iter(),
        furnishing,
        &mut init,
    );
    let start = Start {
        ram: 128 << 20,
        flags: 0,
        timeout_ns: Some(LIMIT_NS),
        since_ns: monotonic_ns(),
        seed: None,
        window: None,
        init,
        image: Some(BoxImage {
            offset: package.image_offset(),
            len: package.image_len(),
            file: package.file().try_clone().expect("a descriptor is left"),
        }),
        stdin: null().expect("there is /dev/null"),
        stdout: again(),
        stderr: again(),
        log: again(),
        limits: Limits::default(),
        reproduction: unicell_vmm::reproducible::Reproduction::default(),
    };
    node.start(&start).expect("the link takes a start");
    drop(start);
    let mut instance = Instance {
        node,
        printed: OwnedFd::from(output).into(),
        process: Some(process),
    };
    drop(theirs);
    assert!(matches!(instance.message(), Message::Started));
    instance
}

/// As [`start`], with both addresses and nothing else.
pub fn start_with_addresses(tree: &Tree, command: &[&str]) -> Instance {
    let furnishing = Furnishing {
        ipv4: Some(OWN),
        ipv6: Some(OWN_V6),
        ..Furnishing::default()
    };
    start(tree, command, &furnishing)
}

/// Two ends of a connection.
pub fn pair(transport: Transport) -> (OwnedFd, OwnedFd) {
    let kind = match transport {
        Transport::Tcp => SocketType::STREAM,
        Transport::Udp => SocketType::DGRAM,
    };
    socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).expect("a pair can be made")
}

impl Instance {
    /// The next message, but for what tells how much it computes, which is a matter of the host.
    ///
    /// # Panics
    ///
    /// If the process has gone.
    #[track_caller]
    pub fn message(&mut self) -> Message {
        loop {
            match self.any_message() {
                Message::GivesWay(_) => {}
                message => return message,
            }
        }
    }

    /// The next message, whatever it is.
    ///
    /// # Panics
    ///
    /// If the process has gone.
    #[track_caller]
    pub fn any_message(&mut self) -> Message {
        self.node.receive().expect("the instance speaks")
    }

    /// The next message, which is a wish to connect.
    #[track_caller]
    pub fn wish(&mut self) -> Open {
        match self.message() {
            Message::Open(open) => open,
            Message::Ended(outcome) => panic!("{outcome}\n{}", self.rest()),
            other => panic!("a wish to connect was expected, not {other:?}"),
        }
    }

    /// Sends a command, as soon as the link takes it.
    #[track_caller]
    pub fn say(&self, command: &Command<'_>) {
        loop {
            match self.node.send(command) {
                Ok(()) => return,
                Err(LinkError::Full) => {
                    let mut fds = [PollFd::new(&self.node, PollFlags::OUT)];
                    poll(&mut fds, None).expect("the link can be polled");
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Grants a wish. Returns the other end of the connection, and the node's duplicate of the near
    /// one.
    #[track_caller]
    pub fn grant(&self, open: &Open) -> (OwnedFd, OwnedFd) {
        let (ours, theirs) = pair(open.transport);
        let stream = open.stream;
        let socket = theirs.as_fd();
        self.say(&Command::Opened { stream, socket });
        (ours, theirs)
    }

    /// Offers a connection to a port. Returns its other end, and its number.
    #[track_caller]
    pub fn offer(&self, transport: Transport, from: &str, port: u16) -> (OwnedFd, u32) {
        let (ours, theirs) = pair(transport);
        let stream = self.node.new_stream();
        self.say(&Command::Incoming {
            stream,
            transport,
            from: from.parse().expect("an address and a port"),
            port,
            socket: theirs.as_fd(),
        });
        (ours, stream)
    }

    /// Reads what the program prints, up to and with the end of a line.
    pub fn line(&mut self) -> String {
        let mut line = Vec::new();
        let mut byte = [0];
        while self.printed.read(&mut byte).is_ok_and(|count| count == 1) {
            line.push(byte[0]);
            if byte[0] == b'\n' {
                break;
            }
        }
        String::from_utf8_lossy(&line).into_owned()
    }

    /// What the program prints from here on until its end.
    pub fn rest(&mut self) -> String {
        let mut text = Vec::new();
        // What was read until an error is worth seeing.
        let _ = self.printed.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Waits for the end. Returns how it ended, what the program printed that was not read, and the
    /// other messages that came before.
    pub fn finish(mut self) -> (Outcome, String, Vec<Message>) {
        let mut before = Vec::new();
        let outcome = loop {
            match self.message() {
                Message::Ended(outcome) => break *outcome,
                message => before.push(message),
            }
        };
        let text = self.rest();
        if let Some(process) = self.process.take() {
            process
                .join()
                .expect("the instance's thread does not panic");
        }
        (outcome, text, before)
    }

    /// Waits for a program that exits with status 0. Returns what it printed.
    #[track_caller]
    pub fn succeeds(self) -> String {
        let (outcome, text, _) = self.finish();
        let exited = End::Guest {
            kind: ExitKind::Exited,
            status: 0,
        };
        let report = outcome.report.as_deref().unwrap_or_default();
        assert_eq!(outcome.end, exited, "{outcome}\n{report}\n{text}");
        text
    }
}
