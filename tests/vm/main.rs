//! The tests that run on a host with `/dev/kvm`: the real `unicell` binary,
//! real programs, and what the same programs do natively.

// All of it is tests: what cannot be done fails them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod baseline;
mod busybox;
mod cc1;
mod command;
mod coreutils;
mod doctor;
mod ends;
mod errors;
mod host;
mod judge;
mod make;
mod oracle;
mod package;
mod perl;
mod proc;
mod programs;
mod python;
mod reproducible;
mod ring;
mod runtimes;
mod servers;
mod shell;
mod sqlite;
mod stress;
mod terminal;
mod trace;
