//! Servers as Debian has them, and what loads them: run by a node with their slots published, and
//! natively, from the same files with the same arguments.

use std::process::{Child, Command, Stdio};

use crate::boxes::{Tree, tree};
use crate::daemon::Node;
use crate::run::native_helper;

/// A server: a box, what is run of it, and how it is spoken to.
#[derive(Clone, Copy, Debug)]
pub struct Server {
    /// What it is called.
    pub name: &'static str,
    /// The box that it is in.
    pub tree: &'static str,
    /// Program and arguments.
    pub command: &'static [&'static str],
    /// Where it listens.
    pub port: u16,
    /// What it says when it does.
    pub ready: &'static str,
    /// What is asked for, of a server that speaks HTTP.
    pub path: Option<&'static str>,
}

const PYTHON: &str = "/usr/bin/python3.11";
const ASYNCIO: &str = "
import asyncio
TEXT = b'hello from asyncio\\n'
ANSWER = b'HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%s' % (len(TEXT), TEXT)
async def serve(reader, writer):
    try:
        while await reader.readuntil(b'\\r\\n\\r\\n'):
            writer.write(ANSWER)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()
async def main():
    server = await asyncio.start_server(serve, '0.0.0.0', 8002)
    print('serving', flush=True)
    await server.serve_forever()
asyncio.run(main())
";

/// Redis, in memory only.
pub const REDIS: Server = Server {
    name: "redis",
    tree: "redis",
    command: &[
        "/usr/bin/redis-server",
        "--port",
        "7379",
        "--protected-mode",
        "no",
        "--save",
        "",
    ],
    port: 7379,
    ready: "Ready to accept connections",
    path: None,
};
/// A master with two workers, and a file.
pub const NGINX: Server = Server {
    name: "nginx",
    tree: "nginx",
    command: &[
        "/usr/sbin/nginx",
        "-c",
        "/test/web.conf",
        "-g",
        "daemon off;",
    ],
    port: 8000,
    ready: "start worker process",
    path: Some("/web.conf"),
};
/// The web server of CPython's library, and a file.
pub const HTTP_SERVER: Server = Server {
    name: "http.server",
    tree: "python",
    command: &[
        PYTHON,
        "-u",
        "-m",
        "http.server",
        "8001",
        "-d",
        "/usr/lib/python3.11/json",
    ],
    port: 8001,
    ready: "Serving HTTP",
    path: Some("/tool.py"),
};
/// A coroutine for each connection.
pub const ASYNCIO_SERVER: Server = Server {
    name: "asyncio",
    tree: "python",
    command: &[PYTHON, "-c", ASYNCIO],
    port: 8002,
    ready: "serving",
    path: Some("/"),
};
/// The web server of Go's library.
pub const GO: Server = Server {
    name: "Go",
    tree: "go",
    command: &["/bin/go", "serve", "8003"],
    port: 8003,
    ready: "serving",
    path: Some("/"),
};

impl Server {
    fn tree(&self) -> Tree {
        tree(self.tree)
    }

    /// Starts it on a node, where it is imported as a service. Returns its id and the port of the
    /// host where it is to be found, when it listens.
    pub fn start(&self, node: &Node) -> (String, u16) {
        let (program, arguments) = self.command.split_first().expect("there is a program");
        let manifest = format!(
            "entrypoint = {program:?}\nargs = {arguments:?}\n[[slots]]\nport = {}\n",
            self.port
        );
        let tag = self.tree;
        node.import(self.tree().path(), &manifest, tag);
        let started = node.json(&["start", tag, "--publish", &format!("0:{}", self.port)]);
        let instance = started["id"].as_str().expect("it has an id").to_owned();
        node.until_it_says(&instance, self.ready);
        (instance, Node::published(&started).port())
    }

    /// The command that runs it on this machine, with the box as its root, in memory what it
    /// writes, and the machine's own network.
    pub fn native(&self) -> Command {
        let mut command = Command::new("unshare");
        command.arg("-mu").arg(native_helper());
        command.arg(self.tree().path()).arg("/").args(self.command);
        command.env_clear();
        command
    }

    /// The same by bwrap, isolated in all but the network.
    pub fn bwrap(&self) -> Command {
        let mut command = Command::new("bwrap");
        command.args([
            "--unshare-all",
            "--share-net",
            "--die-with-parent",
            "--clearenv",
        ]);
        // Root in a user namespace may not choose groups, as nginx would.
        command.args(["--uid", "1000", "--gid", "1000"]);
        // Piece by piece, into a root in memory that can have more than the box.
        let entries = std::fs::read_dir(self.tree().path()).expect("the box is there");
        for entry in entries {
            let entry = entry.expect("the box can be read");
            let to = std::path::Path::new("/").join(entry.file_name());
            match std::fs::read_link(entry.path()) {
                Ok(target) => command.arg("--symlink").arg(target),
                Err(_) => command.arg("--ro-bind").arg(entry.path()),
            };
            command.arg(to);
        }
        command.args([
            "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--chdir", "/",
        ]);
        command.args(self.command);
        command
    }
}

/// Starts one of those commands, and waits until the server says that it listens.
///
/// # Errors
///
/// The command does not start.
///
/// # Panics
///
/// When it ends before.
pub fn until_ready(command: &mut Command, ready: &str) -> std::io::Result<Child> {
    use std::io::{BufRead, BufReader};
    let (said, theirs) = std::io::pipe()?;
    let child = command
        .stdin(Stdio::null())
        .stdout(theirs.try_clone()?)
        .stderr(theirs)
        .spawn()?;
    // The command would hold the pipe open.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut lines = BufReader::new(said).lines();
    let listens = lines.any(|line| line.is_ok_and(|line| line.contains(ready)));
    assert!(listens, "{command:?} ended and never said {ready:?}");
    // What it says later is of no interest, but it is to find a reader.
    std::thread::spawn(move || lines.for_each(drop));
    Ok(child)
}

/// A program that loads servers, from a box of its own.
pub fn client(program: &str) -> Command {
    let mut command = Command::new("unshare");
    command.arg("--map-root-user");
    command.arg(format!("--root={}", tree("clients").path().display()));
    command.arg("--wd=/").arg(program);
    command
}
