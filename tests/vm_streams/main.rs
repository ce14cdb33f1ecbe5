//! Connections between a guest and the outside: real programs in real guests, the test as the node.

// All of it is tests: what cannot be done fails them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod tcp;
