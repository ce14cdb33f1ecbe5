//! Instances: who belongs to whom, and that nothing is left of any.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests"
)]

mod end;
mod family;
mod proof;
mod starts;
#[path = "../support/mod.rs"]
mod support;
mod told;

use unicell_gateway_api::instance::{Publish, Start, Transport};

fn start(service: &str) -> Start {
    Start {
        service: service.to_owned(),
        ..Start::default()
    }
}

fn publish(slot: u16) -> Publish {
    Publish {
        slot,
        transport: Transport::Tcp,
        host: "127.0.0.1:0".parse().unwrap(),
    }
}
