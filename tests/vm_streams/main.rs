//! Connections between a guest and the outside: real programs in real guests, the test as the node.

// All of it is tests: what cannot be done fails them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod furnished;
mod limits;
mod names;
mod tcp;
mod udp;

use unicell_tests::boxes::tree;
use unicell_tests::node::{Instance, start_with_addresses};

/// Starts our program of that name of command, with addresses.
fn program(arguments: &[&str]) -> Instance {
    let command = [&["/static/streams"], arguments].concat();
    start_with_addresses(&tree("programs"), &command)
}
