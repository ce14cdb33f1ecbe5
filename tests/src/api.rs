//! A node's API as a client without a library sees it: HTTP/1.0 over the
//! operator's socket, so that an answer ends with its connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its body, as text.
    pub body: String,
}

impl Answer {
    /// The body, which is JSON.
    ///
    /// # Panics
    ///
    /// When it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// The door of a node.
#[derive(Clone, Debug)]
pub struct Api(PathBuf);

impl Api {
    /// The node behind a socket.
    pub fn at(socket: &Path) -> Api {
        Api(socket.to_owned())
    }

    /// Sends a request with these headers, each a line.
    fn send(&self, request: &str, headers: &[&str], body: &str) -> std::io::Result<UnixStream> {
        let mut stream = UnixStream::connect(&self.0)?;
        let mut head = format!("{request} HTTP/1.0\r\nHost: localhost\r\n");
        for header in headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        if !body.is_empty() {
            head.push_str("Content-Type: application/json\r\n");
        }
        write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len())?;
        Ok(stream)
    }

    /// Makes a call: method and path, headers, body. None if the node was gone before it had
    /// answered.
    pub fn call(&self, request: &str, headers: &[&str], body: &str) -> Option<Answer> {
        let mut answer = String::new();
        let mut stream = self.send(request, headers, body).ok()?;
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some(Answer {
            status: head.split(' ').nth(1)?.parse().ok()?,
            body: body.to_owned(),
        })
    }

    /// What a path says.
    ///
    /// # Panics
    ///
    /// When it is refused.
    pub fn get(&self, path: &str) -> Value {
        let answer = self.call(&format!("GET {path}"), &[], "");
        let answer = answer.unwrap_or_else(|| panic!("the node does not answer: {path}"));
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()
    }

    /// The values of an answer that has one in each line, and may go on.
    ///
    /// # Panics
    ///
    /// When the node does not answer.
    pub fn lines(&self, request: &str) -> Events {
        let stream = self.send(request, &[], "").expect("the node answers");
        let mut events = Events(BufReader::new(stream));
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            events.0.read_line(&mut line).expect("an answer has a head");
        }
        events
    }

    /// What has happened and is kept, and what happens then.
    pub fn events(&self) -> Events {
        self.lines("GET /v1/events?follow=true")
    }

    /// What happens from now on.
    pub fn events_from_now(&self) -> Events {
        let past = self
            .call("GET /v1/events", &[], "")
            .expect("the node answers");
        let mut events = self.events();
        events
            .by_ref()
            .take(past.body.lines().count())
            .for_each(drop);
        events
    }
}

/// Values, one in each line, until the node ends the answer.
#[derive(Debug)]
pub struct Events(BufReader<UnixStream>);

impl Iterator for Events {
    type Item = Value;

    fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        // A node that was killed breaks off.
        let len = self.0.read_line(&mut line).unwrap_or(0);
        let whole = len > 0 && line.ends_with('\n');
        let parse =
            || serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        whole.then(parse)
    }
}
