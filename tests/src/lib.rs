//! What the end-to-end tests are written with: boxes of real Linux programs,
//! a way to run the same program natively and in a micro-VM and to compare
//! the two, and the host that the tests find themselves on.
//!
//! Not for unit tests: those live beside the code they test and need no KVM.
//!
//! How it fits: the tests themselves are the targets `vm*` (the folders of those
//! names), binaries that the runner (`src/bin/run-tests`) takes to each host.
//! Nothing in them is mocked: programs come from Debian packages or are compiled
//! from `programs/`, and the `unicell` binary is driven as a user would drive it.
//!
//! Invariants:
//! - Nothing is built, fetched or written outside a temporary directory while
//!   tests run: the emulated host sees the repository read-only.
//! - Native and guest run the same files, arguments, environment and input.
//! - A test that cannot run says so through [`hosts::skip`] and is counted.

// This crate is a test in all but name: what cannot be done fails it.
#![allow(clippy::expect_used)]

pub mod api;
pub mod boxes;
pub mod coverage;
pub mod daemon;
pub mod exit;
pub mod hosts;
pub mod judge;
pub mod node;
pub mod process;
pub mod run;
pub mod servers;
pub mod session;
