//! A node from end to end: services imported, started, reached, stopped; what
//! is left of them, and of the node itself.

// All of it is tests: what cannot be done fails them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod attacks;
mod children;
mod commands;
mod damaged;
mod examples;
mod images;
mod isolation;
mod killed;
mod life;
mod names;
mod networks;
mod receipts;
mod resources;
mod servers;
mod slots;
