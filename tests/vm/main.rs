//! The tests that run on a host with `/dev/kvm`.

mod host;
